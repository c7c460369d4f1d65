"""Checks the checksums of a gzip file whose bytes pass by: CRC-32 and length of every stream (RFC 1952, 2.3.1).

indexed_gzip checks no checksum once it started from an access point, and a gzip file has one checksum per stream, at
its end. So the bytes are inflated a second time, and the output is dropped.
"""

import zlib
from typing import BinaryIO

_GZIP_BITS = 31

_OUTPUT_BYTES = 1 << 18
"""Output that is held at once: a few bytes may inflate to a thousand times their size."""


class GzipCheck:
    """Finds damage in a gzip file that is given piece by piece."""

    def __init__(self) -> None:
        """Starts before the first byte."""
        self._stream = zlib.decompressobj(_GZIP_BITS)
        self._stream_start = 0
        self._between_streams = True
        self._place = 0
        self._fault = ""

    def feed(self, data: bytes) -> None:
        """Checks the next bytes of the file; what follows damage is ignored."""
        while data and not self._fault:
            if self._between_streams:
                data = self._start_stream(data)
            if data:
                data = self._inflate(data)

    def finish(self) -> str:
        """Returns what is wrong with the file, and at which byte, once all bytes were given; empty if nothing is."""
        if self._fault:
            return self._fault
        if not self._place:
            return "is empty"
        if not self._between_streams:
            return f"is cut off at byte {self._place:,}, within the gzip stream from byte {self._stream_start:,}"
        return ""

    def _start_stream(self, data: bytes) -> bytes:
        """Starts the next stream; returns its bytes. Zeros between streams are padding, as gzip takes them."""
        start = data.lstrip(b"\0") if self._place else data
        self._place += len(data) - len(start)
        if start:
            self._stream, self._stream_start = zlib.decompressobj(_GZIP_BITS), self._place
            self._between_streams = False
        return start

    def _inflate(self, data: bytes) -> bytes:
        """Inflates bytes of a stream; returns those behind its end."""
        rest = data
        try:
            while True:
                output = self._stream.decompress(rest, _OUTPUT_BYTES)
                rest = self._stream.unconsumed_tail
                if self._stream.eof or (not rest and len(output) < _OUTPUT_BYTES):
                    break
        except zlib.error as error:
            self._fault = self._describe(error, self._place + len(data))
            return b""
        rest = self._stream.unused_data
        self._place += len(data) - len(rest)
        self._between_streams = self._stream.eof
        return rest

    def _describe(self, error: zlib.error, place: int) -> str:
        if "incorrect header check" in str(error):
            return f"is damaged: the bytes from {self._stream_start:,} on are no gzip stream"
        where = f"in the gzip stream from byte {self._stream_start:,}, before byte {place:,}"
        if "incorrect data check" in str(error):
            return f"is damaged: the CRC-32 does not match {where}"
        if "incorrect length check" in str(error):
            return f"is damaged: the length does not match {where}"
        return f"is damaged {where} ({error})"


class CheckedGzip:
    """A gzip file that is read from start to end, and checked on the way."""

    def __init__(self, stream: BinaryIO):
        """Reads nothing yet.

        Args:
            stream: the gzip file, at its start.
        """
        self._stream = stream
        self._check = GzipCheck()

    def read(self, size: int, /) -> bytes:
        """Returns the next bytes of the file."""
        data = self._stream.read(size)
        self._check.feed(data)
        return data

    def finish(self, size: int) -> str:
        """Reads the rest of the file, `size` bytes at a time; returns what is wrong with the file."""
        while self.read(size):
            pass
        return self._check.finish()
