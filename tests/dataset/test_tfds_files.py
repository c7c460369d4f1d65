import json
import multiprocessing
import pathlib
from typing import Any

from oi_tfrecord.dataset.file_names import FEATURES_FILE, INFO_FILE
from oi_tfrecord.dataset.publish_split import publish_split
from oi_tfrecord.dataset.tfds_files import (
    describe_features,
    describe_info,
    read_keys,
    write_missing_tfds_files,
)
from oi_tfrecord.records.shard_names import shard_file
from tests.support.few_records import boxes, image, make_example, write_shard

ENTRY: dict[str, Any] = {"shards": [{"file": "a", "records": 0, "bytes": 0}, {"file": "b", "records": 3, "bytes": 70}]}


def feature_of(key: str, *keys_of_splits: set[str]) -> dict[str, Any]:
    features: dict[str, Any] = describe_features(keys_of_splits)["featuresDict"]["features"]
    return dict(features[key])


def test_each_split_has_the_lengths_of_its_shards() -> None:
    [split] = describe_info({"train": ENTRY})["splits"]
    assert split["shardLengths"] == ["0", "3"]
    assert split["numBytes"] == "70"
    assert split["filepathTemplate"] == "{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


def test_a_list_may_be_in_some_splits_and_a_single_value_must_be_in_all() -> None:
    train, test = {"image/width", "image/object/group_of", "image/attribution/title"}, {"image/width", "image/other"}
    features = describe_features([train, test])["featuresDict"]["features"]
    assert list(features) == ["image/object/group_of", "image/width"]
    assert feature_of("image/width", train)["tensor"] == {"shape": {}, "dtype": "int64", "encoding": "none"}
    assert feature_of("image/object/group_of", train)["tensor"]["shape"] == {"dimensions": ["-1"]}


def test_images_and_masks_are_decoded() -> None:
    keys = {"image/encoded", "image/object/mask"}
    assert feature_of("image/encoded", keys)["image"]["encodingFormat"] == "jpeg"
    assert feature_of("image/object/mask", keys)["sequence"]["feature"]["image"]["encodingFormat"] == "png"


def write_split(folder: pathlib.Path, split: str) -> dict[str, Any]:
    name = shard_file(split, 0, 1)
    write_shard(folder / name, [make_example(**image(), **boxes((0, 0, 1, 1), mids=["/m/a"]))])
    return {"shards": [{"file": name, "records": 1, "bytes": (folder / name).stat().st_size}]}


def publish(folder: pathlib.Path, split: str) -> None:
    publish_split(str(folder), split, write_split(folder, split), str(folder))


def splits_of(folder: pathlib.Path) -> tuple[list[str], list[str]]:
    info, manifest = (json.loads((folder / name).read_bytes()) for name in ("dataset_info.json", "manifest.json"))
    return [split["name"] for split in info["splits"]], sorted(manifest["splits"])


def test_splits_that_end_at_the_same_time_are_all_in_the_files(tmp_path: pathlib.Path) -> None:
    names = [f"split{number}" for number in range(6)]
    context = multiprocessing.get_context("forkserver")
    processes = [context.Process(target=publish, args=(tmp_path, name)) for name in names]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    assert splits_of(tmp_path) == (names, names)


def test_a_split_that_is_taken_out_goes_and_the_last_one_takes_the_files_along(tmp_path: pathlib.Path) -> None:
    for split in ("train", "test"):
        publish(tmp_path, split)
    publish_split(str(tmp_path), "train", None, str(tmp_path))
    assert splits_of(tmp_path) == (["test"], ["test"])
    publish_split(str(tmp_path), "test", None, str(tmp_path))
    assert not (tmp_path / "features.json").exists()
    assert not (tmp_path / "dataset_info.json").exists()


def test_keys_are_those_of_the_first_record_and_damage_stops_nothing(tmp_path: pathlib.Path) -> None:
    entry = write_split(tmp_path, "train")
    assert read_keys(str(tmp_path), entry) >= {"image/encoded", "image/object/bbox/xmin"}
    [shard] = entry["shards"]
    (tmp_path / shard["file"]).write_bytes(b"no record, but long enough for a header")
    assert read_keys(str(tmp_path), entry) == frozenset()
    (tmp_path / shard["file"]).unlink()
    assert read_keys(str(tmp_path), entry) == frozenset()


def test_files_that_a_run_lost_between_deletion_and_writing_are_written_again(tmp_path: pathlib.Path) -> None:
    splits = {"train": {"shards": [{"file": "train.tfrecord-00000-of-00001", "records": 0, "bytes": 0}]}}
    write_missing_tfds_files(str(tmp_path), splits, str(tmp_path))
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert set(written) == {FEATURES_FILE, INFO_FILE}
    (tmp_path / INFO_FILE).unlink()
    write_missing_tfds_files(str(tmp_path), splits, str(tmp_path))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == written
