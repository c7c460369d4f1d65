"""Objects in a forked process: the threads of `obstore` are gone there, so a helper process sends the requests.

PyTorch's DataLoader forks its workers on Linux. Threads of the parent do not exist in a forked process, and a request
that waits for them would never end.

  python -m oi_tfrecord.storage.forked_store    # takes pickled requests from its standard input
"""

import dataclasses
import itertools
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from oi_tfrecord.storage.object_requests import Piece
from oi_tfrecord.storage.object_store import ObjectStore
from oi_tfrecord.storage.object_streams import Upload
from oi_tfrecord.storage.open_object_store import open_store
from oi_tfrecord.storage.paths import FileInfo
from oi_tfrecord.storage.store_settings import StoreSettings


@dataclasses.dataclass(frozen=True)
class ForkedStore(ObjectStore):
    """A store whose requests a helper process sends, one after the other.

    Attributes:
        helper: the process.
        lock: keeps the threads of this process from mixing their requests.
    """

    helper: Any = None
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock, compare=False)

    def read_range(self, path: str, offset: int, length: int | None) -> bytes:
        """See `ObjectStore.read_range`."""
        return bytes(self._call("read_range", path, offset, length))

    def read_start(self, path: str, length: int) -> Piece:
        """See `ObjectStore.read_start`."""
        return Piece(*self._call("read_start", path, length))

    def look(self, path: str) -> FileInfo | None:
        """See `ObjectStore.look`."""
        found: FileInfo | None = self._call("look", path)
        return found

    def find(self, folder: str, stem: str, *, is_deep: bool) -> list[FileInfo]:
        """See `ObjectStore.find`."""
        found: list[FileInfo] = self._call("find", folder, stem, is_deep=is_deep)
        return found

    def folders(self, folder: str) -> list[str]:
        """See `ObjectStore.folders`."""
        found: list[str] = self._call("folders", folder)
        return found

    def has_folder(self, folder: str) -> bool:
        """See `ObjectStore.has_folder`."""
        return bool(self._call("has_folder", folder))

    def write(self, path: str, data: bytes) -> None:
        """See `ObjectStore.write`."""
        self._call("write", path, data)

    def write_parts(self, path: str, parts: Iterator[bytes]) -> None:
        """See `ObjectStore.write_parts`."""
        # One call for each part: who makes the parts may need this store for it, as to read images.
        upload = self._call("begin_upload", path)
        try:
            for part in parts:
                self._call("add_part", upload, part)
        except BaseException:
            self._call("abandon_upload", upload)
            raise
        self._call("complete_upload", upload)

    def delete(self, paths: Sequence[str]) -> None:
        """See `ObjectStore.delete`."""
        self._call("delete", list(paths))

    def rename(self, source: str, target: str) -> None:
        """See `ObjectStore.rename`."""
        self._call("rename", source, target)

    def _call(self, method: str, *values: Any, **named: Any) -> Any:
        with self.lock:
            pickle.dump((method, values, named), self.helper.stdin)
            self.helper.stdin.flush()
            result, error = pickle.load(self.helper.stdout)
        if error is not None:
            raise error
        return result


def open_forked_store(root: str, settings: StoreSettings) -> ForkedStore:
    """Starts the helper of a store.

    Args:
        root: scheme and bucket, or scheme and host.
        settings: how the store is reached.
    """
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    helper = subprocess.Popen(
        [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
    )
    pickle.dump((root, settings), helper.stdin)  # type: ignore[arg-type]
    return ForkedStore(root, reader=None, looker=None, writer=None, helper=helper)


class _Served:
    """What a helper process does for its parent: the methods of a store, and uploads part by part."""

    def __init__(self, store: ObjectStore):
        self._store = store
        self._uploads: dict[int, Upload] = {}
        self._numbers = itertools.count()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def begin_upload(self, path: str) -> int:
        number = next(self._numbers)
        self._uploads[number] = Upload(self._store, path)
        return number

    def add_part(self, number: int, part: bytes) -> None:
        self._uploads[number].write(part)

    def complete_upload(self, number: int) -> None:
        self._uploads.pop(number).complete()

    def abandon_upload(self, number: int) -> None:
        self._uploads.pop(number).abandon()


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    """Answers requests until there are no more: the process that sends them has ended."""
    served = _Served(open_store(*pickle.load(requests)))
    while True:
        try:
            method, values, named = pickle.load(requests)
        except EOFError:
            return
        result: Any = None
        fault: Exception | None = None
        try:
            result = getattr(served, method)(*values, **named)
        except Exception as error:
            fault = error
        pickle.dump((result, fault), answers)
        answers.flush()


if __name__ == "__main__":
    serve(sys.stdin.buffer, sys.stdout.buffer)
