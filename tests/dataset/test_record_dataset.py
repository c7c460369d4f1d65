import io
import multiprocessing
import pathlib
import pickle
import re
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from PIL import Image

import oi_tfrecord
from oi_tfrecord.dataset.record_dataset import RecordDataset
from oi_tfrecord.dataset.splits import find_records
from oi_tfrecord.dataset.training_values import VALUE_SPECS
from oi_tfrecord.errors import ConfigError, InputError


@pytest.fixture
def output_dir(sample: pathlib.Path, tmp_path: pathlib.Path, run: Callable) -> str:
    assert run(sample, tmp_path / "out", "--select=all", split="validation").code == 0
    return str(tmp_path / "out")


def shards_of(output_dir: str) -> list[pathlib.Path]:
    return sorted(pathlib.Path(output_dir).glob("validation.tfrecord-*"))


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


def test_a_folder_may_be_a_path_or_begin_with_a_tilde(output_dir: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(pathlib.Path(output_dir).parent))
    for folder in (pathlib.Path(output_dir), "~/out"):
        assert len(RecordDataset(folder, "validation")) == 12


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


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_dataset_goes_to_worker_processes(method: str, output_dir: str) -> None:
    dataset = RecordDataset(output_dir, "validation")
    expected = dataset[7]["image_id"]
    assert pickle.loads(pickle.dumps(dataset))[7]["image_id"] == expected
    context = multiprocessing.get_context(method)
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


def test_an_empty_shard_without_a_manifest_is_warned_of(output_dir: str) -> None:
    shard = shards_of(output_dir)[0]
    shard.write_bytes(b"")
    (shard.parent / "manifest.json").unlink()
    shutil.rmtree(shard.parent / "index")
    with pytest.warns(UserWarning, match=rf"1 of 3 shards are empty, such as .*{re.escape(shard.name)}") as caught:
        RecordDataset(output_dir, "validation", decode=False)
    assert caught[0].filename == __file__


def test_slices_are_datasets_and_lists_of_numbers_give_lists(output_dir: str) -> None:
    dataset = RecordDataset(output_dir, "validation", decode=False)
    ids = [values["image_id"] for values in dataset]
    for part in (slice(2, 9), slice(1, None, 3), slice(None, None, -1), slice(-3, None), slice(5, 2)):
        selected = dataset[part]
        assert [values["image_id"] for values in selected] == ids[part]
        assert len(selected) == len(ids[part])
    assert dataset[4:][-8:][::2][1]["image_id"] == ids[6]
    assert [values["image_id"] for values in dataset.__getitems__([3, -1, np.int64(0)])] == [ids[3], ids[-1], ids[0]]
    with pytest.raises(IndexError, match="no record 3 of 3"):
        dataset[:3][3]
    with pytest.raises(TypeError):
        dataset["3"]  # type: ignore[call-overload]


def test_the_classes_are_named_and_the_dataset_describes_itself(output_dir: str) -> None:
    dataset = RecordDataset(output_dir, "validation", image_size=(8, 8), target="torchvision")
    _, target = dataset[0]
    assert set(target["labels"].tolist()) <= dataset.class_names.keys()
    assert dataset.class_names == {item.id: item.display_name for item in dataset.label_map.items}
    shown = f"<RecordDataset({output_dir!r}, 'validation', image_size=(8, 8), target='torchvision'): "
    assert repr(dataset) == shown + f"12 records in {len(shards_of(output_dir))} shards>"
    assert "3 of 12 records" in repr(dataset[:3])
    (pathlib.Path(output_dir) / "label_map.pbtxt").unlink()
    with pytest.raises(InputError, match="no label_map"):
        RecordDataset(output_dir, "validation").class_names  # noqa: B018


def test_further_keys_are_given_by_their_names(output_dir: str) -> None:
    keys = ("image/filename", "image/object/class/text", "image/object/area")
    for values in RecordDataset(output_dir, "validation", keys=keys):
        assert values["image/filename"] == values["image_id"] + b".jpg"
        assert len(values["image/object/class/text"]) == len(values["image/object/area"]) == len(values["labels"])
    with pytest.raises(ConfigError, match="did you mean 'image/filename'"):
        RecordDataset(output_dir, "validation", keys=["image/filenam"])
    with pytest.raises(ConfigError, match="must be a list"):
        RecordDataset(output_dir, "validation", keys="image/filename")


