"""The TFRecord framing: length, masked CRC-32C of the length, data, masked CRC-32C of the data; and its index.

Source: tensorflow/core/lib/io/record_writer.h; the mask is `masked_crc` of
tensorflow/core/lib/hash/crc32c.h. An index has a line `offset length` for each record, of the record with its framing:
the form of DALI's `tfrecord2idx` (tools/tfrecord2idx).
"""

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO

import google_crc32c
import numpy as np

from oi_tfrecord.records.crc32c import combine

_LENGTH = struct.Struct("<Q")

_CRC = struct.Struct("<I")

_HEADER = struct.Struct("<QI")

_MASK_DELTA = 0xA282EAD8

HEADER_BYTES = _HEADER.size

FOOTER_BYTES = _CRC.size

MAX_LENGTH = (1 << 31) - 1
"""The largest protobuf message (protobuf.dev, "Proto Limits"); a longer record is no Example."""


class FramingError(ValueError):
    """A TFRecord file that does not follow the framing."""

    def __init__(self, record: int, offset: int, problem: str):
        """Names the record and its problem.

        Args:
            record: Number of the record in the file, from 0.
            offset: Byte offset of the header of the record.
            problem: What is wrong.
        """
        super().__init__(record, offset, problem)
        self.record = record
        self.offset = offset
        self.problem = problem

    def __str__(self) -> str:
        return f"record {self.record} at byte {self.offset}: {self.problem}"


def mask_crc(crc: int) -> int:
    """Returns the masked form of a CRC-32C, a 32-bit integer."""
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def frame(pieces: Sequence[bytes]) -> tuple[bytes, bytes]:
    """Returns the header and footer of the record whose data is the concatenation of `pieces`.

    Args:
        pieces: The record's data, in order; it is not copied.

    Returns:
        12 bytes that go before the data and 4 that go after it.
    """
    crc = 0
    length = 0
    for piece in pieces:
        crc = google_crc32c.extend(crc, piece)
        length += len(piece)
    packed = _LENGTH.pack(length)
    return packed + _CRC.pack(mask_crc(google_crc32c.value(packed))), _CRC.pack(mask_crc(crc))


def checksum_records(headers: bytes, lengths: Sequence[int], footers: bytes) -> int:
    """Returns the CRC-32C of a file of whole records, without reading the data of the records again.

    Args:
        headers: The headers of the records, in order, as `frame` returns them.
        lengths: Bytes of the data of each record.
        footers: The footers of the records.
    """
    masked = np.frombuffer(footers, "<u4") - np.uint32(_MASK_DELTA)
    data = masked << np.uint32(15) | masked >> np.uint32(17)
    parts = np.stack([_checksums(headers, HEADER_BYTES), data, _checksums(footers, FOOTER_BYTES)], axis=1)
    sizes = np.insert(np.full((len(parts), 2), (HEADER_BYTES, FOOTER_BYTES), np.int64), 1, lengths, axis=1)
    return combine(parts.ravel(), sizes.ravel())


def _checksums(pieces: bytes, size: int) -> np.ndarray:
    """Returns the CRC-32C of each piece of `size` bytes."""
    starts = range(0, len(pieces), size)
    return np.array([google_crc32c.value(pieces[start : start + size]) for start in starts], np.uint32)


def read_header(header: bytes, record: int, offset: int) -> int:
    """Returns the length of a record's data, from the 12 bytes before it.

    Args:
        header: Fewer than 12 bytes if the file ends there.
        record: Number of the record, for the error.
        offset: Byte offset of the header, for the error.

    Raises:
        FramingError: If the header is cut off, its CRC does not match, or no Example is that long.
    """
    if len(header) < HEADER_BYTES:
        raise FramingError(record, offset, f"header cut off after {len(header)} of {HEADER_BYTES} bytes")
    length, length_crc = _HEADER.unpack(header)
    if mask_crc(google_crc32c.value(header[:8])) != length_crc:
        raise FramingError(record, offset, "CRC of the length does not match")
    if length > MAX_LENGTH:
        raise FramingError(record, offset, f"the length is {length} bytes, more than an Example can have")
    return int(length)


def read_records(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yields each record of a TFRecord file, its CRCs checked.

    Args:
        stream: The file, opened for reading bytes.

    Yields:
        (byte offset of the record's header, the record's data).

    Raises:
        FramingError: At the first record that is cut off or whose CRC does not match.
    """
    record = 0
    offset = 0
    while header := stream.read(HEADER_BYTES):
        length = read_header(header, record, offset)
        yield offset, _check_data(stream.read(length + FOOTER_BYTES), length, record, offset)
        offset += HEADER_BYTES + length + FOOTER_BYTES
        record += 1


def read_framed(framed: bytes, length: int, record: int, offset: int) -> bytes:
    """Returns the data of a record, its CRCs checked.

    Args:
        framed: The header, data and footer; fewer bytes if the file ends there.
        length: Bytes of the data, as an index says.
        record: Number of the record, for the error.
        offset: Byte offset of the header, for the error.

    Raises:
        FramingError: If the record is cut off, has another length, or a CRC does not match.
    """
    stated = read_header(framed[:HEADER_BYTES], record, offset)
    if stated != length:
        raise FramingError(record, offset, f"the length is {stated} bytes, and {length} were expected")
    return _check_data(framed[HEADER_BYTES:], length, record, offset)


def _check_data(body: bytes, length: int, record: int, offset: int) -> bytes:
    """Returns the data of a record, given the data and its footer."""
    if len(body) < length + FOOTER_BYTES:
        raise FramingError(record, offset, f"data cut off after {len(body)} of {length + FOOTER_BYTES} bytes")
    data = body[:length]
    if mask_crc(google_crc32c.value(data)) != _CRC.unpack_from(body, length)[0]:
        raise FramingError(record, offset, "CRC of the data does not match")
    return data


def format_index(lengths: Iterable[int]) -> bytes:
    """Returns the index of a file of records.

    Args:
        lengths: Bytes of the data of each record, in order.
    """
    lines, offset = [], 0
    for length in lengths:
        framed = HEADER_BYTES + length + FOOTER_BYTES
        lines.append(f"{offset} {framed}\n")
        offset += framed
    return "".join(lines).encode()


def parse_index(text: bytes) -> np.ndarray:
    """Returns the places of records that an index lists.

    Returns:
        int64 array [records, 2]: byte offset and length of each record's data.

    Raises:
        ValueError: If the records do not follow each other from the start of the file.
    """
    numbers = np.array(text.split(), dtype=np.int64)
    if len(numbers) != 2 * len(text.splitlines()):
        raise ValueError("a line has not two numbers")
    offsets, lengths = numbers[::2], numbers[1::2]
    if (lengths < HEADER_BYTES + FOOTER_BYTES).any() or (
        offsets != np.cumsum([0, *lengths[:-1]])[: len(offsets)]
    ).any():
        raise ValueError("its records do not follow each other")
    return np.stack([offsets + HEADER_BYTES, lengths - HEADER_BYTES - FOOTER_BYTES], axis=1)
