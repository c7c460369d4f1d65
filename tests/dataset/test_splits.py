import pathlib
from collections.abc import Callable

import pytest

from oi_tfrecord.dataset.file_names import ENTRY_KEYS
from oi_tfrecord.dataset.splits import Split, find_records, find_splits, read_record, read_shard, require_manifest
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.example_reader import parse_example
from oi_tfrecord.records.tfrecord import FramingError


@pytest.fixture
def output_dir(sample: pathlib.Path, tmp_path: pathlib.Path, run: Callable) -> pathlib.Path:
    for split in ("train", "validation"):
        assert run(sample, tmp_path / "out", split=split).code == 0
    return tmp_path / "out"


def test_splits_are_found_by_the_manifest_or_by_the_names_of_shards(output_dir: pathlib.Path) -> None:
    splits = find_splits(str(output_dir))
    assert list(splits) == ["train", "validation"]
    assert splits["train"].manifest is not None
    assert splits["train"].manifest["images"]["records"] == 42
    assert list(find_splits(str(output_dir), ["validation"])) == ["validation"]
    (output_dir / "manifest.json").unlink()
    by_names = find_splits(str(output_dir))
    assert {name: split.shards for name, split in by_names.items()} == {
        name: split.shards for name, split in splits.items()
    }
    assert by_names["train"].manifest is None


@pytest.mark.parametrize(
    "name", ["coco_train.record-00000-of-00010", "coco_train-00000-of-00010.tfrecord", "coco_train-00000-of-00010"]
)
def test_third_party_shards_are_found(name: str, tmp_path: pathlib.Path) -> None:
    (tmp_path / name).touch()
    (tmp_path / "notes-of-today").touch()
    [split] = find_splits(str(tmp_path)).values()
    assert (split.name, split.shards, split.manifest) == ("coco_train", (str(tmp_path / name),), None)


def test_a_listed_shard_without_a_file_is_returned(output_dir: pathlib.Path) -> None:
    before = find_splits(str(output_dir))["train"].shards
    pathlib.Path(before[1]).unlink()
    assert find_splits(str(output_dir))["train"].shards == before


def test_a_folder_without_records_or_without_the_split_is_an_error(
    output_dir: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    with pytest.raises(InputError, match="there are no records"):
        find_splits(str(tmp_path / "none"))
    with pytest.raises(InputError, match="There are: train, validation"):
        find_splits(str(output_dir), ["test"])
    (output_dir / "manifest.json").write_text("[]")
    with pytest.raises(InputError, match="is not a manifest"):
        find_splits(str(output_dir))


def test_records_are_read_in_order_and_by_their_place(output_dir: pathlib.Path) -> None:
    shards = find_splits(str(output_dir))["train"].shards
    for shard in shards:
        in_order = [data for _, data in read_shard(shard)]
        assert [read_record(shard, *place) for place in find_records(shard).tolist()] == in_order
    ids = {parse_example(data)["image/source_id"][0] for shard in shards for _, data in read_shard(shard)}
    assert len(ids) == 42


def test_a_damaged_or_short_shard_is_an_error_of_the_index(output_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    shard = pathlib.Path(find_splits(str(output_dir))["train"].shards[0])
    whole = shard.read_bytes()
    (offset, length), *_ = find_records(str(shard)).tolist()
    for cut in (len(whole) - 1, offset + length, offset + length + 4 + 7):
        shard.write_bytes(whole[:cut])
        with pytest.raises(FramingError, match="cut off"):
            find_records(str(shard))
    shard.write_bytes(whole[:2] + b"\xff" + whole[3:])
    with pytest.raises(FramingError, match="CRC of the length"):
        find_records(str(shard))
    shard.write_bytes(b"")
    assert find_records(str(shard)).shape == (0, 2)


def test_a_manifest_that_lacks_what_convert_writes_is_named() -> None:
    whole = dict.fromkeys(ENTRY_KEYS, 0)
    assert require_manifest("records", Split("train", (), whole)) == whole
    with pytest.raises(InputError, match="no manifest describes the split 'train'"):
        require_manifest("records", Split("train", ()))
    with pytest.raises(InputError, match="'train' has no 'totals'") as raised:
        require_manifest("records", Split("train", (), {key: 0 for key in ENTRY_KEYS if key != "totals"}))
    assert raised.value.path == "records/manifest.json"


def test_build_split_and_a_plan_write_all_required_entries(exportable: pathlib.Path) -> None:
    for split in find_splits(str(exportable)).values():
        assert require_manifest(str(exportable), split) is split.manifest
