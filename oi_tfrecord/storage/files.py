"""Files on any Beam filesystem, with a short way for local ones.

Local reads of small files are a large part of a conversion, and a system call costs a tenth of what a Beam
filesystem object does.
"""

import contextlib
import os
import pathlib
import posixpath
import uuid
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from oi_tfrecord.storage import beam_filesystem as remote_storage
from oi_tfrecord.storage import local as local_files
from oi_tfrecord.storage.faults import named, unreachable
from oi_tfrecord.storage.paths import FileInfo, is_local, join


def store_of(path: str) -> str:
    """Returns the scheme of the object store that a path names an object of (`gs://`), empty if it names none."""
    return next((scheme for scheme in remote_storage.ATOMIC_CREATE if path.startswith(scheme)), "")


def match(pattern: str) -> list[FileInfo]:
    """Returns the files that match a glob pattern, by name."""
    if is_local(pattern):
        found = local_files.find(pattern)
        return [FileInfo(path, info.st_size, info.st_mtime) for path, info in found]
    return remote_storage.match(pattern)


def match_first(pattern: str, endings: Sequence[str]) -> list[FileInfo]:
    """Returns the files that match a pattern with the first of `endings` that any matches with, by name."""
    if not pattern.startswith(remote_storage.ATOMIC_CREATE):
        return next((found for ending in endings if (found := match(pattern + ending))), [])
    return remote_storage.match_first(pattern, endings)


def exists(path: str) -> bool:
    """Returns whether a file or folder is there."""
    return local_files.look_at(path) is not None if is_local(path) else remote_storage.exists(path)


def open_read(path: str) -> BinaryIO:
    """Opens a file for reading its bytes as they are stored."""
    return open(path, "rb") if is_local(path) else remote_storage.open_read(path)


def read(path: str) -> bytes:
    """Returns the bytes of a file."""
    if is_local(path):
        with named(path), open(path, "rb") as stream:
            return stream.read()
    return remote_storage.read(path, 0, None)


def read_range(path: str, offset: int, length: int) -> bytes:
    """Returns up to `length` bytes from `offset`; on object stores in one request.

    Raises:
        OSError: of a local file; FileNotFoundError also where a remote one is not there.
        StorageError: of remote storage that fails.
    """
    if is_local(path):
        with named(path):
            descriptor = os.open(path, os.O_RDONLY)
            try:
                return _read_fully(descriptor, offset, length)
            finally:
                os.close(descriptor)
    return remote_storage.read(path, offset, length)


def _read_fully(descriptor: int, offset: int, length: int) -> bytes:
    data = os.pread(descriptor, length, offset)
    if len(data) == length:
        return data
    pieces = [data]
    while data and (missing := length - sum(map(len, pieces))):
        data = os.pread(descriptor, missing, offset + length - missing)
        pieces.append(data)
    return b"".join(pieces)


@contextlib.contextmanager
def create(path: str, temporary_folder: str) -> Iterator[BinaryIO]:
    """Opens a file for writing that appears under its name only when it is complete.

    Args:
        path: final name; its folder exists or the storage needs none.
        temporary_folder: folder on the same storage for the file while it is written.

    Yields:
        The stream. If the block raises, nothing appears under `path`.
    """
    if path.startswith(remote_storage.ATOMIC_CREATE):
        with unreachable(path), remote_storage.create_object(path) as stream:
            yield stream
        return
    temporary = join(temporary_folder, f"{posixpath.basename(path)}.{uuid.uuid4().hex}.tmp")
    with named(path) if is_local(path) else unreachable(path):
        yield from _create_renamed(path, temporary)


def _create_renamed(path: str, temporary: str) -> Iterator[BinaryIO]:
    try:
        with _open_write(temporary) as stream:
            yield stream
        if is_local(path):
            os.replace(temporary, path)
        else:
            replace(temporary, path)
    except BaseException:
        with contextlib.suppress(Exception):
            delete(temporary)
        raise


def _open_write(path: str) -> BinaryIO:
    return open(path, "wb", buffering=0) if is_local(path) else remote_storage.open_write(path)


def write(path: str, data: bytes, temporary_folder: str) -> None:
    """Writes a small file; it appears under its name only when it is complete."""
    with create(path, temporary_folder) as stream:
        stream.write(data)


def replace(source: str, target: str) -> None:
    """Renames a file over `target`.

    Where a rename does not replace, a target with the same bytes stays: a runner may try again what has ended,
    and if that try is cut short between deleting and renaming, what the first one put there would be lost.
    """
    if is_local(source):
        os.replace(source, target)
    else:
        remote_storage.replace(source, target)


def replaces_at_once(path: str) -> bool:
    """Returns whether a file takes the place of another in one step, so that one of the two is there at any time."""
    return is_local(path) or path.startswith(remote_storage.ATOMIC_CREATE)


def make_folder(path: str) -> None:
    """Makes a folder and its parents, where the storage has folders."""
    if is_local(path):
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
    else:
        remote_storage.make_folder(path)


def delete(path: str) -> None:
    """Deletes a file (away from local disks also a folder); one that is not there is fine."""
    if is_local(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    else:
        remote_storage.delete(path)


def delete_folder(path: str) -> None:
    """Deletes a folder and what it holds; one that is not there is fine."""
    if is_local(path):
        import shutil

        shutil.rmtree(path, ignore_errors=True)
    else:
        remote_storage.delete_folder(path)


def use_options(beam_arguments: Sequence[str]) -> None:
    """Sets Beam's flags, among them those of filesystems, for this process; workers get them from the runner."""
    remote_storage.use_options(beam_arguments)


def working_folder() -> str:
    """Returns the folder that relative local paths start from."""
    return os.getcwd()
