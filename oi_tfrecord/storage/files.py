"""Files on any storage: the public face of this room.

Each function chooses `local` or `beam_filesystem` by the path, and translates what they raise.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from oi_tfrecord.storage import beam_filesystem, local
from oi_tfrecord.storage.beam_filesystem import given_options as given_options
from oi_tfrecord.storage.beam_filesystem import use_options as use_options
from oi_tfrecord.storage.faults import translated, unusable
from oi_tfrecord.storage.paths import FileInfo, is_local


def store_of(path: str) -> str:
    """Returns the scheme of the object store that a path names an object of (`gs://`), empty if it names none."""
    return next((scheme for scheme in beam_filesystem.ATOMIC_CREATE if path.startswith(scheme)), "")


def match(pattern: str) -> list[FileInfo]:
    """Returns the files that match a glob pattern, by name."""
    with translated(pattern):
        return local.match(pattern) if is_local(pattern) else beam_filesystem.match(pattern)


def match_first(pattern: str, endings: Sequence[str]) -> list[FileInfo]:
    """Returns the files that match a pattern with the first of `endings` that any matches with, by name."""
    if not pattern.startswith(beam_filesystem.ATOMIC_CREATE):
        return next((found for ending in endings if (found := match(pattern + ending))), [])
    with translated(pattern):
        return beam_filesystem.match_first(pattern, endings)


def exists(path: str) -> bool:
    """Returns whether a file or folder is there."""
    with translated(path):
        return local.exists(path) if is_local(path) else beam_filesystem.exists(path)


def open_read(path: str) -> BinaryIO:
    """Opens a file for reading its bytes as they are stored.

    Raises:
        InputError: if its scheme is unknown, or flags of its storage are missing.
        Exception: of the library of a remote store; what reads raise later is not translated either.
    """
    with unusable(path):
        return local.open_read(path) if is_local(path) else beam_filesystem.open_read(path)


def read(path: str) -> bytes:
    """Returns the bytes of a file; raises as `read_range`."""
    with translated(path):
        return local.read(path) if is_local(path) else beam_filesystem.read_range(path, 0, None)


def size(path: str, *, anonymous: bool = False) -> int | None:
    """Returns the bytes of a file, None if it is not there.

    Args:
        path: the file.
        anonymous: whether an object store is asked without credentials.
    """
    with translated(path):
        return local.size(path) if is_local(path) else beam_filesystem.size(path, anonymous)


def read_range(path: str, offset: int, length: int, *, anonymous: bool = False) -> bytes:
    """Returns up to `length` bytes from `offset`; on object stores and web servers in one request.

    Args:
        path: the file.
        offset: first byte.
        length: bytes at most.
        anonymous: whether an object store is asked without credentials.

    Raises:
        OSError: of a local file; FileNotFoundError also where a remote one is not there.
        StorageError: of remote storage that fails.
    """
    with translated(path):
        if is_local(path):
            return local.read_range(path, offset, length)
        return beam_filesystem.read_range(path, offset, length, anonymous)


@contextlib.contextmanager
def create(path: str, temporary_folder: str) -> Iterator[BinaryIO]:
    """Opens a file for writing that appears under its name only when it is complete.

    Args:
        path: final name; its folder exists or the storage needs none.
        temporary_folder: folder on the same storage for the file while it is written.

    Yields:
        The stream, unbuffered on a local disk. If the block raises, nothing appears under `path`.
    """
    create_file = local.create if is_local(path) else beam_filesystem.create
    with translated(path), create_file(path, temporary_folder) as stream:
        yield stream


def write(path: str, data: bytes, temporary_folder: str) -> None:
    """Writes a small file; it appears under its name only when it is complete."""
    with create(path, temporary_folder) as stream:
        stream.write(data)


def rename(source: str, target: str) -> None:
    """Renames a remote file to a name that no file has."""
    with translated(target):
        beam_filesystem.rename(source, target)


def replaces_at_once(path: str) -> bool:
    """Returns whether a file takes the place of another in one step, so that one of the two is there at any time."""
    return is_local(path) or path.startswith(beam_filesystem.ATOMIC_CREATE)


def make_folder(path: str) -> None:
    """Makes a folder and its parents, where the storage has folders."""
    with translated(path):
        local.make_folder(path) if is_local(path) else beam_filesystem.make_folder(path)


def delete(path: str) -> None:
    """Deletes a file (away from local disks also a folder); one that is not there is fine."""
    with translated(path):
        local.delete(path) if is_local(path) else beam_filesystem.delete(path)


def delete_folder(path: str) -> None:
    """Deletes a folder with all its files; one that is not there is fine."""
    with translated(path):
        local.delete_folder(path) if is_local(path) else beam_filesystem.delete_folder(path)


def working_folder() -> str:
    """Returns the folder that relative local paths start from."""
    return os.getcwd()
