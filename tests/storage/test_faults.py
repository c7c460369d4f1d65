import errno
import os

import pytest
import requests
from apache_beam.io.filesystem import BeamIOError

from oi_tfrecord.errors import StorageError
from oi_tfrecord.storage.faults import may_pass, of_os_error, one_line, translated


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
