"""Files on local disks.

A local read of a small file is a large part of a conversion, and a system call costs a tenth of what an object of one
of Beam's filesystems does.

`glob.glob` leaves out what it cannot list, and `os.path.exists` returns False for what it cannot look at. On a share
that fails for a moment, files would then be missing from a result without an error, so `match` and `exists` raise.
"""

import contextlib
import errno
import fnmatch
import glob
import os
import pathlib
import re
import stat
from collections.abc import Iterator
from typing import BinaryIO

from oi_tfrecord.storage.paths import FileInfo, temporary_path

_KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}

_NOT_THERE = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}


def match(pattern: str) -> list[FileInfo]:
    """Returns the files that `glob.glob` matches, by name."""
    found = ((path, _look_at(path)) for path in sorted(_names(pattern)))
    return [FileInfo(path, info.st_size, info.st_mtime) for path, info in found if info and stat.S_ISREG(info.st_mode)]


def exists(path: str) -> bool:
    """Returns whether a file or folder is there."""
    return _look_at(path) is not None


def find_other_kind(path: str) -> str:
    """Returns what a name stands for that is no file, such as `a pipe`; empty if a file or nothing has the name."""
    info = _look_at(path)
    if info is None:
        return "a link to nothing" if os.path.islink(path) else ""
    return "" if stat.S_ISREG(info.st_mode) else _kind_of(info.st_mode)


def size(path: str) -> int | None:
    """Returns the bytes of a file, None if it is not there."""
    info = _look_at(path)
    return info.st_size if info is not None and stat.S_ISREG(info.st_mode) else None


def open_file(path: str) -> int:
    """Opens a file for reading; returns its descriptor.

    Raises:
        OSError: also for what is no file: a pipe that nothing writes to would be waited for without an end.
    """
    return open_sized(path)[0]


def open_sized(path: str) -> tuple[int, int]:
    """Opens a file for reading; returns its descriptor and its size in bytes; raises as `open_file`."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, f"Is {_kind_of(found.st_mode)}, not a file", path)
    return descriptor, found.st_size


def open_read(path: str) -> BinaryIO:
    """Opens a file for reading its bytes; raises as `open_file`."""
    return os.fdopen(open_file(path), "rb")


def read(path: str) -> bytes:
    """Returns the bytes of a file; raises as `open_file`."""
    with open_read(path) as stream:
        return stream.read()


def read_range(path: str, offset: int, length: int) -> bytes:
    """Returns up to `length` bytes from `offset`."""
    descriptor = open_file(path)
    try:
        return read_fully(descriptor, offset, length)
    finally:
        os.close(descriptor)


def read_fully(descriptor: int, offset: int, length: int) -> bytes:
    """Returns up to `length` bytes of an open file from `offset`."""
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
    """Opens a file that appears under its name when the block ends; nothing appears if the block raises.

    Raises:
        OSError: Also where the name is that of a folder, device, pipe or socket, which would be replaced.
    """
    there = _look_at(path)
    if there is not None and not stat.S_ISREG(there.st_mode):
        raise OSError(errno.EINVAL, f"Is {_kind_of(there.st_mode)}, not a file", path)
    temporary = temporary_path(temporary_folder)
    try:
        with open(temporary, "wb", buffering=0) as stream:
            yield stream
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def make_folder(path: str) -> None:
    """Makes a folder and its parents."""
    pathlib.Path(path).mkdir(parents=True, exist_ok=True)


def delete(path: str) -> None:
    """Deletes a file; one that is not there is fine."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def delete_folder(path: str) -> None:
    """Deletes a folder with all its files as far as possible; one that is not there is fine."""
    import shutil

    shutil.rmtree(path, ignore_errors=True)


def _kind_of(mode: int) -> str:
    return _KINDS.get(stat.S_IFMT(mode), "a device")


def _look_at(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)
    except ValueError:
        return None
    except OSError as error:
        if error.errno in _NOT_THERE:
            return None
        raise


def _names(pattern: str) -> list[str]:
    folder, name = os.path.split(pattern)
    if not glob.has_magic(pattern):
        return [pattern]
    found = []
    for parent in _names(folder) if glob.has_magic(folder) else [folder]:
        if glob.has_magic(name):
            expression = re.compile(fnmatch.translate(name))
            found += [
                os.path.join(parent, entry)
                for entry in _list(parent)
                if expression.match(entry) and (name.startswith(".") or not entry.startswith("."))
            ]
        else:
            found.append(os.path.join(parent, name))
    return found


def _list(folder: str) -> list[str]:
    try:
        return os.listdir(folder or os.curdir)
    except (FileNotFoundError, NotADirectoryError):
        return []
