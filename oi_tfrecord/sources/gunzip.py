"""Inflates a gzip file from start to end, and checks CRC-32 and length of every stream (RFC 1952, 2.3.1)."""

from collections.abc import Generator, Iterator
from typing import BinaryIO

import google_crc32c
from zlib_ng import zlib_ng

_GZIP_BITS = 31

_READ_BYTES = 1 << 19

_OUTPUT_BYTES = 1 << 20
"""Output that is held at once: a few bytes may inflate to a thousand times their size."""


class GzipDamaged(Exception):
    """A gzip file is damaged or cut off; the text says how, and at which byte."""


class Gunzip:
    """A gzip file of one or more streams, with zeros between them as gzip takes them.

    Attributes:
        read_bytes: bytes of the file that were read.
        crc32c: CRC-32C of these bytes.
    """

    def __init__(self, stream: BinaryIO, read_bytes: int = _READ_BYTES):
        """Reads nothing yet.

        Args:
            stream: the file, at its start.
            read_bytes: bytes to read at once.
        """
        self._stream = stream
        self._size = read_bytes
        self.read_bytes = 0
        self.crc32c = 0

    def chunks(self) -> Iterator[bytes]:
        """Yields the unpacked bytes.

        Raises:
            GzipDamaged: for a wrong checksum or length, a stream that is cut off, or bytes that are no stream.
        """
        data = self._read()
        if not data:
            raise GzipDamaged("is empty")
        while data:
            data = yield from self._inflate(data)
            while data and not (data := data.lstrip(b"\0")):
                data = self._read()

    def _inflate(self, data: bytes) -> Generator[bytes, None, bytes]:
        """Yields the unpacked bytes of the stream that `data` starts; returns the bytes behind the stream."""
        inflater, start = zlib_ng.decompressobj(_GZIP_BITS), self.read_bytes - len(data)
        while not inflater.eof:
            try:
                output = inflater.decompress(data, _OUTPUT_BYTES)
            except zlib_ng.error as error:  # type: ignore[misc]
                raise GzipDamaged(_describe(str(error), start, self.read_bytes)) from None
            if output:
                yield output
            data = inflater.unconsumed_tail
            if not data and not inflater.eof and len(output) < _OUTPUT_BYTES and not (data := self._read()):
                raise GzipDamaged(f"is cut off at byte {self.read_bytes:,}, within the gzip stream from byte {start:,}")
        return inflater.unused_data or self._read()

    def _read(self) -> bytes:
        data = self._stream.read(self._size)
        self.read_bytes += len(data)
        self.crc32c = google_crc32c.extend(self.crc32c, data)
        return data


def _describe(error: str, start: int, place: int) -> str:
    if "incorrect header check" in error:
        return f"is damaged: the bytes from {start:,} on are no gzip stream"
    where = f"in the gzip stream from byte {start:,}, before byte {place:,}"
    if "incorrect data check" in error:
        return f"is damaged: the CRC-32 does not match {where}"
    if "incorrect length check" in error:
        return f"is damaged: the length does not match {where}"
    return f"is damaged {where} ({error})"
