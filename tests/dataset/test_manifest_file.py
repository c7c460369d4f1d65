"""Tests the manifest file on each kind of storage, with a kill at each request where a rename does not replace."""

import contextlib
import dataclasses
import itertools
import json
import pathlib
from collections.abc import Callable, Iterator

import pytest

from oi_tfrecord import storage
from oi_tfrecord.conversion.finish import FinishJob, finish_dataset
from oi_tfrecord.dataset.accounts import sum_accounts
from oi_tfrecord.dataset.manifest_file import read_manifest, restore_manifest, write_manifest
from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.errors import StorageError
from tests.dataset.test_manifest import BOXES, IMAGES, LABEL_MAP, MORE_BOXES, RANGES, SHARDS
from tests.support.fault_filesystem import Faults, FaultyFileSystem, WorkerKilled

REMOTE = "faulty://out/dataset"
MANIFEST = f"{REMOTE}/manifest.json"


@dataclasses.dataclass
class EndsAt(Faults):
    """Ends the worker, or only fails, before the request of this number."""

    seed: int = 0
    error_rate: float = 0.0
    number: int = 0
    kills: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.requests = 0

    def request(self, kind: str, path: str) -> None:
        with self.lock:
            if self.killed:
                raise WorkerKilled(path)
            self.requests += 1
            if self.requests == self.number:
                self.killed = self.kills
                if self.kills:
                    raise WorkerKilled(path)
                self._fail("write error", 5, path)


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    FaultyFileSystem.files.clear()
    FaultyFileSystem.faults = Faults(0, error_rate=0.0)
    yield
    FaultyFileSystem.files.clear()
    FaultyFileSystem.faults = Faults(0, error_rate=0.0)


@pytest.fixture(params=["local", "remote"])
def folder(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    return str(tmp_path) if request.param == "local" else REMOTE


def names() -> set[str]:
    return {path.removeprefix(f"{REMOTE}/") for path in FaultyFileSystem.files}


def interrupted(task: Callable[[], object], start: dict[str, bytes], kills: bool) -> Iterator[int]:
    """Runs a task from a state until each of its requests in turn; yields after each, and ends when it has no more."""
    for number in itertools.count(1):
        FaultyFileSystem.files.clear()
        FaultyFileSystem.files.update(start)
        FaultyFileSystem.faults = faults = EndsAt(number=number, kills=kills)
        with contextlib.suppress(WorkerKilled, OSError, StorageError):
            task()
        FaultyFileSystem.faults = Faults(0, error_rate=0.0)
        if faults.requests < number:
            return
        yield number


def test_a_manifest_is_written_read_and_replaced(folder: str) -> None:
    assert read_manifest(folder) is None
    for data in (b"one", b"two", b"two"):
        write_manifest(folder, data, folder)
        assert read_manifest(folder) == data
        restore_manifest(folder)
        assert read_manifest(folder) == data
    assert [info.path for info in storage.match(f"{folder}/*")] == [f"{folder}/manifest.json"]


@pytest.mark.parametrize("kills", [True, False])
def test_at_each_request_the_old_manifest_or_the_new_one_is_there(kills: bool) -> None:
    write_manifest(REMOTE, b"old", f"{REMOTE}/work")
    start = dict(FaultyFileSystem.files)
    seen = set()
    away = 0
    for number in interrupted(lambda: write_manifest(REMOTE, b"new", f"{REMOTE}/work"), start, kills):
        seen.add(read_manifest(REMOTE))
        away += MANIFEST not in FaultyFileSystem.files
        if number % 2:
            restore_manifest(REMOTE)
            assert "manifest.json.replaced" not in names()
            assert storage.read(MANIFEST) in (b"old", b"new")
        write_manifest(REMOTE, b"new", f"{REMOTE}/work")
        assert storage.read(MANIFEST) == b"new"
        assert "manifest.json.replaced" not in names()
    assert seen == {b"old", b"new"}
    # There is a moment without a file of that name, so the test has seen it.
    assert away


def test_a_manifest_that_was_put_back_meanwhile_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    storage.write(f"{REMOTE}/manifest.json.replaced", b"old", REMOTE)
    is_there = storage.exists

    def exists(path: str) -> bool:
        found = is_there(path)
        if path == MANIFEST and not found:
            FaultyFileSystem.files[MANIFEST] = FaultyFileSystem.files.pop(f"{MANIFEST}.replaced")
        return found

    monkeypatch.setattr("oi_tfrecord.dataset.manifest_file.storage.exists", exists)
    assert read_manifest(REMOTE) == b"old"


@pytest.mark.parametrize("kills", [True, False])
def test_a_second_split_that_is_interrupted_at_any_request_loses_nothing(kills: bool) -> None:
    def job(split: str) -> FinishJob:
        return FinishJob(split, REMOTE, WorkFolder.of(REMOTE, split), (BOXES, MORE_BOXES, IMAGES), {"fingerprint": {}})

    results = sum_accounts(RANGES, SHARDS)
    for split in ("train", "validation"):
        job(split).work.create({})
    first = finish_dataset(job("train"), results, LABEL_MAP)
    start = dict(FaultyFileSystem.files)
    splits_seen = set()
    for _ in interrupted(lambda: finish_dataset(job("validation"), results, LABEL_MAP), start, kills):
        found = find_splits(REMOTE)
        assert found["train"].manifest == first
        splits_seen.add(len(found))
        job("validation").work.clear_temporary()
        second = finish_dataset(job("validation"), results, LABEL_MAP)
        assert json.loads(storage.read(MANIFEST))["splits"] == {"train": first, "validation": second}
        assert {name for name in names() if not name.startswith(".")} == {
            "manifest.json", "label_map.pbtxt", "label_map.csv", "rejects-train.csv", "rejects-validation.csv",
            "features.json", "dataset_info.json",
        }  # fmt: skip
    assert splits_seen == {1, 2}
