"""CSV bytes to typed columns, with every unreadable row told apart and none lost.

Good data never meets per-row Python: pyarrow parses it, and checks on whole columns accept
it. When anything is off, the data is cut into records; pieces without a fault still go the
fast way, and the records of the others are judged one by one. What remains is parsed the
fast way again, so that both ways give the same arrays.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from oi_tfrecord.openimages.csv.record_boundaries import record_starts, scan_block
from oi_tfrecord.openimages.csv.row_faults import Kind, find_fault
from oi_tfrecord.openimages.image_id import image_ids
from oi_tfrecord.reasons import Reject

_UTF8_BOM = b"\xef\xbb\xbf"

_FEW_RECORDS = 256

_PARTS = 16


@dataclass(frozen=True, slots=True)
class Category:
    """A column of repeated values.

    Attributes:
        codes: int32, for each row an index into values.
        values: the distinct values, in order of first occurrence.
    """

    codes: npt.NDArray[np.int32]
    values: list[str]


@dataclass(frozen=True, slots=True)
class RowReject:
    """A row that cannot be read.

    Attributes:
        line: the line at which it starts, counted from 0 within the data.
        reason: why.
        detail: what was found; printable, at most 200 characters.
    """

    line: int
    reason: Reject
    detail: str


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a piece of a CSV file.

    Attributes:
        columns: by column name, the values of the valid rows in file order, as Kind says.
        lines: uint32, the line at which each valid row starts, counted from 0 within the data.
        line_count: lines in the data, a last one without line end included.
        rejects: the rows that cannot be read, in file order.
    """

    columns: dict[str, Any]
    lines: npt.NDArray[np.uint32]
    line_count: int
    rejects: list[RowReject]

    @property
    def rows_read(self) -> int:
        """The rows in the data: valid ones and rejects, not blank lines."""
        return len(self.lines) + len(self.rejects)


def parse_rows(data: bytes, names: Sequence[str], wanted: Mapping[str, Kind], *, quoted_line_breaks: bool) -> Rows:
    """Parses whole CSV records.

    Args:
        data: records without a header, less than 2 GiB; the first byte starts a record.
        names: the names of the columns in file order.
        wanted: the columns to parse and what they hold; all are in names.
        quoted_line_breaks: whether a quoted field may hold line breaks. If not, every line is a
            record of its own, so that a stray quote damages no row but its own.

    Returns:
        The rows. Blank lines are no rows.
    """
    parser = _Parser(tuple(names), dict(wanted), quoted_line_breaks)
    line_count = data.count(b"\n") + (not data.endswith(b"\n") and bool(data))
    if not _is_suspicious(data):
        parsed = parser.parse(data, line_count)
        if parsed is not None:
            return Rows(*parsed, line_count, [])
    return _parse_carefully(parser, data, line_count)


_ARROW_TYPES = {
    Kind.IMAGE_ID: pa.binary(16),
    Kind.CATEGORY: pa.dictionary(pa.int32(), pa.binary()),
    Kind.NUMBER: pa.float64(),
    Kind.INTEGER: pa.string(),
    Kind.OPTIONAL_INTEGER: pa.string(),
    Kind.TEXT: pa.binary(),
}

_Parsed = tuple[dict[str, Any], npt.NDArray[np.uint32]]


@dataclass(frozen=True, slots=True)
class _Parser:
    names: tuple[str, ...]
    wanted: dict[str, Kind]
    quoted_line_breaks: bool

    def parse(self, data: bytes, line_count: int) -> _Parsed | None:
        """Returns the columns and the rows' lines, or None if any row is at fault."""
        table = self._read(data)
        if table is None:
            return None
        lines = self._lines(data, line_count, table.num_rows)
        if lines is None:
            return None
        columns: dict[str, Any] = {}
        for name, kind in self.wanted.items():
            column = _convert(table.column(name), kind)
            if column is None:
                return None
            columns[name] = column
        return columns, lines

    def _read(self, data: bytes) -> pa.Table | None:
        types = {name: _ARROW_TYPES[kind] for name, kind in self.wanted.items()}
        quoted = b'"' in data
        # pyarrow would drop a byte order mark, which means nothing but on a file's first line. It skips blank lines.
        source = b"\n" + data if not data or data.startswith(_UTF8_BOM) else data
        try:
            return pa_csv.read_csv(
                pa.BufferReader(source),
                read_options=pa_csv.ReadOptions(
                    use_threads=False, block_size=len(source) + 1, column_names=list(self.names)
                ),
                parse_options=pa_csv.ParseOptions(quote_char='"' if quoted else False, newlines_in_values=quoted),
                convert_options=pa_csv.ConvertOptions(
                    column_types=types,
                    include_columns=list(types),
                    check_utf8=False,
                    null_values=[],
                ),
            )
        except pa.ArrowInvalid:
            return None

    def _lines(self, data: bytes, line_count: int, rows: int) -> npt.NDArray[np.uint32] | None:
        """Returns the line of each row, or None if pyarrow's rows are not the records."""
        quoted = b'"' in data
        if quoted and self.quoted_line_breaks and rows != line_count:
            starts, open_at_end = record_starts(data)
            starts = starts[~_blank(data, starts)]
            if open_at_end or len(starts) != rows:
                return None
            return _line_numbers(data, starts)
        # From here on each line that is not blank must be a row. A quote that is closed lines later makes fewer
        # rows; one that is never closed is on the last line, and pyarrow would not complain.
        if quoted and scan_block(_last_line(data)).ends_inside[False]:
            return None
        if rows == line_count:
            return np.arange(rows, dtype=np.uint32)
        full = np.flatnonzero(~_blank(data, _line_starts(data)))
        return full.astype(np.uint32) if len(full) == rows else None


