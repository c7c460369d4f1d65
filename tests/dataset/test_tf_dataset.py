import pathlib
import shutil
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

import oi_tfrecord
from oi_tfrecord.dataset.record_dataset import RecordDataset
from oi_tfrecord.dataset.splits import find_records
from oi_tfrecord.dataset.tf_dataset import Worker, choose_parts, count_parts
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


def test_a_folder_may_be_a_path(output_dir: str) -> None:
    assert int(oi_tfrecord.load(pathlib.Path(output_dir), "validation", decode=False).cardinality()) == 12


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


@pytest.mark.parametrize("with_counts", [True, False])
@pytest.mark.parametrize(("shards", "workers"), [(4, 1), (4, 2), (4, 3), (4, 4), (4, 5), (1, 7), (3, 64)])
def test_workers_share_no_record_and_lose_none(shards: int, workers: int, with_counts: bool) -> None:
    counts = [5, 0, 13, 4][:shards]
    paths = [str(shard) for shard in range(shards)]
    seen, lengths = [], []
    for index in range(workers):
        parts = choose_parts(paths, counts if with_counts else None, Worker(index, workers))
        own = [(p.path, n) for p in parts for n in range(p.first, counts[int(p.path)], p.step)]
        assert count_parts(parts) == (len(own) if with_counts else None)
        seen += own
        lengths.append(len(own))
    assert sorted(seen) == [(path, n) for path, count in zip(paths, counts, strict=True) for n in range(count)]
    if workers > shards and with_counts:
        assert max(lengths) - min(lengths) <= 1


@pytest.mark.parametrize("shuffle_buffer", [0, 5])
@pytest.mark.parametrize("count", [1, 2, 7])
def test_a_worker_loads_its_part_and_knows_its_length(count: int, shuffle_buffer: int, output_dir: str) -> None:
    context = tf.distribute.InputContext
    parts = []
    for index in range(count):
        shard = context(count, index, count) if index % 2 else (index, count)
        dataset = oi_tfrecord.load(output_dir, "validation", decode=False, shuffle_buffer=shuffle_buffer, shard=shard)
        parts.append(ids(dataset))
        assert len(dataset) == len(parts[-1])
    assert sorted(id for part in parts for id in part) == sorted(ids(oi_tfrecord.load(output_dir, "validation")))


def test_the_length_counts_batches_and_comes_from_the_index_without_a_manifest(
    output_dir: str, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(output_dir, folder)

    def length(**arguments: Any) -> int:
        return oi_tfrecord.load(str(folder), "validation", image_size=(8, 8), batch_size=5, **arguments).cardinality()

    assert (length(), length(drop_remainder=True), length(shuffle_buffer=3)) == (3, 2, 3)
    (folder / "manifest.json").unlink()
    assert length() == 3
    shutil.rmtree(folder / "index")
    assert length() == tf.data.UNKNOWN_CARDINALITY


def test_a_shard_that_is_not_whole_is_named_and_a_lost_record_is_an_error(
    output_dir: str, tmp_path: pathlib.Path
) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(output_dir, folder)
    opened = oi_tfrecord.load(str(folder), "validation", decode=False)
    shard = sorted(folder.glob("validation.tfrecord-*"))[1]
    offset, _ = find_records(str(shard))[-1].tolist()
    shard.write_bytes(shard.read_bytes()[: offset - 12])
    with pytest.raises(InputError, match=shard.name):
        oi_tfrecord.load(str(folder), "validation")
    with pytest.raises(tf.errors.FailedPreconditionError, match="expected to contain 12 elements"):
        list(opened)


def test_further_keys_equal_those_of_the_reader_without_tensorflow(output_dir: str) -> None:
    keys = ("image/filename", "image/object/class/text", "image/object/area")
    with_tensorflow = oi_tfrecord.load(output_dir, "validation", keys=keys).as_numpy_iterator()
    without = RecordDataset(output_dir, "validation", keys=keys)
    for values, expected in zip(with_tensorflow, without, strict=True):
        assert values.keys() == expected.keys()
        assert values["image/filename"] == expected["image/filename"]
        assert list(values["image/object/class/text"]) == expected["image/object/class/text"]
        np.testing.assert_array_equal(values["image/object/area"], expected["image/object/area"])


@pytest.mark.parametrize(
    ("field", "arguments"),
    [
        ("batch_size", {"batch_size": -1}),
        ("shuffle_buffer", {"shuffle_buffer": -1}),
        ("image_size", {"batch_size": 2}),
        ("image_size", {"image_size": (0, 5)}),
        ("image_size", {"image_size": (5, 5), "decode": False}),
        ("shard", {"shard": (2, 2)}),
        ("shard", {"shard": (-1, 2)}),
        ("shard", {"shard": 3}),
        ("shard", {"shard": "01"}),
        ("shard", {"shard": (0.5, 2)}),
        ("keys", {"keys": ["image/nothing"]}),
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
