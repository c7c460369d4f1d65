"""CSV bytes to typed columns; each row is either parsed or listed as unreadable.

Good data never meets per-row Python: pyarrow parses it, and checks on whole columns accept
it. If any check fails, the data is cut into records; pieces without a fault are still parsed
by pyarrow, and the records of the other pieces are judged one by one. The good records are then
parsed together, so that both ways give the same arrays.
"""

import codecs
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from oi_tfrecord.openimages.csv.columns import ARROW_TYPES, BLANK_TYPES, Columns, FaultyRows, convert_columns
from oi_tfrecord.openimages.csv.record_boundaries import record_lines, scan_block
from oi_tfrecord.openimages.csv.row_faults import Kind, find_fault, is_header
from oi_tfrecord.openimages.csv.text_lines import (
    count_line_feeds,
    find_blank,
    is_suspicious,
    last_full_line,
    line_starts,
)
from oi_tfrecord.openimages.image_id import IMAGE_ID
from oi_tfrecord.reasons import Reject

_FEW_RECORDS = 256
"""Records that are judged one by one rather than cut into pieces again."""

_PARTS = 16
"""Pieces into which records with a fault among them are cut."""


@dataclass(frozen=True, slots=True)
class RowReject:
    """A row that cannot be read.

    Attributes:
        line: the line at which the row starts, from 0 within the data.
        reason: why the row cannot be read.
        detail: the value at fault; printable, at most 200 characters.
    """

    line: int
    reason: Reject
    detail: str


@dataclass(frozen=True, slots=True)
class ParsedRows:
    """The rows of a piece of a CSV file.

    Attributes:
        columns: the valid rows.
        lines: uint32, the line at which each valid row starts, from 0 within the data.
        line_count: lines in the data, including a last line without line end.
        rejects: the rows that cannot be read, in file order.
        repeated_headers: number of rows that are the header again, as where files were joined by `cat`.
    """

    columns: Columns
    lines: npt.NDArray[np.uint32]
    line_count: int
    rejects: list[RowReject]
    repeated_headers: int = 0

    @property
    def rows_read(self) -> int:
        """Number of rows in the data: valid ones, rejects and repeated headers, not blank lines."""
        return len(self.lines) + len(self.rejects) + self.repeated_headers


def parse_rows(data: bytes, names: Sequence[str], kinds: Mapping[str, Kind], *, quoted_line_breaks: bool) -> ParsedRows:
    """Parses whole CSV records.

    Args:
        data: records without a header, less than 2 GiB; the first byte starts a record.
        names: the names of the columns in file order.
        kinds: the columns to parse and what they hold; all are in names.
        quoted_line_breaks: whether a quoted field may hold line breaks. If not, every line is a
            record of its own, so that a stray quote damages no row but its own.

    Returns:
        The rows. Blank lines are no rows.
    """
    parser = _Parser(tuple(names), dict(kinds), quoted_line_breaks)
    line_count = count_line_feeds(data) + (not data.endswith(b"\n") and bool(data))
    # Most files have no carriage return, and a search for one byte is fast.
    if b"\r" in data and b'"' not in data:
        # Programs that write CRLF in text mode write CR CR LF. Rows with quotes are checked one by one below.
        while b"\r\r\n" in data:
            data = data.replace(b"\r\r\n", b"\r\n")
    if not is_suspicious(data) and (parsed := parser.parse_rows(data, line_count)) is not None:
        return ParsedRows(parsed.columns, parsed.lines, line_count, [])
    return _parse_carefully(parser, data, line_count)


@dataclass(frozen=True, slots=True)
class _Parsed:
    """Rows without a fault, and the line of each."""

    columns: Columns
    lines: npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class _Parser:
    names: tuple[str, ...]
    kinds: dict[str, Kind]
    quoted_line_breaks: bool

    def parse_rows(self, data: bytes, line_count: int) -> _Parsed | None:
        """Parses records with pyarrow; returns None if any row is at fault, or may be the header again."""
        parsed = self.parse(data, line_count)
        if parsed is None or self.kinds.get(IMAGE_ID) is not Kind.IMAGE_NAME:
            return parsed
        # `ImageID` is a possible name of an image, so a repeated header is no fault for pyarrow.
        may_hold_header = pc.any(pc.equal(parsed.columns.texts[IMAGE_ID], IMAGE_ID.encode())).as_py()
        return None if may_hold_header else parsed

    def parse(self, data: bytes, line_count: int) -> _Parsed | None:
        """Parses records with pyarrow; returns None if any row is at fault."""
        parsed = self._parse_as(data, line_count, ARROW_TYPES)
        return parsed or self._parse_as(data, line_count, BLANK_TYPES)

    def _parse_as(self, data: bytes, line_count: int, types: Mapping[Kind, pa.DataType]) -> _Parsed | None:
        try:
            table = self._read(data, {name: types[kind] for name, kind in self.kinds.items()})
            lines = self._lines(data, line_count, table.num_rows)
            return _Parsed(convert_columns(table, self.kinds), lines)
        except FaultyRows:
            return None

    def _read(self, data: bytes, types: Mapping[str, pa.DataType]) -> pa.Table:
        quoted = b'"' in data
        # pyarrow drops a byte order mark, which has a meaning only on the first line of a file; a blank line before it
        # keeps it, and pyarrow skips the blank line.
        source = b"\n" + data if not data or data.startswith(codecs.BOM_UTF8) else data
        try:
            return pa_csv.read_csv(
                pa.BufferReader(source),
                read_options=pa_csv.ReadOptions(
                    use_threads=False, block_size=len(source) + 1, column_names=list(self.names)
                ),
                parse_options=pa_csv.ParseOptions(quote_char='"' if quoted else False, newlines_in_values=quoted),
                convert_options=pa_csv.ConvertOptions(
                    column_types=dict(types),
                    include_columns=list(types),
                    check_utf8=False,
                    null_values=[],
                ),
            )
        except pa.ArrowInvalid as error:
            raise FaultyRows from error

    def _lines(self, data: bytes, line_count: int, rows: int) -> npt.NDArray[np.uint32]:
        """Returns the line of each row; raises FaultyRows if pyarrow's rows are not the records."""
        quoted = b'"' in data
        if quoted and self.quoted_line_breaks and rows != line_count:
            starts, lines, open_at_end = record_lines(data)
            lines = lines[~find_blank(data, starts)]
            if open_at_end or len(lines) != rows:
                raise FaultyRows
            return lines
        # From here on each line that is not blank must be a row. A quote that is closed lines later makes fewer
        # rows; one that is never closed is on the last line, and pyarrow would not complain.
        if quoted and scan_block(last_full_line(data)).ends_inside[False]:
            raise FaultyRows
        if rows == line_count:
            return np.arange(rows, dtype=np.uint32)
        full = np.flatnonzero(~find_blank(data, line_starts(data)[0]))
        if len(full) != rows:
            raise FaultyRows
        return full.astype(np.uint32)


