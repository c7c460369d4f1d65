"""Reads ranges of CSV files: nominal ranges are planned, exact ranges hold whole records."""

import dataclasses
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from oi_tfrecord import storage
from oi_tfrecord.openimages.csv.files import InputFile, read_rows
from oi_tfrecord.openimages.csv.line_boundaries import line_range
from oi_tfrecord.openimages.csv.record_boundaries import BlockScan, check_closed, resolve, scan_block, split_stream
from oi_tfrecord.openimages.schema import QUOTED_LINE_BREAKS, RangeKey


@dataclasses.dataclass(frozen=True)
class FileRange:
    """Bytes of one file.

    Attributes:
        key: table, file and number of the range. A compressed file is one range that yields
            several blocks, numbered from the number of the range.
        start, end: byte offsets.
        exact: whether the range starts and ends at records; if not, it starts and ends near records.
    """

    key: RangeKey
    start: int
    end: int
    exact: bool = False


class Block(NamedTuple):
    """Whole records of a file: `data` from byte `start` of the unpacked file."""

    key: RangeKey
    start: int
    data: bytes


def plan_ranges(file: InputFile, block_bytes: int) -> list[FileRange]:
    """Cuts a file into nominal ranges of `block_bytes` bytes."""
    if file.compressed:
        return [FileRange(RangeKey(file.table, file.number, 0), 0, file.size, exact=True)]
    starts = range(file.rows_start, file.size, block_bytes)
    return [
        FileRange(RangeKey(file.table, file.number, index), start, min(start + block_bytes, file.size))
        for index, start in enumerate(starts)
    ]


def needs_scan(file_range: FileRange) -> bool:
    """Returns whether the records of a range can be found only with the quotes before the range."""
    return not file_range.exact and file_range.key.table in QUOTED_LINE_BREAKS


def scan_range(file: InputFile, nominal: FileRange) -> BlockScan:
    """Scans a nominal range for `resolve_ranges`."""
    start, end = _whole_lines(file, nominal)
    return scan_block(storage.read_range(file.path, start, end - start), start)


def resolve_ranges(file: InputFile, scans: Iterable[BlockScan]) -> list[FileRange]:
    """Returns the exact ranges of a file from the scans of all its nominal ranges, in any order.

    Where a runner lost a scan, the ranges end, as the records behind it cannot be found; the check of coverage reports
    the missing bytes at the end of the run. A scan that comes twice counts once.
    """
    adjacent: list[BlockScan] = []
    for scan in sorted(set(scans), key=lambda scan: (scan.start, scan.end)):
        if scan.start != (adjacent[-1].end if adjacent else file.rows_start):
            break
        adjacent.append(scan)
    return [
        FileRange(RangeKey(file.table, file.number, index), start, end, exact=True)
        for index, (start, end) in enumerate(resolve(adjacent, file.path))
    ]


def read_range(file: InputFile, file_range: FileRange, block_bytes: int) -> Iterator[Block]:
    """Yields the whole records of a range, in blocks.

    A compressed file without rows yields one empty block, so that the manifest shows that the file was read.

    Args:
        file: the file.
        file_range: an exact range, or a nominal range of a table whose rows are lines.
        block_bytes: size of the blocks of a compressed file.
    """
    if file.compressed:
        quoted = file.table in QUOTED_LINE_BREAKS
        index, place = 0, file.rows_start
        for data in split_stream(read_rows(file, block_bytes), block_bytes, quoted, file.path):
            if quoted:
                check_closed(data, file.path)
            yield Block(RangeKey(file.table, file.number, index), place, data)
            index, place = index + 1, place + len(data)
        if not index:
            yield Block(file_range.key, place, b"")
        return
    start, end = (file_range.start, file_range.end) if file_range.exact else _whole_lines(file, file_range)
    if start < end:
        yield Block(file_range.key, start, _read_records(file, start, end))


def _read_records(file: InputFile, start: int, end: int) -> bytes:
    data = storage.read_range(file.path, start, end - start)
    if file.table in QUOTED_LINE_BREAKS and end == file.size:
        check_closed(data, file.path, start)
    return data


def _whole_lines(file: InputFile, nominal: FileRange) -> tuple[int, int]:
    def read(offset: int, length: int) -> bytes:
        return storage.read_range(file.path, offset, length)

    return line_range(read, file.size, nominal.start, nominal.end, file.path, file.rows_start)
