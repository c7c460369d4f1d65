"""Files on Beam's filesystems, such as gs://, s3:// and hdfs://; `storage` is for those of any kind.

Beam is imported when the first of them is used.
"""

import contextlib
import io
import posixpath
import re
import threading
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from oi_tfrecord.storage import object_store
from oi_tfrecord.storage.faults import retried, unreachable, unusable
from oi_tfrecord.storage.optional_imports import import_filesystems
from oi_tfrecord.storage.paths import FileInfo

ATOMIC_CREATE = ("gs://", "s3://")
"""Schemes whose files appear whole when they are closed, so that no temporary name is needed."""

_COMPARED_BYTES = 8 << 20


def use_options(beam_arguments: Sequence[str]) -> None:
    """Sets Beam's flags, among them those of filesystems, for this process."""
    _given[:] = beam_arguments
    _pending[:] = [list(beam_arguments)]
    object_store.forget_clients()


def given_options() -> tuple[str, ...]:
    """Returns the flags that `use_options` set last in this process."""
    return tuple(_given)


_given: list[str] = []

_pending: list[list[str]] = []

_options_lock = threading.Lock()


def _filesystems():  # type: ignore[no-untyped-def]
    from apache_beam.io.filesystems import FileSystems

    with _options_lock:
        import_filesystems()
        if _pending:
            from apache_beam.options.pipeline_options import PipelineOptions

            FileSystems.set_options(PipelineOptions(_pending.pop()))
    return FileSystems


def _options_of_filesystems() -> Any:
    """Returns the options as Beam's filesystems get them (`FileSystems.get_filesystem`)."""
    from apache_beam.options.pipeline_options import PipelineOptions
    from apache_beam.options.value_provider import RuntimeValueProvider

    options = _filesystems()._pipeline_options or RuntimeValueProvider.runtime_options
    return options if isinstance(options, PipelineOptions) else PipelineOptions.from_dictionary(options or {})


def match(pattern: str) -> list[FileInfo]:
    """Returns the files that match a glob pattern, by name."""
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
    """Returns the files of an object store that match a pattern with the first of `endings` that any matches with."""
    # It lists all names that begin alike in one request; each question after one of them is another.
    from apache_beam.io.filesystem import FileSystem

    listed = match(pattern + "*")
    for ending in endings:
        wanted = re.compile(FileSystem.translate_pattern(pattern + ending))
        if found := [info for info in listed if wanted.fullmatch(info.path)]:
            return found
    return []


def exists(path: str) -> bool:
    """Returns whether a file or folder is there."""
    with unreachable(path):
        return bool(retried(lambda: _filesystems().exists(path), path))


def open_read(path: str) -> BinaryIO:
    """Opens a file for reading its bytes as they are stored."""
    from apache_beam.io.filesystem import CompressionTypes

    with unusable(path):
        return _filesystems().open(path, compression_type=CompressionTypes.UNCOMPRESSED)


def read(path: str, offset: int, length: int | None) -> bytes:
    """Returns up to `length` bytes from `offset`, None for all; of an object store in one request."""
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


def open_write(path: str) -> BinaryIO:
    """Opens a file for writing under its name."""
    return _filesystems().create(path)


@contextlib.contextmanager
def create_object(path: str) -> Iterator[BinaryIO]:
    """Opens an object of ATOMIC_CREATE for writing; if the block raises, what had its name before stays."""
    from apache_beam.io.filesystem import CompressionTypes

    stream = _filesystems().create(path, compression_type=CompressionTypes.UNCOMPRESSED)
    try:
        yield stream
        if path.startswith("s3://") and not stream.tell():
            # Beam would complete an upload without any part, which S3 refuses as malformed.
            _abandon(stream)
            object_store.write_empty(path, _options_of_filesystems)
        else:
            stream.close()
    except BaseException:
        _abandon(stream)
        raise


def _abandon(stream: Any) -> None:
    """Ends a stream so that no object appears, as one would when the collector closes it."""
    with contextlib.suppress(Exception):
        if hasattr(stream, "terminate"):
            stream.terminate()
    # Closing by the base class skips what ends the upload; of gs:// the buffer tells whether it is closed.
    with contextlib.suppress(Exception):
        raw = getattr(stream, "raw", None) or getattr(stream, "_buffer", stream)
        io.IOBase.close(raw)


def rename(source: str, target: str) -> None:
    """Renames a file to a name that no file has."""
    with unreachable(target):
        _filesystems().rename([source], [target])


def replace(source: str, target: str) -> None:
    """Renames a file over `target`, see `storage.replace`."""
    with unreachable(target):
        if _filesystems().exists(target):
            if have_equal_bytes(source, target):
                _filesystems().delete([source])
                return
            _filesystems().delete([target])
        _filesystems().rename([source], [target])


def have_equal_bytes(one: str, other: str) -> bool:
    """Returns whether two files hold the same."""
    with open_read(one) as first, open_read(other) as second:
        while (piece := first.read(_COMPARED_BYTES)) == second.read(_COMPARED_BYTES):
            if not piece:
                return True
    return False


def make_folder(path: str) -> None:
    """Makes a folder and its parents, where the storage has folders."""
    if not path.startswith(ATOMIC_CREATE):
        from apache_beam.io.filesystem import BeamIOError

        with contextlib.suppress(BeamIOError):
            _filesystems().mkdirs(path)


def delete(path: str) -> None:
    """Deletes a file or folder; one that is not there is fine."""
    if exists(path):
        with unreachable(path):
            _filesystems().delete([path])


def delete_folder(path: str) -> None:
    """Deletes a folder and what it holds; one that is not there is fine."""
    if not path.startswith(ATOMIC_CREATE):
        delete(path)
    elif files := match(posixpath.join(path, "**")):
        with unreachable(path):
            _filesystems().delete([info.path for info in files])
