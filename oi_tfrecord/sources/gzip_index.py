"""Reads a gzip file once from start to end and notes places from which it can be read again."""

import bisect
import importlib
import io
import struct
import zlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.sources.inflate import WINDOW, inflate, inflate_good, thin_window
from oi_tfrecord.storage.streams import CHUNK, RecentBytes

SPACING = 1 << 16
"""Least bytes of output between two places. Half of it is inflated in vain, on average, for a member."""

SEGMENT = 1 << 25
"""Bytes of output after which the places are handed on, as their windows take WINDOW of each SPACING."""

_READ = 1 << 17

_FIXED_HEADER = 10

_HAS_CHECKSUM, _HAS_EXTRA, _HAS_NAME, _HAS_COMMENT = 2, 4, 8, 16

# The index file of indexed_gzip, described in its zran.h.
_MAGIC = b"GZIDX"

_HEADER = struct.Struct("<5sBBQQIII")

_PLACE = struct.Struct("<QQBB")


class Place(NamedTuple):
    """The start of a deflate block.

    Attributes:
        output: offset in the unpacked file.
        offset: of its first whole byte in the gzip file.
        bits: bits of the byte before that belong to it.
        window: the WINDOW bytes of output before it; empty at the start of a stream.
    """

    output: int
    offset: int
    bits: int
    window: bytes

    @property
    def first_byte(self) -> int:
        """Offset of the first byte that holds a bit of the block."""
        return self.offset - (1 if self.bits else 0)


class Extract(NamedTuple):
    """How to inflate a part of a gzip file.

    Attributes:
        offset: of the first byte to read.
        stored: bytes to read.
        bits: as of `deflate.inflate`.
        packed_window: its window, thinned and compressed with zlib to some 300 bytes; empty if none is needed.
        skip: bytes of output before the part.
    """

    offset: int
    stored: int
    bits: int
    packed_window: bytes
    skip: int

    def inflate(self, data: bytes, length: int) -> bytes:
        """Returns the part, given the `stored` bytes from `offset` and its length."""
        if not length:
            return b""
        window = zlib.decompress(self.packed_window) if self.packed_window else b""
        return inflate(data, self.bits, window, self.skip + length)[self.skip :]


