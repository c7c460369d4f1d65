"""A Beam filesystem in memory (`memory://`), for tests of what happens away from local disks.

It takes the harder side where filesystems differ: a rename refuses to replace, as on HDFS, and
a stream that is collected without being closed publishes its bytes, as on object stores.
"""

import io
from collections.abc import Iterator
from typing import Any, ClassVar

from apache_beam.io.filesystem import BeamIOError, CompressionTypes, FileMetadata, FileSystem
from apache_beam.options.pipeline_options import PipelineOptions


class _Upload(io.RawIOBase):
    def __init__(self, path: str):
        self._path = path
        self._data = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._data += data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            MemoryFileSystem.files[self._path] = bytes(self._data)
        super().close()


class MemoryFileSystem(FileSystem):
    files: ClassVar[dict[str, bytes]] = {}
    options: ClassVar[PipelineOptions | None] = None
    """Those that the last filesystem was made with."""

    def __init__(self, pipeline_options: PipelineOptions | None):
        super().__init__(pipeline_options)
        MemoryFileSystem.options = pipeline_options

    @classmethod
    def scheme(cls) -> str:
        return "memory"

    def join(self, basepath: str, *paths: str) -> str:
        return "/".join((basepath.rstrip("/"), *paths))

    def split(self, path: str) -> tuple[str, str]:
        head, _, tail = path.rpartition("/")
        return head, tail

    def mkdirs(self, path: str) -> None:
        raise BeamIOError("folder exists already", {path: "exists"})

    def has_dirs(self) -> bool:
        return True

    def _list(self, dir_or_prefix: str) -> Iterator[FileMetadata]:
        return (self.metadata(path) for path in list(self.files) if path.startswith(dir_or_prefix))

    def create(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> Any:
        return io.BufferedWriter(_Upload(path))

    def open(self, path: str, mime_type: str = "", compression_type: str = CompressionTypes.AUTO) -> Any:
        if path not in self.files:
            raise BeamIOError("no such file", {path: "missing"})
        assert self._get_compression_type(path, compression_type) == CompressionTypes.UNCOMPRESSED
        return io.BufferedReader(io.BytesIO(self.files[path]))

    def copy(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            self.files[target] = self.files[source]

    def rename(self, source_file_names: list[str], destination_file_names: list[str]) -> None:
        for source, target in zip(source_file_names, destination_file_names, strict=True):
            if target in self.files:
                raise BeamIOError("the target exists", {target: "exists"})
            self.files[target] = self.files.pop(source)

    def exists(self, path: str) -> bool:
        return any(name == path or name.startswith(path.rstrip("/") + "/") for name in self.files)

    def size(self, path: str) -> int:
        return len(self.files[path])

    def last_updated(self, path: str) -> float:
        return 0.0

    def metadata(self, path: str) -> FileMetadata:
        return FileMetadata(path, len(self.files[path]), 0.0)

    def delete(self, paths: list[str]) -> None:
        for path in paths:
            inner = [name for name in self.files if name == path or name.startswith(path + "/")]
            if not inner:
                raise BeamIOError("no such file", {path: "missing"})
            for name in inner:
                del self.files[name]
