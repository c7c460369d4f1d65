import errno
import os
import pathlib
import resource
import subprocess
import sys
from collections.abc import Callable

import pytest
import requests
from apache_beam.io.filesystem import BeamIOError

from oi_tfrecord import storage
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.errors import HandedOn, InputError, StorageError
from oi_tfrecord.storage.faults import may_pass, of_os_error, one_line, translated
from tests.support import small_release


class LibraryError(Exception):
    """As a remote store's library raises it: no OSError, no file."""


LibraryError.__module__ = "botocore.exceptions"


@pytest.mark.parametrize(
    ("number", "remedy"), [(errno.ENOSPC, "Free space"), (errno.EACCES, "permission"), (errno.EIO, "Check the path")]
)
def test_an_error_names_file_problem_and_remedy(number: int, remedy: str) -> None:
    text = str(of_os_error(OSError(number, os.strerror(number), "/out/a"), "/work"))
    assert text.startswith(f"/out/a: {os.strerror(number)}. ")
    assert remedy in text
    assert "run the same command again" in text
    assert str(of_os_error(OSError(number, os.strerror(number)), "/work")).startswith("/work: ")


def test_a_full_disk_is_named_by_what_was_written() -> None:
    # /dev/full fails every write as a full disk does, and such an error names no file.
    with (
        pytest.raises(OSError, match="No space left") as raised,
        translated("/out/a"),
        open("/dev/full", "wb", 0) as full,
    ):
        full.write(b"x")
    assert raised.value.filename == "/out/a"


def test_other_errors_keep_what_they_say() -> None:
    with pytest.raises(ConnectionError, match=r"^away$"), translated("/out/a"):
        raise ConnectionError("away")
    with pytest.raises(OSError, match="b") as raised, translated("/out/a"):
        raise OSError(errno.ENOENT, "none", "/b")
    assert raised.value.filename == "/b"


def test_faults_of_libraries_are_the_storage_s_and_bugs_are_not() -> None:
    with (
        pytest.raises(StorageError, match=r"^s3://b/a: its storage fails: too many words\. Check"),
        translated("s3://b/a"),
    ):
        raise LibraryError("too many\n  words.")
    with pytest.raises(ValueError, match="bug"), translated("s3://b/a"):
        raise ValueError("bug")
    with pytest.raises(FileNotFoundError), translated("s3://b/a"):
        raise FileNotFoundError


def test_an_endless_text_is_cut() -> None:
    assert len(one_line(ValueError("x" * 10_000))) < 400


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ConnectionError("away"), True),
        (TimeoutError(), True),
        (requests.ConnectionError("away"), True),
        (BeamIOError("failed", {"hdfs://a": ConnectionError("away")}), True),
        (BeamIOError("failed", {"hdfs://a": PermissionError(13, "closed")}), False),
        (PermissionError(13, "closed", "a"), False),
        (ValueError("bug"), False),
    ],
)
def test_what_may_pass(error: Exception, expected: bool) -> None:
    assert may_pass(error) is expected


def test_an_error_that_cannot_be_stored_travels_in_the_text(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = WorkFolder.of(str(tmp_path), "train")
    work.create({})

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(storage, "write", full)
    with pytest.raises(HandedOn) as raised, work.reported():
        raise InputError("é.csv", "is empty", "Download it again", 3)
    # A runner gives the text on among its own.
    text = work.error(RuntimeError(f"Traceback ...\noi_tfrecord.errors.HandedOn: {raised.value} [while running 'X']"))
    assert type(text) is InputError
    assert str(text) == "é.csv, line 3: is empty. Download it again."


def fails_in_one_line(flags: list[str], limit: Callable[[], None] | None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "oi_tfrecord", "convert", *flags],
        cwd=small_release.ROOT, capture_output=True, text=True,
        env=small_release.environment(), preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    [line] = [line for line in done.stderr.splitlines() if not line.startswith("[")]
    return line


def goes_on(flags: list[str], release: small_release.Release, tmp_path: pathlib.Path, out: pathlib.Path) -> None:
    done = small_release.run_command(flags)
    assert done.returncode == 0, done.stderr
    assert small_release.run_command(release.flags(tmp_path / "undisturbed", workers=1)).returncode == 0
    assert small_release.shards(out) == small_release.shards(tmp_path / "undisturbed")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_may_not_grow_ends_in_one_line_and_a_rerun_goes_on(workers: int, tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=60, faults=False)
    out = tmp_path / "out"
    flags = release.flags(out, workers=workers)
    assert small_release.run_command(release.flags(tmp_path / "sizes", workers=1)).returncode == 0
    largest = max(len(data) for data in small_release.shards(tmp_path / "sizes").values())

    def limit() -> None:
        # A write beyond it fails with EFBIG, in all processes that come of this one.
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 1, largest - 1))

    line = fails_in_one_line(flags, limit)
    assert line.startswith(f"error: {out}/train.tfrecord-")
    assert "File too large. " in line
    assert "run the same command again" in line
    goes_on(flags, release, tmp_path, out)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_ends_in_one_line_and_a_rerun_goes_on(workers: int, tmp_path: pathlib.Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a disk of a given size needs the right to mount one")
    try:
        release = small_release.write_release(tmp_path / "data", images=400, faults=False)
        flags = release.flags(disk / "out", workers=workers)
        line = fails_in_one_line(flags, None)
        assert line.startswith(f"error: {disk}/out/")
        assert "No space left on device. Free space" in line
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        goes_on(flags, release, tmp_path, disk / "out")
    finally:
        subprocess.run(["umount", disk], check=True)
