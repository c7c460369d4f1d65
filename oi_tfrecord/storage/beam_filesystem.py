"""Files on Beam's filesystems: hdfs://, and the emulator of gs:// (see `object_files`).

Beam and the clients of its filesystems are imported when the first of these files is used.
"""

import contextlib
import io
import posixpath
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, BinaryIO, TypeVar

from oi_tfrecord.storage.faults import may_pass
from oi_tfrecord.storage.paths import FileInfo, temporary_path
from oi_tfrecord.storage.retry import RetryPolicy, retry
from oi_tfrecord.storage.store_settings import lock, take_new_flags

ATOMIC_CREATE = ("gs://",)
"""Schemes whose files appear whole when they are closed, so that no temporary name is needed."""

RETRY = RetryPolicy(attempts=5, base_delay=2.0)
"""For WebHDFS: its client sends a failed request once only."""

_COMPARED_BYTES = 8 << 20

Result = TypeVar("Result")


def match(pattern: str) -> list[FileInfo]:
    """Returns the files that match a glob pattern, by name."""
    try:
        entries = _retried(pattern, lambda: _filesystems().match([pattern])[0].metadata_list)
    except OSError:
        # A storage with folders may raise for a folder that is not there.
        folder = posixpath.dirname(re.split(r"[*?[]", pattern)[0])
        if pattern.startswith(ATOMIC_CREATE) or _filesystems().exists(folder):
            raise
        return []
    infos = [FileInfo(entry.path, entry.size_in_bytes, entry.last_updated_in_seconds or 0) for entry in entries]
    return sorted(infos, key=lambda info: info.path)


def match_first(pattern: str, endings: Sequence[str]) -> list[FileInfo]:
    """Returns the files of an object store that match a pattern with the first of `endings` that any matches with."""
    # One request lists all names that begin with the pattern; a request per ending would be more.
    from apache_beam.io.filesystem import FileSystem

    listed = match(pattern + "*")
    for ending in endings:
        expression = re.compile(FileSystem.translate_pattern(pattern + ending))
        if found := [info for info in listed if expression.fullmatch(info.path)]:
            return found
    return []


def exists(path: str) -> bool:
    """Returns whether a file or folder is there."""
    return _retried(path, lambda: bool(_filesystems().exists(path)))


def open_read(path: str) -> BinaryIO:
    """Opens a file for reading its bytes as they are stored."""
    from apache_beam.io.filesystem import CompressionTypes

    return _filesystems().open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def read_range(path: str, offset: int, length: int | None) -> bytes:
    """Returns up to `length` bytes from `offset`, None for all."""
    try:
        return _retried(path, lambda: _read_stream(path, offset, length))
    except Exception:
        # Looking for the file before each read would double the requests.
        if not exists(path):
            raise FileNotFoundError(2, "no such file", path) from None
        raise


def size(path: str) -> int | None:
    """Returns the bytes of a file, None if it is not there."""
    found = match(path)
    return found[0].size if found else None


@contextlib.contextmanager
def create(path: str, temporary_folder: str) -> Iterator[BinaryIO]:
    """Opens a file that appears under its name when the block ends; nothing appears if the block raises."""
    with _create_object(path) if path.startswith(ATOMIC_CREATE) else _create_renamed(path, temporary_folder) as stream:
        yield stream


def rename(source: str, target: str) -> None:
    """Renames a file to a name that no file has."""
    _filesystems().rename([source], [target])


def replace(source: str, target: str) -> None:
    """Renames a file over `target`, or deletes it if `target` has the same bytes.

    A runner may try again what has ended. If that try is cut short between deleting and renaming, the file that the
    first try wrote would be lost.
    """
    if _filesystems().exists(target):
        if _have_equal_bytes(source, target):
            _filesystems().delete([source])
            return
        _filesystems().delete([target])
    rename(source, target)


def make_folder(path: str) -> None:
    """Makes a folder and its parents, where the storage has folders."""
    if not path.startswith(ATOMIC_CREATE):
        from apache_beam.io.filesystem import BeamIOError

        with contextlib.suppress(BeamIOError):
            _filesystems().mkdirs(path)


def delete(path: str) -> None:
    """Deletes a file or folder; one that is not there is fine."""
    if exists(path):
        _filesystems().delete([path])


def delete_folder(path: str) -> None:
    """Deletes a folder with all its files; one that is not there is fine."""
    if not path.startswith(ATOMIC_CREATE):
        delete(path)
    elif match(posixpath.join(path, "**")):
        # With a pattern, the filesystem deletes many files in one request.
        _filesystems().delete([posixpath.join(path, "**")])


def _filesystems():  # type: ignore[no-untyped-def]
    from apache_beam.io.filesystems import FileSystems
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.options.value_provider import RuntimeValueProvider

    from oi_tfrecord.storage.optional_imports import import_filesystems

    with lock:
        import_filesystems()
        flags = take_new_flags()
        if flags is not None or not (FileSystems._pipeline_options or RuntimeValueProvider.runtime_options):
            FileSystems.set_options(PipelineOptions(list(flags or ())))
    return FileSystems


def _retried(path: str, request: Callable[[], Result]) -> Result:
    """Sends a request that only reads, again where the client of the storage does not do so by itself."""
    return request() if path.startswith(ATOMIC_CREATE) else retry(request, may_pass, RETRY)


def _read_stream(path: str, offset: int, length: int | None) -> bytes:
    with open_read(path) as opened:
        if length is None:
            return opened.read()
        # The buffer of HDFS fetches 20 MiB ahead, most of which may not be needed.
        stream: Any = getattr(opened, "raw", opened)
        stream.seek(offset)
        pieces = []
        while length > 0 and (piece := stream.read(length)):
            pieces.append(piece)
            length -= len(piece)
        return b"".join(pieces)


@contextlib.contextmanager
def _create_object(path: str) -> Iterator[BinaryIO]:
    from apache_beam.io.filesystem import CompressionTypes

    stream = _filesystems().create(path, compression_type=CompressionTypes.UNCOMPRESSED)
    try:
        yield stream
        stream.close()
    except BaseException:
        _abandon(stream)
        raise


@contextlib.contextmanager
def _create_renamed(path: str, temporary_folder: str) -> Iterator[BinaryIO]:
    temporary = temporary_path(temporary_folder)
    try:
        with _filesystems().create(temporary) as stream:
            yield stream
        replace(temporary, path)
    except BaseException:
        with contextlib.suppress(Exception):
            delete(temporary)
        raise


def _abandon(stream: Any) -> None:
    """Ends a stream so that no object appears, as one would when the garbage collector closes the stream."""
    with contextlib.suppress(Exception):
        if hasattr(stream, "terminate"):
            stream.terminate()
    # Closing by the base class skips what ends the upload; the buffer of gs:// knows whether it is closed.
    with contextlib.suppress(Exception):
        raw = getattr(stream, "raw", None) or getattr(stream, "_buffer", stream)
        io.IOBase.close(raw)


def _have_equal_bytes(one: str, other: str) -> bool:
    with open_read(one) as first, open_read(other) as second:
        while (piece := first.read(_COMPARED_BYTES)) == second.read(_COMPARED_BYTES):
            if not piece:
                return True
    return False