def _convert(chunked: pa.ChunkedArray, kind: Kind) -> Any:
    """Returns a parsed column as its Kind says, or None if any value is at fault."""
    array = chunked.chunk(0) if chunked.num_chunks == 1 else chunked.combine_chunks()
    match kind:
        case Kind.IMAGE_ID:
            begin = array.offset * 16
            return image_ids(np.frombuffer(array.buffers()[1], np.uint8)[begin : begin + len(array) * 16])
        case Kind.CATEGORY:
            try:
                values = [value.decode("utf-8") for value in array.dictionary.to_pylist()]
            except UnicodeDecodeError:
                return None
            return Category(array.indices.to_numpy(), values)
        case Kind.NUMBER:
            numbers: npt.NDArray[np.float64] = array.to_numpy()
            return numbers if np.isfinite(numbers).all() else None
        case Kind.INTEGER | Kind.OPTIONAL_INTEGER:
            return _integers(array, optional=kind is Kind.OPTIONAL_INTEGER)
        case Kind.TEXT:
            return array


def _integers(array: pa.StringArray, optional: bool) -> npt.NDArray[np.int64] | None:
    if optional:
        array = pc.if_else(pc.equal(pc.binary_length(array), 0), "-1", array)
    _, offsets, characters = array.buffers()
    used = np.frombuffer(offsets, np.int32)[len(array)] if len(array) else 0
    # pyarrow reads 0x10 as 16.
    if used and (np.frombuffer(characters, np.uint8)[:used] | 0x20 == ord("x")).any():
        return None
    try:
        numbers: npt.NDArray[np.int64] = array.cast(pa.int64()).to_numpy()
    except pa.ArrowInvalid:
        return None
    return numbers


def _parse_carefully(parser: _Parser, data: bytes, line_count: int) -> Rows:
    starts = record_starts(data)[0] if parser.quoted_line_breaks else _line_starts(data)
    record_lines = [*_line_numbers(data, starts).tolist(), line_count]
    borders = [*starts.tolist(), len(data)]
    good: list[bytes] = []
    good_lines: list[range] = [range(0)]
    rejects: list[RowReject] = []

    def keep(piece: bytes, begin: int, end: int) -> None:
        good.append(piece if piece.endswith(b"\n") else piece + b"\n")
        good_lines.append(range(record_lines[begin], record_lines[end]))

    def is_good(piece: bytes, begin: int, end: int) -> bool:
        return not _is_suspicious(piece) and parser.parse(piece, record_lines[end] - record_lines[begin]) is not None

    def sift(begin: int, end: int) -> None:
        if end - begin > _FEW_RECORDS:
            step = -(-(end - begin) // _PARTS)
            for first in range(begin, end, step):
                last = min(first + step, end)
                piece = data[borders[first] : borders[last]]
                if is_good(piece, first, last):
                    keep(piece, first, last)
                else:
                    sift(first, last)
            return
        for index in range(begin, end):
            # Two carriage returns come of writing CRLF in text mode; the csv module takes any number of them.
            record = data[borders[index] : borders[index + 1]].removesuffix(b"\n").rstrip(b"\r")
            if not record:
                continue
            fault = find_fault(record, parser.names, parser.wanted)
            if fault is None:
                keep(record, index, index + 1)
            else:
                rejects.append(RowReject(record_lines[index], *fault))

    sift(0, len(starts))
    joined = b"".join(good)
    kept_lines = np.concatenate([np.arange(r.start, r.stop, dtype=np.uint32) for r in good_lines])
    parsed = parser.parse(joined, len(kept_lines))
    if parsed is None:
        raise AssertionError("rows judged valid one by one are not valid together")
    columns, lines = parsed
    return Rows(columns, kept_lines[lines], line_count, rejects)


def _is_suspicious(data: bytes) -> bool:
    """Whether data holds a NUL, or a carriage return without line feed, which pyarrow takes for a line end."""
    if b"\0" in data:
        return True
    if b"\r" not in data:
        return False
    buffer = np.frombuffer(data, np.uint8)
    returns = np.flatnonzero(buffer == ord("\r"))
    return bool(returns[-1] == len(buffer) - 1 or (buffer[returns + 1] != ord("\n")).any())


def _line_starts(data: bytes) -> npt.NDArray[np.int64]:
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    starts = np.concatenate([np.zeros(1, np.int64), ends + 1])
    return starts[: np.searchsorted(starts, len(data))]


def _line_numbers(data: bytes, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    return np.searchsorted(ends, starts).astype(np.uint32)


def _blank(data: bytes, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Marks the starts of lines that hold nothing but a line end."""
    buffer = np.frombuffer(data, np.uint8)
    first = buffer[starts]
    second = buffer[np.minimum(starts + 1, len(buffer) - 1)]
    return (first == ord("\n")) | ((first == ord("\r")) & (second == ord("\n")))


def _last_line(data: bytes) -> bytes:
    """Returns the last line that is not blank, without its line end."""
    end = len(data)
    while end and data[end - 1] in b"\r\n":
        end -= 1
    return data[data.rfind(b"\n", 0, end) + 1 : end]
