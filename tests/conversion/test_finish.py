import csv
import dataclasses
import io
import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from oi_tfrecord import storage
from oi_tfrecord.conversion import finish
from oi_tfrecord.conversion.finish import FinishJob, finish_dataset
from oi_tfrecord.dataset.accounts import encode_account, read_shard_accounts, sum_accounts
from oi_tfrecord.dataset.coverage import find_losses
from oi_tfrecord.dataset.file_names import rejects_file
from oi_tfrecord.dataset.filter_warnings import FilterNames
from oi_tfrecord.dataset.manifest import build_split, merge_split, seal_entry
from oi_tfrecord.dataset.rejects_csv import Rejected, format_piece
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.errors import StorageError
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Reject
from oi_tfrecord.records.label_map_file import parse_pbtxt
from tests.dataset.test_manifest import BOXES, IMAGES, LABEL_MAP, MORE_BOXES, RANGES, SHARDS
from tests.support.memory_filesystem import MemoryFileSystem

RESULTS = sum_accounts(RANGES, SHARDS)
ABOUT = {"fingerprint": {"x": 1}}


@pytest.fixture(params=["local", "memory"])
def job(request: pytest.FixtureRequest, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> FinishJob:
    # The inputs of these results are no files.
    monkeypatch.setattr(finish, "find_changed", lambda *_: {})
    MemoryFileSystem.files.clear()
    folder = str(tmp_path) if request.param == "local" else "memory://bucket/out"
    work = WorkFolder.of(folder, "train")
    work.create({})
    return FinishJob("train", folder, work, (BOXES, MORE_BOXES, IMAGES), ABOUT)


def read(job: FinishJob, name: str) -> bytes:
    return storage.read(storage.join(job.output_dir, name))


def test_writes_what_makes_the_shards_a_dataset(job: FinishJob) -> None:
    split = finish_dataset(job, RESULTS, LABEL_MAP)
    assert split == seal_entry(build_split(job.inputs, RESULTS, LABEL_MAP, ABOUT))
    assert read(job, "manifest.json") == merge_split(None, "train", split)
    assert parse_pbtxt(read(job, "label_map.pbtxt"), "") == LABEL_MAP
    assert list(csv.reader(io.StringIO(read(job, "label_map.csv").decode()))) == [["1", "/m/a"], ["5", "/m/b"]]


def test_an_input_that_changed_is_in_the_manifest_which_does_not_balance(
    job: FinishJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finish, "find_changed", lambda *_: {"boxes.csv": "was changed"})
    split = finish_dataset(job, RESULTS, LABEL_MAP)
    assert split["changed_inputs"] == {"boxes.csv": "was changed"}
    assert not split["balanced"]
    assert list(find_losses(split)) == [("changed_inputs", "boxes.csv: was changed")]


def test_warnings_of_filters_follow_those_of_the_plan(job: FinishJob) -> None:
    names = FilterNames(values={Table.BOXES: ("xclck",)})
    split = finish_dataset(
        dataclasses.replace(job, about=ABOUT | {"warnings": ["planned"]}, filter_names=names), RESULTS, LABEL_MAP
    )
    assert split["warnings"][0] == "planned"
    assert [line for line in split["warnings"] if line.startswith("--box_sources=xclck: ")] == split["warnings"][-1:]
    assert json.loads(read(job, "manifest.json"))["splits"]["train"]["warnings"] == split["warnings"]


def test_the_order_of_the_results_does_not_matter(job: FinishJob) -> None:
    finish_dataset(job, RESULTS, LABEL_MAP)
    before = read(job, "manifest.json")
    finish_dataset(job, sum_accounts(RANGES[::-1], SHARDS[::-1]), LABEL_MAP)
    assert read(job, "manifest.json") == before


def test_results_of_shards_are_those_they_left(job: FinishJob) -> None:
    for result in SHARDS:
        job.work.write_result(result.shard, encode_account(result))
    # One that is not of this conversion.
    job.work.write_result(77, encode_account(dataclasses.replace(SHARDS[0], shard=77)))
    read_back = list(read_shard_accounts(job.work, {result.shard for result in SHARDS}))
    assert read_back == sorted(SHARDS, key=lambda result: result.shard)
    with pytest.raises(StorageError, match="shard-00078"):
        list(read_shard_accounts(job.work, {78}))


def test_rejects_get_the_line_numbers_of_their_file(job: FinishJob) -> None:
    def piece(table: str, file: str, line: int, range_index: int, file_index: int) -> str:
        return format_piece(
            [
                Rejected(
                    table,
                    file,
                    line,
                    "00000000000000ab",
                    Reject.DUPLICATE,
                    'say "so",\nplease',
                    range_index,
                    file_index,
                )
            ]
        )

    job.work.write_rejects("range-boxes-00000-000001", piece("boxes", "/data/boxes-a.csv", 4, 1, 0))
    job.work.write_rejects("range-boxes-00001-000000", piece("boxes", "/data/boxes-b.csv", 0, 0, 1))
    first, *others = SHARDS
    with_rejects = dataclasses.replace(first, rejects=piece("images", "/i/ab.jpg", -1, -1, -1))
    finish_dataset(job, sum_accounts(RANGES, [*others, with_rejects]), LABEL_MAP)
    rows = list(csv.DictReader(io.StringIO(read(job, rejects_file("train")).decode(), newline="")))
    # Range 1 of the first file begins after 1 header line and the 10 lines of range 0, at line 12.
    assert [(row["Table"], row["File"], row["Line"]) for row in rows] == [
        ("boxes", "/data/boxes-a.csv", "16"),
        ("boxes", "/data/boxes-b.csv", "2"),
        ("images", "/i/ab.jpg", ""),
    ]
    assert {(row["ImageID"], row["Reason"], row["Detail"]) for row in rows} == {
        ("00000000000000ab", "duplicate", 'say "so",\nplease')
    }


def test_another_split_stays(job: FinishJob) -> None:
    storage.write(
        storage.join(job.output_dir, "manifest.json"), merge_split(None, "test", {"a": 1}), job.work.temporary
    )
    split = finish_dataset(job, RESULTS, LABEL_MAP)
    assert json.loads(read(job, "manifest.json"))["splits"] == {"test": {"a": 1}, "train": split}


def test_the_manifest_is_written_last(job: FinishJob, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []

    def noting(function: Callable[..., Any]) -> Callable[..., Any]:
        def run(path: str, *others: Any) -> Any:
            written.append(path.rpartition("/")[2])
            return function(path, *others)

        return run

    for name in ("create", "write"):
        monkeypatch.setattr(storage, name, noting(getattr(storage, name)))
    finish_dataset(job, RESULTS, LABEL_MAP)
    assert list(dict.fromkeys(written)) == [
        "label_map.pbtxt",
        "label_map.csv",
        "rejects-train.csv",
        "features.json",
        "dataset_info.json",
        "manifest.json",
    ]


def test_no_secret_of_an_address_is_written(job: FinishJob) -> None:
    address = "https://user:s3cret@host/{image_id}.jpg?sig=s3cret"
    about = {**ABOUT, "config": {"images": address}, "warnings": [f"{address}: is gone"]}
    finish_dataset(dataclasses.replace(job, about=about), RESULTS, LABEL_MAP)
    manifest = storage.read(storage.join(job.output_dir, "manifest.json")).decode()
    assert "host/{image_id}.jpg" in manifest
    assert "s3cret" not in manifest
