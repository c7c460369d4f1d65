"""Reads a gzip file once from start to end and notes access points, from which parts of it can be read again.

indexed_gzip finds the access points (zlib's examples/zran.c explains the method). It would keep all of them, with
32 KiB for each; `GzipIndexer` gives it a new start after each SEGMENT, so that memory does not grow with the file.

    unpacked   |----.----.----.----.----|----.----.---     | segment   . access point, one about each SPACING
                        [ image ]
    read again      ^   inflated from the last access point before the image; the output before the image is skipped
"""

import bisect
import io
import struct
import zlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any, BinaryIO, NamedTuple

from oi_tfrecord.sources.inflate import WINDOW, inflate, inflate_good, sparse_window
from oi_tfrecord.storage.optional_imports import import_optional
from oi_tfrecord.storage.streams import CHUNK_BYTES, RecentBytes

SPACING = 1 << 16
"""Least bytes of output between two access points. On average, half of them are inflated in vain for a member."""

SEGMENT = 1 << 25
"""Bytes of output after which the library starts again, as it keeps WINDOW bytes for each SPACING."""

_READ = 1 << 17

_FIXED_HEADER = 10

_HAS_CHECKSUM, _HAS_EXTRA, _HAS_NAME, _HAS_COMMENT = 2, 4, 8, 16

# The index file of indexed_gzip, described in its zran.h.
_MAGIC = b"GZIDX"

_HEADER = struct.Struct("<5sBBQQIII")

_POINT = struct.Struct("<QQBB")


class AccessPoint(NamedTuple):
    """The start of a deflate block, from which inflating can start.

    Attributes:
        output: offset in the unpacked file.
        offset: of its first whole byte in the gzip file.
        bits: number of bits of the byte before that belong to the block.
        window: the WINDOW bytes of output before the block; empty at the start of a stream.
    """

    output: int
    offset: int
    bits: int
    window: bytes

    @property
    def first_byte(self) -> int:
        """Offset of the first byte that holds a bit of the block."""
        return self.offset - (1 if self.bits else 0)


class GzipPart(NamedTuple):
    """A part of an unpacked gzip file: which bytes of the gzip file to read, and how to inflate them.

    Attributes:
        offset: of the first byte to read.
        stored: number of bytes to read.
        bits: as of `inflate.inflate`.
        packed_window: the sparse window, compressed with zlib to some 300 bytes; empty if none is needed.
        skip: bytes of output before the part.
    """

    offset: int
    stored: int
    bits: int
    packed_window: bytes
    skip: int

    def inflate(self, data: bytes, length: int) -> bytes:
        """Returns the unpacked bytes.

        Args:
            data: the `stored` bytes from `offset`.
            length: number of unpacked bytes of the part.
        """
        if not length:
            return b""
        window = zlib.decompress(self.packed_window) if self.packed_window else b""
        return inflate(data, self.bits, window, self.skip + length)[self.skip :]


