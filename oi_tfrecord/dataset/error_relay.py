"""Brings an error for the user from a worker to the process that started the run.

Runners pass on no more than the text of an exception, in words of their own. So a worker stores an error that names a
file in the work folder (`relay_errors`), and the process that started the run raises that error in place of the
runner's (`raise_relayed_errors`). If the work folder's storage is what fails, the error travels as base64 between two
marks in the text of an exception.
"""

import base64
import contextlib
import json
import re
from collections.abc import Iterator

from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.errors import (
    EncodedFileError,
    EngineError,
    FileError,
    InputError,
    OiTfrecordError,
    RunnerError,
    StorageError,
)
from oi_tfrecord.storage.faults import of_os_error
from oi_tfrecord.storage.secrets import without_secrets

_MARK = "oi_tfrecord-error:"


@contextlib.contextmanager
def relay_errors(work: WorkFolder) -> Iterator[None]:
    """Stores a FileError of the block for the process that started the run; an OSError becomes a StorageError.

    Args:
        work: folder that takes the error.

    Raises:
        FileError: the stored error.
        EncodedFileError: the error as text, if it cannot be stored.
    """
    try:
        yield
    except OSError as error:
        raise _store(work, of_os_error(error, work.path)) from error
    except FileError as error:
        raise _store(work, error) from error.__cause__


@contextlib.contextmanager
def raise_relayed_errors(work: WorkFolder) -> Iterator[None]:
    """Raises the error that a worker stored in place of what a runner raised in the block."""
    try:
        yield
    except Exception as error:
        raise find_relayed_error(work, error) or error from None


def find_relayed_error(work: WorkFolder, raised: BaseException) -> FileError | None:
    """Returns the error of a worker that ended this run; None if no worker had one.

    Args:
        work: folder of the stored error.
        raised: what the runner raised.
    """
    if isinstance(raised, EngineError):
        # The engine tried again after an error that a worker stored before, and succeeded.
        return None
    if encoded := re.search(f"{_MARK}([A-Za-z0-9+/=]+){_MARK}", str(raised)):
        return _decode(base64.b64decode(encoded[1]))
    with contextlib.suppress(OSError, FileError):
        stored = _decode(work.read_error())
        # The message of the engine names the error that ended the job; a retry corrected any other stored error.
        if not isinstance(raised, RunnerError) or type(stored).__name__ in str(raised):
            return stored
    return None


def _store(work: WorkFolder, error: FileError) -> OiTfrecordError:
    """Returns the error to raise: the stored one, or one whose text holds it."""
    data = _encode(error)
    try:
        work.write_error(data)
    except (OSError, FileError):
        return EncodedFileError(f"{_MARK}{base64.b64encode(data).decode()}{_MARK}")
    return error


def _encode(error: FileError) -> bytes:
    values = [isinstance(error, StorageError), error.path, error.problem, error.remedy, error.line]
    return json.dumps(without_secrets(values)).encode()


def _decode(data: bytes) -> FileError:
    of_storage, *values = json.loads(data)
    return (StorageError if of_storage else InputError)(*values)
