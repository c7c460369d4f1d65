import io
import multiprocessing
import pathlib
import pickle
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

import oi_tfrecord
from oi_tfrecord.dataset.record_dataset import RecordDataset
from oi_tfrecord.dataset.training_values import VALUE_SPECS
from oi_tfrecord.errors import InputError


@pytest.fixture
def output_dir(sample: pathlib.Path, tmp_path: pathlib.Path, run: Callable) -> str:
    assert run(sample, tmp_path / "out", "--select=all", split="validation").code == 0
    return str(tmp_path / "out")


def read_id(dataset: RecordDataset, index: int, queue: multiprocessing.Queue) -> None:
    queue.put(dataset[index]["image_id"])


def test_a_record_by_number_equals_the_record_in_order(output_dir: str) -> None:
    dataset = oi_tfrecord.RecordDataset(output_dir, "validation")
    in_order = list(dataset)
    assert len(dataset) == len(in_order) == 12
    for index in (11, 0, 5, -1, -12):
        for name, value in in_order[index].items():
            np.testing.assert_array_equal(dataset[index][name], value)
    for index in (12, -13):
        with pytest.raises(IndexError):
            dataset[index]


def test_values_have_the_specified_dtypes_and_shapes(output_dir: str) -> None:
    for values in RecordDataset(output_dir, "validation"):
        assert values["image"].shape == (values["height"], values["width"], 3)
        assert values["image"].dtype == np.uint8
        for name, (dtype, shape) in VALUE_SPECS.items():
            if dtype == "string":
                assert isinstance(values[name], bytes)
            else:
                array = np.asarray(values[name])
                assert array.dtype == dtype
                assert [size for size in shape if size] == [
                    size for size, fixed in zip(array.shape, shape, strict=True) if fixed
                ]


def test_images_may_stay_encoded_or_be_resized(output_dir: str) -> None:
    encoded = RecordDataset(output_dir, "validation", decode=False)[3]["image"]
    with Image.open(io.BytesIO(encoded)) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(RecordDataset(output_dir, "validation")[3]["image"], pixels)
    resized = RecordDataset(output_dir, "validation", image_size=(40, 60))[3]["image"]
    assert resized.shape == (40, 60, 3)
    whole = np.asarray(Image.fromarray(pixels).resize((60, 40), Image.Resampling.BILINEAR), float)
    assert np.abs(resized - whole).mean() < 8


def test_a_dataset_goes_to_worker_processes(output_dir: str) -> None:
    dataset = RecordDataset(output_dir, "validation")
    expected = dataset[7]["image_id"]
    assert pickle.loads(pickle.dumps(dataset))[7]["image_id"] == expected
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=read_id, args=(dataset, 7, queue))
    process.start()
    assert queue.get() == expected
    process.join()


def test_records_without_a_manifest_are_counted(output_dir: str) -> None:
    ids = [values["image_id"] for values in RecordDataset(output_dir, "validation", decode=False)]
    (pathlib.Path(output_dir) / "manifest.json").unlink()
    dataset = RecordDataset(output_dir, "validation", decode=False)
    assert [dataset[index]["image_id"] for index in range(len(dataset))] == ids


def test_a_missing_split_is_an_error(output_dir: str) -> None:
    with pytest.raises(InputError, match="no split 'train'"):
        RecordDataset(output_dir, "train")
