"""The bytes of a file that came so far, on a local disk, and of which file they are."""

import contextlib
import dataclasses
import fcntl
import hashlib
import io
import json
import os
import pathlib
from collections.abc import Iterator

from oi_tfrecord.errors import StorageError
from oi_tfrecord.settings.published_files import PublishedFile


@dataclasses.dataclass(frozen=True)
class FileVersion:
    """One version of a file on a server.

    Attributes:
        url: its address.
        validator: its strong ETag, or the date of its last change; empty if the server gives none.
        size: its number of bytes; None if the server does not say.
    """

    url: str
    validator: str
    size: int | None


@dataclasses.dataclass(frozen=True)
class PartFile:
    """A file that is being downloaded; `open_part` opens it.

    Attributes:
        path: its name. A file beside it, with `.json` added, keeps the version.
        stream: unbuffered, for reading, and for writing at the end.
    """

    path: pathlib.Path
    stream: io.FileIO

    @property
    def size(self) -> int:
        """Number of bytes that came."""
        return os.fstat(self.stream.fileno()).st_size

    def empty(self) -> int:
        """Drops all bytes; returns how many they were."""
        dropped = self.size
        self.stream.truncate(0)
        return dropped

    def read_version(self, url: str) -> FileVersion | None:
        """Returns of which version the bytes are; None if that is not known, or they are of another address."""
        with contextlib.suppress(OSError, ValueError, TypeError):
            version = FileVersion(*json.loads(self._version_path.read_text(encoding="utf-8")))
            return version if version.url == url else None
        return None

    def write_version(self, version: FileVersion) -> None:
        """Keeps of which version the bytes are."""
        self._version_path.write_text(json.dumps(dataclasses.astuple(version)), encoding="utf-8")

    def forget_version(self) -> None:
        """Removes the version of a file that is complete."""
        self._version_path.unlink(missing_ok=True)

    def find_fault(self, file: PublishedFile) -> str:
        """Compares the bytes with what is known of the file; returns the difference, or an empty string."""
        if file.size is not None and self.size != file.size:
            return f"it has {self.size:,} bytes, the published file has {file.size:,}"
        for name, expected in (("sha256", file.sha256), ("md5", file.md5)):
            if expected:
                self.stream.seek(0)
                found = hashlib.file_digest(self.stream, name).hexdigest()
                return "" if found == expected else f"its {name.upper()} is {found}, the published file has {expected}"
        return ""

    @property
    def _version_path(self) -> pathlib.Path:
        return self.path.with_name(self.path.name + ".json")


@contextlib.contextmanager
def open_part(path: pathlib.Path) -> Iterator[PartFile]:
    """Opens the part file with this name, in a folder that exists.

    Raises:
        StorageError: if another process has it open.
    """
    with open(path, "a+b", buffering=0) as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(str(path), "another run downloads this file", "Wait until that run ends") from None
        yield PartFile(path, stream)
