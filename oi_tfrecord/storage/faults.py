"""What callers of `storage` get for a fault of a disk or of a remote store, and which faults pass by themselves.

Which layer sends a failed request again: botocore and the Google client do for each request (for a minute at most
where this program reads; Beam's S3 filesystem continues for minutes when it lists or writes), so a fault that they
raise has lasted. WebHDFS's client does not, so `beam_filesystem` does. A local disk that fails is not tried again.
"""

import contextlib
import errno
import traceback
from collections.abc import Iterator

from oi_tfrecord.errors import InputError, OiTfrecordError, StorageError
from oi_tfrecord.storage.paths import is_local

RERUN = "then run the same command again; what is finished is kept"

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

_DISK_ERRORS = {*_REMEDIES, errno.EIO}


def of_os_error(error: OSError, otherwise: str) -> StorageError:
    """Returns the error that a user reads for an OSError.

    Args:
        error: the error, which may name its file.
        otherwise: path to name if the error names none.
    """
    path = error.filename if error.filename is not None else otherwise
    remedy = _REMEDIES.get(error.errno or 0, "Check the path and its disk")
    return StorageError(_text(path), error.strerror or one_line(error), f"{remedy}, {RERUN}")


@contextlib.contextmanager
def translated(path: str) -> Iterator[None]:
    """Translates the faults of a block that uses a file.

    Args:
        path: the file. A local one is named in an OSError that names no file, as that of a full disk does not.

    Raises:
        StorageError: for a fault of the remote store of the file. FileNotFoundError and OSErrors that name a file
            are raised unchanged.
        InputError: see `unusable`.
    """
    try:
        with unusable(path):
            yield
    except OSError as error:
        if is_local(path):
            # The block may do more than use the file, so other errors may not be of its disk.
            if error.filename is None and error.errno in _DISK_ERRORS:
                error.filename = path
            raise
        if isinstance(error, FileNotFoundError) or error.filename is not None:
            raise
        raise _of_store(error, path) from error
    except Exception as error:
        if is_local(path) or isinstance(error, OiTfrecordError) or not _is_of_library(error):
            raise
        raise _of_store(error, path) from error


@contextlib.contextmanager
def unusable(path: str) -> Iterator[None]:
    """Turns what Beam raises for an unknown scheme, or for missing flags of a filesystem, into an InputError."""
    try:
        yield
    except ValueError as error:
        if not _is_raised_by_beam(error):
            raise
        if "Unable to get filesystem" in str(error):
            scheme = path.partition("://")[0]
            raise InputError(path, f"no storage is known by {scheme}://", _scheme_remedy(scheme)) from error
        remedy = "Give the flags of its storage, such as --hdfs_host, --hdfs_port and --hdfs_user"
        raise InputError(path, one_line(error), remedy) from error


def _scheme_remedy(scheme: str) -> str:
    # Readers load few modules.
    from oi_tfrecord.storage.optional_imports import install_command

    if extra := {"hdfs": "hadoop", "gs": "gcp"}.get(scheme):
        return f"Run: {install_command(extra)}"
    return "Give a local path, or one on s3://, gs://, az://, or hdfs:// (with --hdfs_host)"


def may_pass(error: BaseException) -> bool:
    """Returns whether a request to WebHDFS that failed may succeed when it is sent again."""
    # Beam wraps what the client raised. The exceptions of requests are OSErrors, as are those that name a file.
    causes = getattr(error, "exception_details", None)
    if isinstance(causes, dict):
        return any(may_pass(cause) for cause in causes.values())
    return isinstance(error, ConnectionError | TimeoutError) or (
        isinstance(error, OSError) and type(error).__module__.partition(".")[0] == "requests"
    )


def one_line(error: BaseException) -> str:
    """Returns the text of an exception in one line of at most about 300 characters, without a full stop."""
    text = " ".join(str(error).split()) or type(error).__name__
    return (text if len(text) <= 300 else text[:300] + " ...").rstrip(".")


def _of_store(error: Exception, path: str) -> StorageError:
    remedy = f"Check the address, the network, the credentials and the store, {RERUN}"
    return StorageError(path, f"its storage fails: {one_line(error)}", remedy)


def _is_of_library(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in _LIBRARIES


def _is_raised_by_beam(error: BaseException) -> bool:
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).startswith("apache_beam.io.")


def _text(path: str | bytes | int) -> str:
    return path.decode(errors="backslashreplace") if isinstance(path, bytes) else str(path)
