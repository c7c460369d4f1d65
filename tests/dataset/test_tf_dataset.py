import pathlib
import subprocess
import sys

import numpy as np
import pytest

import oi_tfrecord
from oi_tfrecord.dataset.record_dataset import RecordDataset
from oi_tfrecord.dataset.training_values import VALUE_SPECS
from oi_tfrecord.errors import ConfigError, InputError
from tests.support.optional import tensorflow as tf


@pytest.fixture(scope="module")
def output_dir(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    from oi_tfrecord.cli.main import main
    from tests.conftest import convert_arguments

    folder = tmp_path_factory.mktemp("load") / "out"
    assert main(["convert", *convert_arguments(sample, folder, "--select=all", split="validation")]) == 0
    return str(folder)


def ids(dataset: tf.data.Dataset) -> list[bytes]:
    return [values["image_id"].numpy() for values in dataset]


def test_records_equal_those_of_the_reader_without_tensorflow(output_dir: str) -> None:
    with_tensorflow = list(oi_tfrecord.load(output_dir, "validation").as_numpy_iterator())
    without = list(RecordDataset(output_dir, "validation"))
    assert len(with_tensorflow) == len(without) == 12
    for values, expected in zip(with_tensorflow, without, strict=True):
        assert values.keys() == expected.keys()
        for name in VALUE_SPECS:
            np.testing.assert_array_equal(values[name], expected[name], err_msg=name)
            assert np.asarray(values[name]).dtype == np.asarray(expected[name]).dtype or name == "image_id"
        np.testing.assert_array_equal(values["image"], expected["image"])


def test_the_element_spec_has_dtypes_and_shapes(output_dir: str) -> None:
    spec = oi_tfrecord.load(output_dir, "validation", image_size=(32, 48)).element_spec
    assert spec["image"] == tf.TensorSpec((32, 48, 3), tf.uint8)
    for name, (dtype, shape) in VALUE_SPECS.items():
        assert spec[name] == tf.TensorSpec(shape, dtype)
    assert oi_tfrecord.load(output_dir, "validation", decode=False).element_spec["image"] == tf.TensorSpec(
        (), tf.string
    )


def test_batches_are_padded(output_dir: str) -> None:
    single = list(oi_tfrecord.load(output_dir, "validation", image_size=(32, 32)).as_numpy_iterator())
    batches = list(oi_tfrecord.load(output_dir, "validation", image_size=(32, 32), batch_size=5).as_numpy_iterator())
    assert [len(batch["image_id"]) for batch in batches] == [5, 5, 2]
    rows = [(batch, row) for batch in batches for row in range(len(batch["image_id"]))]
    for values, (batch, row) in zip(single, rows, strict=True):
        count = len(values["labels"])
        np.testing.assert_array_equal(batch["boxes"][row, :count], values["boxes"])
        assert not batch["labels"][row, count:].any()
        np.testing.assert_array_equal(batch["image"][row], values["image"])
    whole = oi_tfrecord.load(output_dir, "validation", image_size=(32, 32), batch_size=5, drop_remainder=True)
    assert len(list(whole)) == 2


def test_a_seed_gives_the_same_shuffle(output_dir: str) -> None:
    plain = ids(oi_tfrecord.load(output_dir, "validation", decode=False))

    def shuffled(seed: int) -> list[bytes]:
        return ids(oi_tfrecord.load(output_dir, "validation", decode=False, shuffle_buffer=100, seed=seed))

    assert shuffled(1) == shuffled(1)
    assert shuffled(1) != shuffled(2)
    assert sorted(shuffled(1)) == sorted(plain)
    assert shuffled(1) != plain
    loose = oi_tfrecord.load(output_dir, "validation", shuffle_buffer=4, deterministic=False)
    assert sorted(ids(loose)) == sorted(plain)


def test_third_party_records_have_defaults(tmp_path: pathlib.Path) -> None:
    example = tf.train.Example()
    example.features.feature["image/encoded"].bytes_list.value.append(
        tf.io.encode_jpeg(np.zeros((4, 6, 3), np.uint8)).numpy()
    )
    example.features.feature["image/source_id"].bytes_list.value.append(b"1")
    for key, value in {
        "image/height": 4,
        "image/width": 6,
        "image/object/class/label": 3,
        "image/class/label": 8,
    }.items():
        example.features.feature[key].int64_list.value.append(value)
    for side in ("ymin", "xmin", "ymax", "xmax"):
        example.features.feature[f"image/object/bbox/{side}"].float_list.value.append(0.5)
    with tf.io.TFRecordWriter(str(tmp_path / "coco.record-00000-of-00001")) as writer:
        writer.write(example.SerializeToString())
    [values] = oi_tfrecord.load(str(tmp_path), "coco").as_numpy_iterator()
    [same] = RecordDataset(str(tmp_path), "coco")
    for name in VALUE_SPECS:
        np.testing.assert_array_equal(values[name], same[name])
    assert values["group_of"].tolist() == [0]
    assert values["image_confidences"].tolist() == [1]


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("batch_size", {"batch_size": -1}),
        ("shuffle_buffer", {"shuffle_buffer": -1}),
        ("image_size", {"batch_size": 2}),
        ("image_size", {"image_size": (0, 5)}),
        ("image_size", {"image_size": (5, 5), "decode": False}),
    ],
)
def test_a_bad_argument_is_named(field: str, arguments: dict, output_dir: str) -> None:
    with pytest.raises(ConfigError) as caught:
        oi_tfrecord.load(output_dir, "validation", **arguments)
    assert caught.value.field == field


def test_a_missing_split_is_an_error(output_dir: str) -> None:
    with pytest.raises(InputError, match="no split 'train'"):
        oi_tfrecord.load(output_dir, "train")


def test_the_package_alone_imports_no_tensorflow() -> None:
    program = "import oi_tfrecord, sys; oi_tfrecord.RecordDataset; assert 'tensorflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)
    with pytest.raises(AttributeError, match="nothing"):
        oi_tfrecord.nothing  # noqa: B018