class GzipIndexer:
    """The unpacked bytes of a gzip file, as a stream that moves forward, with places to return to.

    What is read stays at hand for the last SEGMENT or so; memory does not grow with the file.
    """

    def __init__(self, stream: BinaryIO, size: int):
        """Initializes the instance.

        Args:
            stream: the gzip file.
            size: its bytes.

        Raises:
              ConfigError: if indexed_gzip is not installed.
        """
        self._library = load_library()
        self._stored = RecentBytes(stream, size)
        self._size = size
        # The library notes no place in a small file.
        self._places = [Place(0, header_length(self._stored.at(0, CHUNK)), 0, b"")]
        self._file = self._open()
        # Where the library may move back to.
        self._restart = 0
        self._given = 0
        self._segment_end = SEGMENT
        self._ended = False

    @property
    def read_bytes(self) -> int:
        """Bytes of the gzip file that were read."""
        return self._stored.end

    def chunks(self) -> Iterator[bytes]:
        """Yields the unpacked bytes; a cut off or damaged file ends where it can be read no further."""
        while not self._ended:
            try:
                chunk = self._file.read(CHUNK)
            except self._library.ZranError:
                self._stored.raise_fault()
                chunk = self._read_before_damage()
                self._ended = True
            self._stored.raise_fault()
            if chunk:
                self._given += len(chunk)
                if self._given >= self._segment_end:
                    self._next_segment()
                yield chunk
            else:
                self._ended = True

    def finish(self) -> None:
        """Makes known how to read what was read last; nothing is read after it."""
        self._ended = True
        self._note_places()

    def extract(self, start: int, end: int) -> Extract | None:
        """Returns how to read a part of the unpacked bytes again, None if the places after it are not known yet.

        Args:
            start: first byte; not before that of an earlier call.
            end: byte after the last.
        """
        first = bisect.bisect_right(self._places, start, key=lambda place: place.output) - 1
        after = bisect.bisect_left(self._places, end, key=lambda place: place.output)
        if after == len(self._places) and not self._ended:
            return None
        place = self._places[first]
        stop = self._places[after].offset if after < len(self._places) else self._stored.end
        skip, packed = start - place.output, b""
        if place.window:
            # No more than a window's worth of output is made, and stored blocks take more bytes than they give.
            data = self._stored.at(place.first_byte, min(stop, place.offset + 2 * WINDOW))
            if window := thin_window(data, place.bits, place.window, skip + end - start):
                packed = zlib.compress(window)
        return Extract(place.first_byte, stop - place.first_byte, place.bits, packed, skip)

    def forget(self, before: int) -> None:
        """Drops what no part from `before` (an offset in the unpacked bytes) on needs."""
        keep = bisect.bisect_right(self._places, before, key=lambda place: place.output) - 1
        if keep > 0:
            del self._places[:keep]
        self._stored.forget(min(self._places[0].first_byte, self._restart))

    def _open(self) -> Any:
        # Checksums are off after the first restart, so they would tell of small files only.
        return self._library.IndexedGzipFile(
            fileobj=self._stored, spacing=SPACING, readbuf_size=_READ, buffer_size=CHUNK, skip_crc_check=True
        )

    def _note_places(self) -> None:
        exported = io.BytesIO()
        self._file.export_index(fileobj=exported)
        data = exported.getvalue()
        count = _HEADER.unpack_from(data)[-1]
        windows = _HEADER.size + count * _PLACE.size
        known = self._places[-1].output
        for number in range(count):
            offset, output, bits, has_window = _PLACE.unpack_from(data, _HEADER.size + number * _PLACE.size)
            if output > known:
                window = data[windows : windows + WINDOW] if has_window else b""
                self._places.append(Place(output, offset, bits, window))
            windows += WINDOW * has_window

    def _next_segment(self) -> None:
        """Goes on with a file that knows the first and the last place only, so that memory does not grow."""
        self._note_places()
        # Those ahead are found again.
        self._places = [place for place in self._places if place.output <= self._given]
        last = self._places[-1]
        if last.output:
            # With one place alone, the file would be read from its start again.
            places = _PLACE.pack(0, 0, 0, False) + _PLACE.pack(last.offset, last.output, last.bits, bool(last.window))
            header = _HEADER.pack(_MAGIC, 1, 0, self._size, 0, SPACING, WINDOW, 2)
            self._file = self._open()
            self._file.import_index(fileobj=io.BytesIO(header + places + last.window))
            self._file.seek(self._given)
            self._restart = last.first_byte
        self._segment_end = self._given + SEGMENT

    def _read_before_damage(self) -> bytes:
        self._note_places()
        last = [place for place in self._places if place.output <= self._given][-1]
        # The damage is within a chunk of output, or the end of the file.
        data = self._stored.at(last.first_byte, last.offset + 2 * (self._given - last.output + CHUNK + SPACING))
        return inflate_good(data, last.bits, last.window)[self._given - last.output :]


def header_length(data: bytes) -> int:
    """Returns the bytes of the header of a gzip file (RFC 1952, 2.3), given its start; all of it if it ends within."""
    end = _FIXED_HEADER
    flags = data[3] if len(data) > 3 else 0
    if flags & _HAS_EXTRA:
        end += 2 + int.from_bytes(data[end : end + 2], "little")
    for flag in (_HAS_NAME, _HAS_COMMENT):
        if flags & flag:
            end = data.find(b"\0", end) + 1 or len(data)
    if flags & _HAS_CHECKSUM:
        end += 2
    return min(end, len(data))


def load_library() -> ModuleType:
    """Returns the package that tar.gz archives need.

    Raises:
        ConfigError: if it is not installed.
    """
    try:
        return importlib.import_module("indexed_gzip")
    except ImportError:
        raise ConfigError("archives", "tar.gz needs more packages: pip install 'oi_tfrecord[archives]'") from None
