"""Streams that are read once and mostly forward: from chunks, or hashed on the way."""

import concurrent.futures
import hashlib
import io
import tarfile
from collections.abc import Iterator
from typing import BinaryIO

import google_crc32c

CHUNK_BYTES = 1 << 20
"""Bytes that are read, or hashed, at once."""


class PositionedStream(io.RawIOBase):
    """A readable stream with a position of its own, in a file of a known size."""

    _position = 0

    _size = 0

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def tell(self) -> int:
        """Returns the position."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves the position; returns it."""
        self._position = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        return self._position


class ForwardStream(PositionedStream):
    """A file made of chunks, which can be moved forward, and back by a tar block."""

    def __init__(self, chunks: Iterator[bytes]):
        """Takes no chunk yet.

        Args:
            chunks: the bytes of the file, in pieces of at least one byte.
        """
        self._chunks = chunks
        self._data = b""
        self._start = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves the position, counted from the start; returns it."""
        if whence != io.SEEK_SET:
            raise io.UnsupportedOperation("only from the start")
        self._position = offset
        return offset

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        """Fills a buffer; returns the number of bytes."""
        filled = 0
        for piece in self.pieces(self._position, self._position + len(buffer)):
            buffer[filled : filled + len(piece)] = piece
            filled += len(piece)
        return filled

    def pieces(self, start: int, end: int) -> Iterator[memoryview]:
        """Yields the bytes from `start` to `end`, fewer at the end of the file, and moves the position behind them."""
        self._position = start
        if start < self._start:
            raise io.UnsupportedOperation("moved back too far")
        while self._position < end:
            piece = memoryview(self._data)[self._position - self._start : end - self._start]
            self._position += len(piece)
            if piece:
                yield piece
            elif not self._take_chunk():
                return

    def _take_chunk(self) -> bool:
        """Takes the next chunk, and keeps a tar block of what is before; returns whether there is a chunk."""
        chunk = next(self._chunks, b"")
        cut = max(len(self._data) - tarfile.BLOCKSIZE, 0)
        self._data = self._data[cut:] + chunk
        self._start += cut
        return bool(chunk)


class HashingStream:
    """Reads a file, and counts and hashes its bytes.

    Attributes:
        size: bytes that were read.
        crc32c: their CRC-32C.
    """

    def __init__(self, file: BinaryIO, computes_sha256: bool):
        """Starts the thread of the SHA-256, which does not hold the interpreter lock.

        Args:
            file: opened for reading bytes.
            computes_sha256: whether the SHA-256 is wanted, too.
        """
        self._file = file
        self._digest = hashlib.sha256()
        self._executor = concurrent.futures.ThreadPoolExecutor(1) if computes_sha256 else None
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._hashing: concurrent.futures.Future[None] | None = None
        self.size = 0
        self.crc32c = 0

    def read(self, size: int, /) -> bytes:
        """Returns the next bytes of the file."""
        data = self._file.read(size)
        self.size += len(data)
        self.crc32c = google_crc32c.extend(self.crc32c, data)
        if self._executor is not None:
            self._pending.append(data)
            self._pending_bytes += len(data)
            if self._pending_bytes >= CHUNK_BYTES:
                self._flush(self._executor)
        return data

    def sha256(self) -> str:
        """Returns the SHA-256 of all bytes that were read, in hex, and ends the thread; empty if none is computed."""
        if self._executor is None:
            return ""
        self._flush(self._executor)
        self._executor.shutdown(wait=True)
        return self._digest.hexdigest()

    def _flush(self, executor: concurrent.futures.Executor) -> None:
        if self._hashing is not None:
            self._hashing.result()
        pieces, self._pending, self._pending_bytes = self._pending, [], 0
        self._hashing = executor.submit(self._hash, pieces)

    def _hash(self, pieces: list[bytes]) -> None:
        for piece in pieces:
            self._digest.update(piece)
