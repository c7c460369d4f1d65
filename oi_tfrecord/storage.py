"""Files on any Beam filesystem, with a short way for local ones.

Beam is imported at the first remote path only: local reads of small files are a large part of
a conversion, and a system call costs a tenth of what a Beam filesystem object does.
"""

import contextlib
import dataclasses
import glob
import os
import pathlib
import posixpath
import re
import threading
import uuid
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from oi_tfrecord import local_files, object_store
from oi_tfrecord.storage_faults import named, retried, unreachable

_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]+://")
_COMPARED_BYTES = 8 << 20
ATOMIC_CREATE = ("gs://", "s3://")
"""Schemes whose files appear whole when they are closed, so that no temporary name is needed."""


@dataclasses.dataclass(frozen=True)
class FileInfo:
    """A file found by `match`.

    Attributes:
      path: its name.
      size: in bytes.
      modified: last modification, seconds since the epoch (0 where the storage does not tell).
    """

    path: str
    size: int
    modified: float


def is_local(path: str) -> bool:
    """Returns whether a path names a local file."""
    return not _SCHEME.match(path)


def join(folder: str, *parts: str) -> str:
    """Returns `parts` joined to `folder`; an absolute part or one with a scheme stands alone."""
    path = folder
    for part in parts:
        path = part if not is_local(part) else posixpath.join(path, part)
    return path


def escape(folder: str) -> str:
    """Returns the pattern that matches only this folder (Beam's patterns know no escape)."""
    return glob.escape(folder) if is_local(folder) else folder


def match(pattern: str) -> list[FileInfo]:
    """Returns the files that match a glob pattern, by name."""
    if is_local(pattern):
        found = local_files.find(pattern)
        return [FileInfo(path, info.st_size, info.st_mtime) for path, info in found]
    with unreachable(pattern):
        try:
            entries = retried(lambda: _filesystems().match([pattern])[0].metadata_list, pattern)
        except OSError:
            # A storage with folders may take a folder that is not there for a fault.
            folder = posixpath.dirname(re.split(r"[*?[]", pattern)[0])
            if pattern.startswith(ATOMIC_CREATE) or _filesystems().exists(folder):
                raise
            return []
    infos = [FileInfo(entry.path, entry.size_in_bytes, entry.last_updated_in_seconds or 0) for entry in entries]
    return sorted(infos, key=lambda info: info.path)


def match_first(pattern: str, endings: Sequence[str]) -> list[FileInfo]:
    """Returns the files that match a pattern with the first of `endings` that any matches with, by name."""
    if not pattern.startswith(ATOMIC_CREATE):
        return next((found for ending in endings if (found := match(pattern + ending))), [])
    # An object store lists all names that begin alike in one request; each question after one of them is another.
    from apache_beam.io.filesystem import FileSystem

    listed = match(pattern + "*")
    for ending in endings:
        wanted = re.compile(FileSystem.translate_pattern(pattern + ending))
        if found := [info for info in listed if wanted.fullmatch(info.path)]:
            return found
    return []


def exists(path: str) -> bool:
    """Returns whether a file or folder is there."""
    if is_local(path):
        return local_files.look_at(path) is not None
    with unreachable(path):
        return bool(retried(lambda: _filesystems().exists(path), path))


def open_read(path: str) -> BinaryIO:
    """Opens a file for reading its bytes as they are stored."""
    if is_local(path):
        return open(path, "rb")
    from apache_beam.io.filesystem import CompressionTypes

    return _filesystems().open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def read(path: str) -> bytes:
    """Returns the bytes of a file."""
    if is_local(path):
        with named(path), open(path, "rb") as stream:
            return stream.read()
    return _read_remote(path, 0, None)


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
    return _read_remote(path, offset, length)


def _read_remote(path: str, offset: int, length: int | None) -> bytes:
    with unreachable(path):
        if path.startswith(object_store.SCHEMES):
            return object_store.read(path, offset, length, _options_of_filesystems)
        try:
            return retried(lambda: _read_stream(path, offset, length), path)
        except Exception:
            # Asking first whether it is there would double the requests.
            if not exists(path):
                raise FileNotFoundError(2, "no such file", path) from None
            raise


