"""Reads a TFRecord file past its damage: each damaged part is named, and reading resumes at the next whole header.

Where the CRC of a header or of its data does not match, the length in the header cannot be trusted: the bytes after
the first byte of the header are searched for the next header whose CRC matches. Where only the data is damaged, the
next header is the one of the next record.
"""

import dataclasses
import re
import struct
from collections.abc import Iterator
from typing import Protocol

import google_crc32c

from oi_tfrecord.records.tfrecord import FOOTER_BYTES, HEADER_BYTES, FramingError, mask_crc, read_header

_CRC = struct.Struct("<I")

_HIGH_HALF = b"\0\0\0\0"
"""No Example has 2**32 bytes, so the upper half of every length is zero."""

_NOT_ZERO = re.compile(rb"[^\0]")

_SEARCH_BYTES = 1 << 20


class ByteSource(Protocol):
    """A stream that is read from start to end."""

    def read(self, size: int, /) -> bytes:
        """Returns the next bytes, fewer than `size` at the end only."""


@dataclasses.dataclass(frozen=True, slots=True)
class ScannedRecord:
    """A record, or the damaged bytes in its place.

    Attributes:
        record: its number in the file, from 0; damaged records count.
        offset: byte offset of its header.
        data: the serialised Example; None where the record is damaged.
        problem: the damage; empty for a whole record.
    """

    record: int
    offset: int
    data: bytes | None
    problem: str = ""


def scan_records(stream: ByteSource) -> Iterator[ScannedRecord]:
    """Yields every record of a TFRecord file, damaged or not.

    Args:
        stream: the file, read once from start to end.

    Yields:
        The records in the order of the file. Records that a lost header hides are one damaged record.
    """
    ahead = _ReadAhead(stream)
    record = offset = 0
    header = ahead.read(HEADER_BYTES)
    while header:
        try:
            length = read_header(header, record, offset)
        except FramingError as error:
            start = offset
            ahead.put_back(header)
            offset, header = _find_header(ahead, offset)
            yield ScannedRecord(record, start, None, f"{error.problem}; {offset - start} bytes are skipped")
            record += 1
            continue
        data = ahead.read(length)
        # The footer and the header that follows.
        rest = ahead.read(FOOTER_BYTES + HEADER_BYTES)
        if len(data) == length and len(rest) >= FOOTER_BYTES:
            if mask_crc(google_crc32c.value(data)) == _CRC.unpack_from(rest)[0]:
                yield ScannedRecord(record, offset, data)
                offset += HEADER_BYTES + length + FOOTER_BYTES
                header = rest[FOOTER_BYTES:]
                record += 1
                continue
            problem = "CRC of the data does not match"
        else:
            problem = f"data cut off after {len(data) + len(rest)} of {length + FOOTER_BYTES} bytes"
        start = offset
        # Where bytes are gone, the data that was read may hold whole records, or the header may be part of two headers.
        ahead.put_back(header + data + rest)
        offset, header = _find_header(ahead, offset)
        if offset - start != HEADER_BYTES + length + FOOTER_BYTES:
            problem += f"; {offset - start} bytes are skipped"
        yield ScannedRecord(record, start, None, problem)
        record += 1


class _ReadAhead:
    """A stream that takes bytes back, which are then read again."""

    def __init__(self, stream: ByteSource):
        """Starts at the first byte.

        Args:
            stream: the file.
        """
        self._stream = stream
        self._waiting = b""
        self._position = 0

    def read(self, size: int) -> bytes:
        if self._position == len(self._waiting):
            return self._stream.read(size)
        data = self._waiting[self._position : self._position + size]
        self._position += len(data)
        return data if len(data) == size else data + self._stream.read(size - len(data))

    def put_back(self, data: bytes) -> None:
        self._waiting = data + self._waiting[self._position :]
        self._position = 0


def _is_header(data: bytes) -> bool:
    try:
        read_header(data, 0, 0)
    except FramingError:
        return False
    return True


def _find_header(ahead: _ReadAhead, offset: int) -> tuple[int, bytes]:
    """Finds the next header behind the next byte.

    Args:
        ahead: the bytes that follow.
        offset: byte offset of the first of them.

    Returns:
        The header's byte offset, and the header; the size of the file and no bytes if no header follows.
    """
    window = ahead.read(_SEARCH_BYTES)
    position = 1
    while True:
        # The high half of the length is at byte 4 of a header.
        found = window.find(_HIGH_HALF, position + 4)
        if found >= 0 and found + 8 <= len(window):
            start = found - 4
            if _is_header(window[start : start + HEADER_BYTES]):
                ahead.put_back(window[start + HEADER_BYTES :])
                return offset + start, window[start : start + HEADER_BYTES]
            position = start + 1
            if window.startswith(bytes(HEADER_BYTES), start):
                # Of a long run of zeros, only the end can be part of a header.
                nonzero = _NOT_ZERO.search(window, start)
                run_end = nonzero.start() if nonzero else len(window)
                position = max(position, run_end - HEADER_BYTES)
            continue
        more = ahead.read(_SEARCH_BYTES)
        if not more:
            return offset + len(window), b""
        kept = max(position, len(window) - HEADER_BYTES + 1)
        window, offset, position = window[kept:] + more, offset + kept, 0
