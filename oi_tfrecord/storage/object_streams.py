"""Streams of objects: one that reads ranges of an object, and one that writes an object in parts."""

import concurrent.futures
import io
import queue
from collections.abc import Iterator
from typing import Any, BinaryIO

from oi_tfrecord.storage.object_store import PART_BYTES, ObjectStore
from oi_tfrecord.storage.streams import PositionedStream

FIRST_BYTES = 64 << 10
"""Bytes of the first request, and of one after a jump; each request after it asks for twice as many."""

_MOST_BYTES = 8 << 20

_PARTS_WAITING = 2

_POLL_SECONDS = 0.5


def open_object(store: ObjectStore, path: str) -> BinaryIO:
    """Opens an object for reading; the first request is sent at once, so that a missing object raises here."""
    return io.BufferedReader(_Ranges(store, path), FIRST_BYTES)


class _Ranges(PositionedStream):
    """Reads an object range by range: small ones where a caller jumps, large ones where a caller continues.

    Once ranges have the largest size, the next range is read while the caller uses the last one.
    """

    def __init__(self, store: ObjectStore, path: str):
        self._store = store
        self._path = path
        self._data, self._size = store.read_start(path, FIRST_BYTES)
        self._start = 0
        self._next_bytes = 2 * FIRST_BYTES
        self._executor: concurrent.futures.Executor | None = None
        self._ahead: tuple[int, concurrent.futures.Future[bytes]] | None = None

    def readinto(self, buffer: Any) -> int:
        wanted = max(min(len(buffer), self._size - self._position), 0)
        filled = 0
        while filled < wanted:
            inner = self._position - self._start
            if not 0 <= inner < len(self._data):
                self._fetch(wanted - filled)
                continue
            piece = self._data[inner : inner + wanted - filled]
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
            self._position += len(piece)
        return filled

    def close(self) -> None:
        if self._executor is not None:
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = self._ahead = None
        super().close()

    def _fetch(self, wanted: int) -> None:
        """Reads the range at the position."""
        continues = self._position == self._start + len(self._data)
        length = max(self._next_bytes if continues else FIRST_BYTES, min(wanted, _MOST_BYTES))
        if self._ahead is not None and self._ahead[0] == self._position:
            data = self._ahead[1].result()
        else:
            data = self._store.read_range(self._path, self._position, length)
        if not data:
            raise OSError(5, "the object became shorter while it was read", self._path)
        self._ahead = None
        self._data, self._start = data, self._position
        self._next_bytes = min(2 * length, _MOST_BYTES)
        end = self._start + len(data)
        if continues and self._next_bytes == _MOST_BYTES and end < self._size:
            self._executor = self._executor or concurrent.futures.ThreadPoolExecutor(1)
            self._ahead = end, self._executor.submit(self._store.read_range, self._path, end, _MOST_BYTES)


class Upload(io.RawIOBase):
    """A stream that becomes an object with `complete`, in one request if the object is small."""

    def __init__(self, store: ObjectStore, path: str):
        """Sends nothing yet.

        Args:
            store: the bucket.
            path: of the object.
        """
        self._store = store
        self._path = path
        self._pending = bytearray()
        self._size = 0
        self._parts: queue.Queue[bytes] = queue.Queue(_PARTS_WAITING)
        self._is_abandoned = False
        self._executor: concurrent.futures.ThreadPoolExecutor | None = None
        self._sending: concurrent.futures.Future[None] | None = None

    def writable(self) -> bool:
        """Returns True."""
        return True

    def tell(self) -> int:
        """Returns the bytes that were written."""
        return self._size

    def write(self, data: Any) -> int:
        """Takes all bytes, and sends each part that is full."""
        size = memoryview(data).nbytes
        self._pending += data
        self._size += size
        while len(self._pending) > PART_BYTES:
            self._offer(bytes(self._pending[:PART_BYTES]))
            del self._pending[:PART_BYTES]
        return size

    def complete(self) -> None:
        """Makes the object appear."""
        if self._sending is None or self._executor is None:
            self._store.write(self._path, bytes(self._pending))
            return
        self._offer(bytes(self._pending))
        self._offer(b"")
        self._executor.shutdown(wait=True)
        self._sending.result()

    def abandon(self) -> None:
        """Ends the upload so that no object appears."""
        if self._executor is not None:
            self._is_abandoned = True
            self._offer(b"")
            self._executor.shutdown(wait=True)

    def _offer(self, part: bytes) -> None:
        """Hands a part to the thread that sends them; an empty part is the end."""
        if self._executor is None:
            self._executor = concurrent.futures.ThreadPoolExecutor(1)
            self._sending = self._executor.submit(self._store.write_parts, self._path, self._take_parts())
        while True:
            try:
                self._parts.put(part, timeout=_POLL_SECONDS)
                return
            except queue.Full:
                if self._sending is not None and self._sending.done():
                    # The upload failed; `complete` raises why.
                    return

    def _take_parts(self) -> Iterator[bytes]:
        while part := self._parts.get():
            yield part
        if self._is_abandoned:
            raise _AbandonedError


class _AbandonedError(Exception):
    """Ends an upload, so that the store drops the parts that were sent."""