def test_a_target_is_known_and_has_pixels(output_dir: str) -> None:
    with pytest.raises(ConfigError, match="target: must be None or one of 'torchvision', not 'coco'"):
        RecordDataset(output_dir, "validation", target="coco")  # type: ignore[call-overload]
    with pytest.raises(ConfigError, match="decode: must be True"):
        RecordDataset(output_dir, "validation", decode=False, target="torchvision")  # type: ignore[call-overload]


def test_an_image_can_be_written_to(output_dir: str) -> None:
    for image_size in (None, (8, 8)):
        assert RecordDataset(output_dir, "validation", image_size=image_size)[0]["image"].flags.writeable


def cut_last_record(shard: pathlib.Path) -> None:
    offset, _ = find_records(str(shard))[-1].tolist()
    shard.write_bytes(shard.read_bytes()[: offset - 12])


DAMAGES: dict[str, Callable[[pathlib.Path], object]] = {
    "a record less": cut_last_record,
    "cut off": lambda shard: shard.write_bytes(shard.read_bytes()[:-3]),
    "empty": lambda shard: shard.write_bytes(b""),
    "missing": pathlib.Path.unlink,
    "of another conversion": lambda shard: shard.write_bytes(shard.read_bytes() * 2),
}


@pytest.mark.parametrize("kept", ["manifest and index", "manifest", "index", "neither"])
@pytest.mark.parametrize("damage", sorted(DAMAGES))
def test_a_shard_that_is_not_whole_is_named(damage: str, kept: str, output_dir: str) -> None:
    shard = shards_of(output_dir)[0]
    if "index" not in kept:
        shutil.rmtree(shard.parent / "index")
    if "manifest" not in kept:
        (shard.parent / "manifest.json").unlink()
    opened = RecordDataset(output_dir, "validation", decode=False)
    last = len(find_records(str(shard))) - 1
    DAMAGES[damage](shard)
    # Records that are whole are what they say where nothing else says how many there are.
    says_nothing = kept == "neither" and damage in ("a record less", "empty", "of another conversion")
    if not says_nothing:
        with pytest.raises(InputError, match=re.escape(shard.name)):
            RecordDataset(output_dir, "validation")[0]
    if damage != "of another conversion":
        with pytest.raises(InputError, match=re.escape(shard.name)):
            opened[last]
    with pytest.raises(InputError, match=re.escape(shard.name)):
        list(opened)


def test_a_flipped_bit_is_found_by_number_and_in_order(output_dir: str) -> None:
    shard = shards_of(output_dir)[0]
    offset, length = find_records(str(shard))[1].tolist()
    whole = shard.read_bytes()
    for place in (offset - 12, offset - 1, offset, offset + length // 2, offset + length - 1, offset + length):
        damaged = bytearray(whole)
        damaged[place] ^= 0x10
        shard.write_bytes(damaged)
        dataset = RecordDataset(output_dir, "validation", decode=False)
        for read in (lambda dataset: dataset[1], lambda dataset: dataset.__getitems__([0, 1]), list):
            with pytest.raises(InputError, match=f"{shard.name}: record 1 at byte {offset - 12}: "):
                read(dataset)


def test_a_missing_split_is_an_error(output_dir: str) -> None:
    with pytest.raises(InputError, match="no split 'train'"):
        RecordDataset(output_dir, "train")


@pytest.mark.parametrize("image_size", [64, (64,), (3, 4, 5), (0, 5), (-3, 5), (32.0, 5), "64"])
def test_a_bad_image_size_is_an_error_before_a_record_is_read(image_size: Any, output_dir: str) -> None:
    with pytest.raises(ConfigError, match=r"image_size: must be \(height, width\)"):
        RecordDataset(output_dir, "validation", image_size=image_size)
