"""Locks of an output folder, which end with the process that holds them.

Two runs of one split would delete each other's temporary files, and two runs that end at the same time would each
write a manifest without the other's split. On local disks the locks are those of `flock`: the system releases them when
a process ends, also by a crash. On object stores they are leases (`lease`). HDFS has no lock.
"""

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Iterator

from oi_tfrecord import storage
from oi_tfrecord.dataset.lease import HeldError, hold_or_refuse, hold_or_wait
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.storage.paths import is_object

FOLDER_LOCK = ".oi_tfrecord.lock"


def split_lock(split: str) -> str:
    """Returns the name of the lock file of a split."""
    return f".oi_tfrecord-{split}.lock"


@contextlib.contextmanager
def hold_split(output_dir: str, split: str) -> Iterator[None]:
    """Keeps other runs away from a split of an output folder.

    Args:
        output_dir: The folder; it is made if it is missing.
        split: Name of the split.

    Raises:
        ConfigError: If another process writes the split; the error names its host and process.
    """
    path = storage.join(output_dir, split_lock(split))
    if is_object(path):
        with contextlib.ExitStack() as held:
            try:
                held.enter_context(hold_or_refuse(path))
            except HeldError as error:
                raise _refused(output_dir, split, str(error)) from None
            yield
        return
    if not storage.is_local(output_dir):
        yield
        return
    storage.make_folder(output_dir)
    try:
        descriptor = _lock(path, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise _refused(output_dir, split, _holder(path)) from None
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"host": socket.gethostname(), "process": os.getpid()}).encode(), 0)
        yield
    finally:
        _release(path, descriptor)


@contextlib.contextmanager
def hold_folder(output_dir: str) -> Iterator[None]:
    """Waits until no other process changes what all splits of an output folder share, and keeps others waiting."""
    path = storage.join(output_dir, FOLDER_LOCK)
    if is_object(path):
        with hold_or_wait(path):
            yield
        return
    if not storage.is_local(output_dir):
        yield
        return
    descriptor = _lock(path, fcntl.LOCK_EX)
    try:
        yield
    finally:
        _release(path, descriptor)


def _refused(output_dir: str, split: str, holder: str) -> ConfigError:
    remedy = "wait for its end, or give another folder"
    return ConfigError("output_dir", f"the split {split!r} in {output_dir} is being written by {holder}; {remedy}")


def _lock(path: str, operation: int) -> int:
    """Returns the descriptor of a file that is locked by an operation of `flock`."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, operation)
        except OSError:
            os.close(descriptor)
            raise
        if _is_file_of(path, descriptor):
            return descriptor
        # The earlier holder deleted the file after this process had opened it.
        os.close(descriptor)


def _is_file_of(path: str, descriptor: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    return False


def _release(path: str, descriptor: int) -> None:
    # The name goes while the lock is held, so that no other process locks a file that is about to be deleted.
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    os.close(descriptor)


def _holder(path: str) -> str:
    with contextlib.suppress(OSError, ValueError, KeyError):
        holder = json.loads(storage.read(path))
        return f"process {holder['process']} on {holder['host']}"
    return "another process"
