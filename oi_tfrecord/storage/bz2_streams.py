"""Reads a .bz2 file of one or several streams, to its last byte.

`bz2.BZ2File` takes bytes that start no stream for the end of the file, so it drops all streams behind a damaged header.
"""

import bz2
import io
from typing import BinaryIO

_READ_BYTES = 1 << 17


class Bz2Streams(io.RawIOBase):
    """The unpacked bytes of a .bz2 file."""

    def __init__(self, stored: BinaryIO):
        """Reads nothing yet.

        Args:
            stored: the file, at its start.
        """
        self._stored = stored
        self._stream = bz2.BZ2Decompressor()
        self._stream_start = 0
        self._place = 0

    def readable(self) -> bool:
        """Returns True."""
        return True

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
        """Fills a buffer; returns the number of bytes.

        Raises:
            OSError: if the file is damaged, naming the stream.
            EOFError: if it is cut off.
        """
        unpacked = b""
        while not unpacked:
            data = self._next_stored()
            if not data and self._stream.eof:
                return 0
            try:
                unpacked = self._stream.decompress(data, len(buffer))
            except OSError as error:
                raise OSError(f"{error} in the bzip2 stream from byte {self._stream_start:,} on") from None
        buffer[: len(unpacked)] = unpacked
        return len(unpacked)

    def _next_stored(self) -> bytes:
        """Returns bytes for the stream, and starts the next one at its end; none if it needs none, or none is left."""
        if self._stream.eof:
            data = self._stream.unused_data or self._read()
            if data:
                self._stream, self._stream_start = bz2.BZ2Decompressor(), self._place - len(data)
            return data
        if not self._stream.needs_input:
            return b""
        if data := self._read():
            return data
        raise EOFError(f"it ends at byte {self._place:,}, within the bzip2 stream from byte {self._stream_start:,} on")

    def _read(self) -> bytes:
        data = self._stored.read(_READ_BYTES)
        self._place += len(data)
        return data
