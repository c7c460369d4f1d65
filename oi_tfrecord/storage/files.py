"""Files on any storage: the public face of this room.

Each function chooses `local`, `object_files` or `beam_filesystem` by the path, and translates what they raise.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.storage import local
from oi_tfrecord.storage.faults import translated, unusable
from oi_tfrecord.storage.paths import OBJECT_SCHEMES, READ_SCHEMES, FileInfo, is_local, is_object, join
from oi_tfrecord.storage.store_settings import given_options as given_options
from oi_tfrecord.storage.store_settings import parse_storage_options, use_settings
from oi_tfrecord.storage.store_settings import start_command as start_command
from oi_tfrecord.storage.store_settings import use_options as use_options

_LOCAL_THREADS, _REMOTE_THREADS = 1, 64

_AHEAD_BYTES = 16 << 20


def store_of(path: str) -> str:
    """Returns the scheme of the object store that a path names an object of (`gs://`), empty if it names none."""
    return next((scheme for scheme in OBJECT_SCHEMES if path.startswith(scheme)), "")


def use_store(path: str, storage_options: Mapping[str, Any]) -> None:
    """Sets how this process reaches the store of a path, in place of Beam's flags and of the environment.

    Args:
        path: a file or folder of the store.
        storage_options: settings by the names of `StoreSettings`; none leaves everything as it is.

    Raises:
        ConfigError: for an unknown name or a bad value, or a path that lies in no object store.
    """
    if not storage_options:
        return
    settings = parse_storage_options(storage_options)
    scheme, _, rest = path.partition("://")
    if not store_of(path):
        raise ConfigError(
            "storage_options", f"{path} lies in no object store: its path begins with s3://, gs:// or az://"
        )
    use_settings(f"{scheme}://{rest.partition('/')[0]}", settings)


def match(pattern: str) -> list[FileInfo]:
    """Returns the files that match a glob pattern, by name."""
    with translated(pattern):
        found: list[FileInfo] = _module_of(pattern).match(pattern)
        return found


def match_first(pattern: str, endings: Sequence[str]) -> list[FileInfo]:
    """Returns the files that match a pattern with the first of `endings` that any matches with, by name."""
    if not store_of(pattern):
        return next((found for ending in endings if (found := match(pattern + ending))), [])
    with translated(pattern):
        if is_object(pattern):
            return _objects().match_first(pattern, endings)
        return _beam().match_first(pattern, endings)


def exists(path: str) -> bool:
    """Returns whether a file or folder is there."""
    with translated(path):
        return bool(_module_of(path).exists(path))


def find_other_kind(path: str) -> str:
    """Returns what a local name stands for that is no file, such as `a pipe`; empty for all else."""
    with translated(path):
        return "" if store_of(path) else local.find_other_kind(path)


def open_read(path: str) -> BinaryIO:
    """Opens a file for reading its bytes as they are stored.

    Raises:
        InputError: if its scheme is unknown, or flags of its storage are missing.
        StorageError: of an object store, also when the stream is read.
        Exception: of the library of HDFS; what reads raise later is not translated either.
    """
    with unusable(path):
        stream: BinaryIO = _module_of(path).open_read(path)
        return stream


def read(path: str) -> bytes:
    """Returns the bytes of a file; raises as `read_range`."""
    with translated(path):
        return local.read(path) if is_local(path) else _read_remote(path, 0, None)


def read_all(paths: Sequence[str]) -> Iterator[bytes]:
    """Yields the bytes of small files in their order; many reads of remote files are under way at once."""
    from oi_tfrecord.storage.read_ahead import map_in_order

    threads = _LOCAL_THREADS if all(map(is_local, paths)) else _REMOTE_THREADS
    yield from map_in_order(read, paths, threads=threads, max_bytes=_AHEAD_BYTES, size_of=len, items_per_task=1)


def size(path: str, *, anonymous: bool = False) -> int | None:
    """Returns the bytes of a file, None if it is not there.

    Args:
        path: the file.
        anonymous: whether an object store is asked without credentials.
    """
    with translated(path):
        if is_local(path):
            return local.size(path)
        if not path.startswith(READ_SCHEMES):
            return _beam().size(path)
        found = _objects().look(path, anonymous=anonymous)
        return found.size if found else None


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
        return _read_remote(path, offset, length, anonymous=anonymous)


@contextlib.contextmanager
def create(path: str, temporary_folder: str) -> Iterator[BinaryIO]:
    """Opens a file for writing that appears under its name only when it is complete.

    Args:
        path: final name; its folder exists or the storage needs none.
        temporary_folder: folder on the same storage for the file while it is written.

    Yields:
        The stream, unbuffered on a local disk. If the block raises, nothing appears under `path`.
    """
    with translated(path), _create(path, temporary_folder) as stream:
        yield stream


def write(path: str, data: bytes, temporary_folder: str) -> None:
    """Writes a small file; it appears under its name only when it is complete."""
    with create(path, temporary_folder) as stream:
        stream.write(data)


def rename(source: str, target: str) -> None:
    """Renames a remote file to a name that no file has."""
    with translated(target):
        (_objects() if is_object(target) else _beam()).rename(source, target)


def replaces_at_once(path: str) -> bool:
    """Returns whether a file takes the place of another in one step, so that one of the two is there at any time."""
    return is_local(path) or bool(store_of(path))


def make_folder(path: str) -> None:
    """Makes a folder and its parents, where the storage has folders."""
    with translated(path):
        if is_local(path):
            local.make_folder(path)
        elif not is_object(path):
            _beam().make_folder(path)


def delete(path: str) -> None:
    """Deletes a file (away from local disks also a folder); one that is not there is fine."""
    with translated(path):
        _module_of(path).delete(path)


def delete_all(folder: str, names: Sequence[str]) -> None:
    """Deletes files of a folder, on object stores many with one request; those that are not there are fine."""
    with translated(folder):
        if is_object(folder):
            _objects().delete_all(folder, names)
        else:
            for name in names:
                delete(join(folder, name))


def delete_folder(path: str) -> None:
    """Deletes a folder with all its files; one that is not there is fine."""
    with translated(path):
        _module_of(path).delete_folder(path)


def working_folder() -> str:
    """Returns the folder that relative local paths start from."""
    return os.getcwd()


def _module_of(path: str) -> Any:
    """Returns the module that works on a file."""
    if is_local(path):
        return local
    return _objects() if is_object(path) else _beam()


def _read_remote(path: str, offset: int, length: int | None, *, anonymous: bool = False) -> bytes:
    if path.startswith(READ_SCHEMES):
        return _objects().read_range(path, offset, length, anonymous=anonymous)
    return _beam().read_range(path, offset, length)


def _create(path: str, temporary_folder: str) -> contextlib.AbstractContextManager[BinaryIO]:
    if is_local(path):
        return local.create(path, temporary_folder)
    return _objects().create(path) if is_object(path) else _beam().create(path, temporary_folder)


def _beam() -> Any:
    """Returns the module of other remote files, which is imported when the first such file is used."""
    from oi_tfrecord.storage import beam_filesystem

    return beam_filesystem


def _objects() -> Any:
    """Returns the module of object stores, which is imported with the first remote path."""
    from oi_tfrecord.storage import object_files

    return object_files
