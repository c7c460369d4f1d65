"""Faults of storage: what they are told as, and which of them pass by themselves.

Which layer tries again: botocore and the Google client do for each request (a minute at most where this
program reads; Beam's S3 filesystem goes on for minutes when it lists or writes), so a fault of theirs has
lasted. WebHDFS's client does not; `retried` does it for that one. A local disk that fails does not mend itself.
"""

import contextlib
import errno
import random
import time
import traceback
from collections.abc import Callable, Iterator
from typing import TypeVar

from oi_tfrecord.errors import InputError, OiTfrecordError, StorageError

Result = TypeVar("Result")

GO_ON = "then run the same command again, which goes on with what is finished"

ATTEMPTS = 5

_LIBRARIES = {"apache_beam", "boto3", "botocore", "google", "hdfs", "requests", "urllib3"}
"""The packages behind Beam's filesystems; their exceptions have no base class in common."""

_REMEDIES = {
    errno.ENOSPC: "Free space on its disk",
    errno.EDQUOT: "Free space within the quota of its disk",
    errno.EFBIG: "Raise the limit on the size of files, or give a larger --num_shards",
    errno.ENOENT: "Put it back, as it was removed while it was needed",
    errno.EACCES: "Give permission to it",
    errno.EPERM: "Give permission to it",
    errno.EROFS: "Give a folder that can be written to",
    errno.EMFILE: "Raise the limit on open files (ulimit -n)",
    errno.ENFILE: "Raise the limit on open files",
}

_OF_DISKS = {*_REMEDIES, errno.EIO}


def is_storage_fault(error: BaseException) -> bool:
    """Returns whether an exception comes from the operating system or from a library of a remote store."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in _LIBRARIES


def of_os_error(error: OSError, otherwise: str) -> StorageError:
    """Returns what a user is told of an OSError.

    Args:
        error: names its file, or not.
        otherwise: path to tell if it does not.
    """
    path = error.filename if error.filename is not None else otherwise
    remedy = _REMEDIES.get(error.errno or 0, "Check the path and its disk")
    return StorageError(_text(path), error.strerror or one_line(error), f"{remedy}, {GO_ON}")


@contextlib.contextmanager
def named(path: str) -> Iterator[None]:
    """Names the file in an OSError of the block that names none, as that of a full disk does not."""
    try:
        yield
    except OSError as error:
        # Others than those of a disk may come from what the block does besides.
        if error.filename is None and error.errno in _OF_DISKS:
            error.filename = path
        raise


@contextlib.contextmanager
def unusable(path: str) -> Iterator[None]:
    """Turns what Beam raises of an unknown scheme, or of flags that its filesystem lacks, into an InputError."""
    try:
        yield
    except ValueError as error:
        if not _is_raised_by_beam(error):
            raise
        remedy = "Check its scheme, and give the flags of its storage, such as --hdfs_host, --hdfs_port and --hdfs_user"
        raise InputError(path, one_line(error), remedy) from error


@contextlib.contextmanager
def unreachable(path: str) -> Iterator[None]:
    """Turns a fault of the remote store of `path` into a StorageError; one that tells of no file stays.

    What `unusable` turns into an InputError is one, too.
    """
    try:
        with unusable(path):
            yield
    except (OiTfrecordError, FileNotFoundError):
        raise
    except Exception as error:
        if not is_storage_fault(error) or (isinstance(error, OSError) and error.filename is not None):
            raise
        remedy = f"Check the address, the network, the credentials and the store, {GO_ON}"
        raise StorageError(path, f"its storage fails: {one_line(error)}", remedy) from error


def retried(function: Callable[[], Result], path: str, sleep: Callable[[float], None] = time.sleep) -> Result:
    """Calls a function again when a store that does not try again by itself cannot be reached.

    Args:
        function: reads only.
        path: of hdfs:// or another scheme than s3:// and gs://.
        sleep: waits so many seconds.

    Returns:
        What it returns within ATTEMPTS calls, which wait about 1, 2, 4 and 8 seconds for each other.
    """
    for attempt in range(ATTEMPTS - 1):
        try:
            return function()
        except OSError as error:
            if path.startswith(("s3://", "gs://")) or not _may_pass(error):
                raise
            sleep(random.uniform(0.75, 1.25) * 2**attempt)
    return function()


def _may_pass(error: OSError) -> bool:
    # Beam wraps what the client raised; requests' exceptions are OSErrors, those that tell of a file are not.
    causes = getattr(error, "exception_details", None)
    if isinstance(causes, dict):
        return any(isinstance(cause, OSError) and _may_pass(cause) for cause in causes.values())
    return type(error).__module__.partition(".")[0] == "requests" or isinstance(error, ConnectionError | TimeoutError)


def _is_raised_by_beam(error: BaseException) -> bool:
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).startswith("apache_beam.io.")


def one_line(error: BaseException) -> str:
    """Returns the text of an exception in one line without a full stop, cut where it is endless."""
    text = " ".join(str(error).split()) or type(error).__name__
    return (text if len(text) <= 300 else text[:300] + " ...").rstrip(".")


def _text(path: str | bytes | int) -> str:
    return path.decode(errors="backslashreplace") if isinstance(path, bytes) else str(path)
