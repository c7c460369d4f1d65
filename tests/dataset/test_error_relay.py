import contextlib
import errno
import pathlib
from collections.abc import Iterator

import pytest

from oi_tfrecord import storage
from oi_tfrecord.dataset.error_relay import find_relayed_error, raise_relayed_errors, relay_errors
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.errors import EncodedFileError, EngineError, InputError, RunnerError, StorageError
from tests.support.memory_filesystem import MemoryFileSystem


@pytest.fixture(params=["local", "brackets", "memory"])
def work(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[WorkFolder]:
    MemoryFileSystem.files.clear()
    folder = {"local": str(tmp_path), "brackets": f"{tmp_path}/run [1]*", "memory": "memory://bucket/out"}[
        request.param
    ]
    yield WorkFolder.of(folder, "train")
    MemoryFileSystem.files.clear()


@pytest.mark.parametrize("line", [None, 7])
def test_an_input_error_is_relayed_whole(work: WorkFolder, line: int | None) -> None:
    work.create({})
    assert find_relayed_error(work, RuntimeError()) is None
    raised = InputError("é.csv", "is empty", "Download it again", line)
    with pytest.raises(InputError), relay_errors(work):
        raise raised
    error = find_relayed_error(work, RuntimeError())
    assert type(error) is InputError
    assert vars(error) == vars(raised)
    # A rerun starts without the error of the run before.
    work.clear_temporary()
    assert find_relayed_error(work, RuntimeError()) is None


def test_an_engine_that_gives_up_is_not_named_by_an_error_that_it_overcame(work: WorkFolder) -> None:
    work.create({})
    with pytest.raises(InputError), relay_errors(work):
        raise InputError("a.csv", "is empty", "Download it again")
    assert find_relayed_error(work, EngineError("a worker was lost", "Run it again")) is None


def test_an_error_that_a_retry_passed_is_not_blamed_for_the_end_of_a_job_elsewhere(work: WorkFolder) -> None:
    work.create({})
    with contextlib.suppress(StorageError), relay_errors(work):
        raise OSError(5, "Input/output error", "gs://b/train/0001.jpg")
    assert find_relayed_error(work, RunnerError("Workflow failed. The worker ran out of memory.")) is None
    text = "Traceback (most recent call last): ... oi_tfrecord.errors.StorageError: gs://b/train/0001.jpg"
    assert isinstance(find_relayed_error(work, RunnerError(text)), StorageError)


def test_other_exceptions_are_not_relayed(work: WorkFolder) -> None:
    work.create({})
    with pytest.raises(ValueError, match="bug"), relay_errors(work):
        raise ValueError("bug")
    with relay_errors(work):
        pass
    assert find_relayed_error(work, RuntimeError()) is None


def test_an_error_that_cannot_be_stored_travels_in_the_text(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = WorkFolder.of(str(tmp_path), "train")
    work.create({})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage, "write", full)
    with pytest.raises(EncodedFileError) as raised, relay_errors(work):
        raise InputError("é.csv", "is empty", "Download it again", 3)
    # A runner gives the text on among its own.
    text = find_relayed_error(
        work, RuntimeError(f"Traceback ...\noi_tfrecord.errors.EncodedFileError: {raised.value} [while running 'X']")
    )
    assert type(text) is InputError
    assert str(text) == "é.csv, line 3: is empty. Download it again."


def test_the_relayed_error_is_raised_in_place_of_the_runners(work: WorkFolder) -> None:
    work.create({})
    with pytest.raises(RuntimeError, match="of the runner"), raise_relayed_errors(work):
        raise RuntimeError("of the runner")
    with pytest.raises(StorageError, match=r"x\.csv"), relay_errors(work):
        raise OSError(errno.EIO, "gone", "x.csv")
    with pytest.raises(StorageError, match=r"x\.csv"), raise_relayed_errors(work):
        raise RuntimeError("of the runner")