@dataclass(frozen=True, slots=True)
class _Records:
    """Data cut into records.

    Attributes:
        data: the data.
        starts: byte offset of each record, and the length of the data.
        lines: line of each record, and the number of lines.
    """

    data: bytes
    starts: list[int]
    lines: list[int]

    def cut(self, begin: int, end: int) -> bytes:
        """Returns the bytes of the records from `begin` to `end`."""
        return self.data[self.starts[begin] : self.starts[end]]


@dataclass(frozen=True, slots=True)
class _Sifted:
    """Good records, and those at fault.

    Attributes:
        good: pieces of good records, each ending in a line feed.
        good_lines: the lines of each piece.
        rejects: the records at fault.
        headers: number of records that are the header again.
    """

    good: list[bytes]
    good_lines: list[range]
    rejects: list[RowReject]
    headers: int


def _parse_carefully(parser: _Parser, data: bytes, line_count: int) -> ParsedRows:
    """Parses data in which some row is at fault."""
    starts, lines = record_lines(data)[:2] if parser.quoted_line_breaks else line_starts(data)
    records = _Records(data, [*starts.tolist(), len(data)], [*lines.tolist(), line_count])
    sifted = _sift(parser, records, 0, len(starts))
    kept_lines = np.concatenate([np.arange(r.start, r.stop, dtype=np.uint32) for r in (range(0), *sifted.good_lines)])
    parsed = parser.parse(b"".join(sifted.good), len(kept_lines))
    if parsed is None:
        raise AssertionError("rows judged valid one by one are not valid together")
    return ParsedRows(parsed.columns, kept_lines[parsed.lines], line_count, sifted.rejects, sifted.headers)


def _sift(parser: _Parser, records: _Records, begin: int, end: int) -> _Sifted:
    """Sifts the records from `begin` to `end`: pieces without a fault are good as a whole, the rest is cut again."""
    if end - begin <= _FEW_RECORDS:
        return _judge_records(parser, records, begin, end)
    step = -(-(end - begin) // _PARTS)
    parts = [_sift_piece(parser, records, first, min(first + step, end)) for first in range(begin, end, step)]
    return _Sifted(
        [piece for part in parts for piece in part.good],
        [lines for part in parts for lines in part.good_lines],
        [reject for part in parts for reject in part.rejects],
        sum(part.headers for part in parts),
    )


def _sift_piece(parser: _Parser, records: _Records, begin: int, end: int) -> _Sifted:
    piece, lines = records.cut(begin, end), range(records.lines[begin], records.lines[end])
    if is_suspicious(piece) or parser.parse_rows(piece, len(lines)) is None:
        return _sift(parser, records, begin, end)
    return _Sifted([_ended(piece)], [lines], [], 0)


def _judge_records(parser: _Parser, records: _Records, begin: int, end: int) -> _Sifted:
    """Judges records one by one."""
    good: list[bytes] = []
    good_lines: list[range] = []
    rejects: list[RowReject] = []
    headers = 0
    for index in range(begin, end):
        # Two carriage returns come of writing CRLF in text mode; the csv module takes any number of them.
        record = records.cut(index, index + 1).removesuffix(b"\n").rstrip(b"\r")
        if not record:
            continue
        if is_header(record, parser.names):
            headers += 1
            continue
        fault = find_fault(record, parser.names, parser.kinds)
        if fault is None:
            good.append(_ended(record))
            good_lines.append(range(records.lines[index], records.lines[index + 1]))
        else:
            rejects.append(RowReject(records.lines[index], *fault))
    return _Sifted(good, good_lines, rejects, headers)


def _ended(piece: bytes) -> bytes:
    return piece if piece.endswith(b"\n") else piece + b"\n"