class GzipIndexer:
    """The unpacked bytes of a gzip file, read once, and the parts of them that can be read again."""

    def __init__(self, stream: BinaryIO, size: int):
        """Reads the header of the file.

        Args:
            stream: the gzip file.
            size: its number of bytes.

        Raises:
            ConfigError: if indexed_gzip is not installed.
        """
        self._library = load_indexed_gzip()
        self._stored = RecentBytes(stream, size)
        self._size = size
        # The library notes no access point in a small file.
        self._points = [AccessPoint(0, header_length(self._stored.at(0, CHUNK_BYTES)), 0, b"")]
        self._file = self._open()
        # The library may move back to this offset of the gzip file.
        self._restart = 0
        self._given = 0
        self._segment_end = SEGMENT
        self._ended = False

    @property
    def read_bytes(self) -> int:
        """Number of bytes of the gzip file that were read."""
        return self._stored.end

    def chunks(self) -> Iterator[bytes]:
        """Yields the unpacked bytes, of a file that is cut off or damaged up to the damage."""
        while not self._ended:
            try:
                chunk = self._file.read(CHUNK_BYTES)
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
        """Ends the reading, and notes the access points of the bytes that were read last."""
        self._ended = True
        self._note_points()

    def part(self, start: int, end: int) -> GzipPart | None:
        """Returns how to read a part of the unpacked bytes again, None if the access point behind it is not known yet.

        Args:
            start: first byte; not before that of an earlier call.
            end: byte after the last.
        """
        first = bisect.bisect_right(self._points, start, key=lambda point: point.output) - 1
        after = bisect.bisect_left(self._points, end, key=lambda point: point.output)
        if after == len(self._points) and not self._ended:
            return None
        point = self._points[first]
        stop = self._points[after].offset if after < len(self._points) else self._stored.end
        skip, packed = start - point.output, b""
        if point.window:
            # Output of one window is enough to find its references; stored blocks take a few bytes more than they give.
            data = self._stored.at(point.first_byte, min(stop, point.offset + 2 * WINDOW))
            if window := sparse_window(data, point.bits, point.window, skip + end - start):
                packed = zlib.compress(window)
        return GzipPart(point.first_byte, stop - point.first_byte, point.bits, packed, skip)

    def forget(self, before: int) -> None:
        """Drops what is not needed for parts that start at or behind `before`, an offset in the unpacked bytes."""
        keep = bisect.bisect_right(self._points, before, key=lambda point: point.output) - 1
        if keep > 0:
            del self._points[:keep]
        self._stored.forget(min(self._points[0].first_byte, self._restart))

    def _open(self) -> Any:
        # The library checks no checksum after a new start, so checksums would find faults of small files only.
        return self._library.IndexedGzipFile(
            fileobj=self._stored, spacing=SPACING, readbuf_size=_READ, buffer_size=CHUNK_BYTES, skip_crc_check=True
        )

    def _note_points(self) -> None:
        """Takes the access points from the index that the library exports."""
        exported = io.BytesIO()
        self._file.export_index(fileobj=exported)
        data = exported.getvalue()
        count = _HEADER.unpack_from(data)[-1]
        windows = _HEADER.size + count * _POINT.size
        known = self._points[-1].output
        for number in range(count):
            offset, output, bits, has_window = _POINT.unpack_from(data, _HEADER.size + number * _POINT.size)
            if output > known:
                window = data[windows : windows + WINDOW] if has_window else b""
                self._points.append(AccessPoint(output, offset, bits, window))
            windows += WINDOW * has_window

    def _next_segment(self) -> None:
        """Opens the file again with the first and the last access point only, so that memory does not grow."""
        self._note_points()
        # Access points ahead are found again.
        self._points = [point for point in self._points if point.output <= self._given]
        last = self._points[-1]
        if last.output:
            # With one access point, the library would read the file from its start again.
            places = _POINT.pack(0, 0, 0, False) + _POINT.pack(last.offset, last.output, last.bits, bool(last.window))
            header = _HEADER.pack(_MAGIC, 1, 0, self._size, 0, SPACING, WINDOW, 2)
            self._file = self._open()
            self._file.import_index(fileobj=io.BytesIO(header + places + last.window))
            self._file.seek(self._given)
            self._restart = last.first_byte
        self._segment_end = self._given + SEGMENT

    def _read_before_damage(self) -> bytes:
        self._note_points()
        last = [point for point in self._points if point.output <= self._given][-1]
        # The damage, or the end of the file, lies within the next chunk of output.
        data = self._stored.at(last.first_byte, last.offset + 2 * (self._given - last.output + CHUNK_BYTES + SPACING))
        return inflate_good(data, last.bits, last.window)[self._given - last.output :]


def header_length(data: bytes) -> int:
    """Returns the length of the header of a gzip file (RFC 1952, 2.3).

    Args:
        data: the start of the file; its length is returned if the header is cut off.
    """
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


def load_indexed_gzip() -> ModuleType:
    """Returns the package indexed_gzip, which tar.gz archives need.

    Raises:
        ConfigError: if it is not installed.
    """
    return import_optional("indexed_gzip", extra="archives", field="archives", need="tar.gz needs more packages")