def _read_stream(path: str, offset: int, length: int | None) -> bytes:
    with open_read(path) as opened:
        if length is None:
            return opened.read()
        # The buffer of HDFS fetches 20 MiB ahead, most of which may not be wanted.
        stream: Any = getattr(opened, "raw", opened)
        stream.seek(offset)
        pieces = []
        while length > 0 and (piece := stream.read(length)):
            pieces.append(piece)
            length -= len(piece)
        return b"".join(pieces)


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
    if path.startswith(ATOMIC_CREATE):
        with unreachable(path), _create_object(path) as stream:
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
    return open(path, "wb", buffering=0) if is_local(path) else _filesystems().create(path)


@contextlib.contextmanager
def _create_object(path: str) -> Iterator[BinaryIO]:
    from apache_beam.io.filesystem import CompressionTypes

    stream = _filesystems().create(path, compression_type=CompressionTypes.UNCOMPRESSED)
    try:
        yield stream
        stream.close()
    except BaseException:
        # The collector closes a stream that is left open, and then the object would appear after all.
        with contextlib.suppress(Exception):
            stream.close()
        with contextlib.suppress(Exception):
            delete(path)
        raise


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
        return
    filesystems = _filesystems()
    with unreachable(target):
        if filesystems.exists(target):
            if _have_equal_bytes(source, target):
                filesystems.delete([source])
                return
            filesystems.delete([target])
        filesystems.rename([source], [target])


def _have_equal_bytes(one: str, other: str) -> bool:
    with open_read(one) as first, open_read(other) as second:
        while (piece := first.read(_COMPARED_BYTES)) == second.read(_COMPARED_BYTES):
            if not piece:
                return True
    return False


def make_folder(path: str) -> None:
    """Makes a folder and its parents, where the storage has folders."""
    if is_local(path):
        pathlib.Path(path).mkdir(parents=True, exist_ok=True)
    elif not path.startswith(ATOMIC_CREATE):
        from apache_beam.io.filesystem import BeamIOError

        with contextlib.suppress(BeamIOError):
            _filesystems().mkdirs(path)


def delete(path: str) -> None:
    """Deletes a file (away from local disks also a folder); one that is not there is fine."""
    if is_local(path):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    elif exists(path):
        with unreachable(path):
            _filesystems().delete([path])


def delete_folder(path: str) -> None:
    """Deletes a folder and what it holds; one that is not there is fine."""
    if is_local(path):
        import shutil

        shutil.rmtree(path, ignore_errors=True)
    elif not path.startswith(ATOMIC_CREATE):
        delete(path)
    elif files := match(join(path, "**")):
        with unreachable(path):
            _filesystems().delete([info.path for info in files])


def use_options(beam_arguments: Sequence[str]) -> None:
    """Sets Beam's flags, among them those of filesystems, for this process; workers get them from the runner."""
    _options[:] = [list(beam_arguments)]
    object_store.forget_clients()


_options: list[list[str]] = []
_options_lock = threading.Lock()


def _filesystems():  # type: ignore[no-untyped-def]
    from apache_beam.io.filesystems import FileSystems

    with _options_lock:
        if _options:
            from apache_beam.options.pipeline_options import PipelineOptions

            FileSystems.set_options(PipelineOptions(_options.pop()))
    return FileSystems


def _options_of_filesystems() -> Any:
    """Returns the options as Beam's filesystems get them (`FileSystems.get_filesystem`)."""
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.options.value_provider import RuntimeValueProvider

    options = _filesystems()._pipeline_options or RuntimeValueProvider.runtime_options
    return options if isinstance(options, PipelineOptions) else PipelineOptions.from_dictionary(options or {})


def working_folder() -> str:
    """Returns the folder that relative local paths start from."""
    return os.getcwd()
