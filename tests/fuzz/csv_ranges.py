"""Fuzzes the cutting of CSV files and the parsing of rows against Python's csv module.

python -m tests.fuzz.csv_ranges --seconds=600

An input is three bytes (size of the ranges, size of the chunks of a stream, choices) and the rows of a CSV file.
"""

import csv
import math
import re
import struct
from collections.abc import Iterator
from typing import Any

from oi_tfrecord.openimages.csv.line_boundaries import line_range
from oi_tfrecord.openimages.csv.parse import ParsedRows, parse_rows
from oi_tfrecord.openimages.csv.record_boundaries import resolve, scan_block, split_stream
from oi_tfrecord.openimages.csv.row_faults import Kind
from oi_tfrecord.reasons import Reject

MAX_BYTES = 1500
DICTIONARY = (
    b'"', b'""', b",", b"\n", b"\r\n", b"\r", b"\r\r\n", b'","', b'",\n"', b'"\n', b',"', b"\0", b"\xef\xbb\xbf",
    b"0123456789abcdef,", b"/m/01g317,", b"0.25,", b"-1,", b"1e5,", b"1e999", b"nan", b"inf", b"0x1", b" 1", b"1_0",
    b"9223372036854775807", b"-9223372036854775808", b"9223372036854775808", b"\xc3\xa9", b"\xff",
)  # fmt: skip

WIDE = {
    "ImageID": Kind.IMAGE_ID,
    "LabelName": Kind.CATEGORY,
    "XMin": Kind.NUMBER,
    "IsInside": Kind.INTEGER,
    "OriginalSize": Kind.OPTIONAL_INTEGER,
    "Title": Kind.TEXT,
}
NARROW = {"Author": Kind.TEXT, "Title": Kind.TEXT}
_MAX_PIECES = 12
_QUOTED_LINE_BREAKS, _NARROW, _NOT_ALL_WANTED = 1, 2, 4

Row = tuple[int, tuple[Any, ...]]
Fault = tuple[int, Reject]


def seeds() -> list[bytes]:
    """Returns inputs that reach every sort of column, quote and line end."""
    row = '0123456789abcdef,/m/01g317,0.25,-1,1024,"Two lines:\nand ""quotes"", commas"{}'
    plain = "0123456789abcdef,/m/01g317,1e-3,0,,Café{}"
    bad = "0123456789abcdeF,/m/0bt9lr,x,1.5,-,a\rb{}short,row{}"
    wide = ["".join(line.replace("{}", end) for line in (row, plain, bad, plain, "{}", row)) for end in ("\n", "\r\n")]
    wide += [plain.replace("{}", "\r\n") + row.replace("{}", "\n") + 'a,"never closed\n' + plain.replace("{}", "")]
    narrow = ['a,b\n"c,\n",d\r\n\r\n"e""f",g', '"\n\n\n",\n,"\r\n"\n', 'x" y,5" disk\n"a"b,c\n', "é,\n", '"', ""]
    # Enough records for a fault to be looked for in parts of them.
    narrow.append("a,\n" * 300 + "b\rc,\n" + ",\n" * 100)
    inputs = []
    for choices in range(8):
        for rows in narrow if choices & _NARROW else wide:
            inputs += [bytes([size, size // 2, choices]) + rows.encode() for size in (0, 10, 60, 255)]
    return inputs


def check(data: bytes) -> None:
    """Checks one input; see the module."""
    if len(data) < 3:
        return
    rows = data[3:]
    # Long inputs are not cut in more pieces than it takes, as each is parsed.
    least = len(rows) // _MAX_PIECES
    block_size, chunk_size, choices = max(data[0], least) + 1, data[1] + 1, data[2]
    quoted = bool(choices & _QUOTED_LINE_BREAKS)
    columns = NARROW if choices & _NARROW else WIDE
    names = list(columns)
    wanted = {name: columns[name] for name in (names[::2] if choices & _NOT_ALL_WANTED else names)}
    expected = reference(rows, names, wanted, quoted)
    cuttings = {
        "whole": [rows] if rows else [],
        "ranges": [rows[first:last] for first, last in _ranges(rows, block_size, quoted)],
        "stream": list(split_stream(_chunks(rows, chunk_size), block_size, quoted, "a.csv")),
    }
    for cutting, pieces in cuttings.items():
        assert b"".join(pieces) == rows, cutting
        assert all(pieces), cutting
        found = _parsed(pieces, names, wanted, quoted)
        assert found == expected, f"{cutting}: {found} != {expected} for {rows!r}"


def reference(
    data: bytes, names: list[str], wanted: dict[str, Kind], quoted_line_breaks: bool
) -> tuple[list[Row], list[Fault]]:
    """Returns what the csv module makes of rows: (line, values) of the valid ones, (line, reason) of the others."""
    valid: list[Row] = []
    faults: list[Fault] = []
    for line, record in _records(data, quoted_line_breaks):
        lines = [part.decode("latin-1") for part in re.findall(rb"[^\n]*\n|[^\n]+", record)]
        try:
            fields = next(csv.reader(lines), [])
            # A line more belongs to the record only if a quote is still open.
            closed = len(list(csv.reader([*lines[:-1], lines[-1].removesuffix("\n") + "\n", "\n"]))) > 1
        except csv.Error:
            fields, closed = [""], False
        if not fields:
            continue
        values = tuple(
            _value(field.encode("latin-1"), wanted[name])
            for name, field in zip(names, fields, strict=False)
            if name in wanted
        )
        if not closed or b"\0" in record or len(fields) != len(names):
            faults.append((line, Reject.MALFORMED_ROW))
        elif None in values:
            first = next(kind for kind, value in zip(wanted.values(), values, strict=True) if value is None)
            faults.append((line, Reject.BAD_IMAGE_ID if first is Kind.IMAGE_ID else Reject.MALFORMED_ROW))
        else:
            valid.append((line, values))
    return valid, faults


def _records(data: bytes, quoted_line_breaks: bool) -> Iterator[tuple[int, bytes]]:
    """Yields each record with the line, from 0, at which it starts."""
    lines = re.findall(rb"[^\n]*\n|[^\n]+", data)
    if not quoted_line_breaks:
        yield from enumerate(lines)
        return
    # The csv module gives up at a carriage return within an unquoted field, where a record has no end.
    reader = csv.reader(re.sub(rb"\r(?!\n)", b"_", line).decode("latin-1") for line in lines)
    start = 0
    for _ in reader:
        yield start, b"".join(lines[start : reader.line_num])
        start = reader.line_num


def _value(text: bytes, kind: Kind) -> Any:
    """Returns what a field holds, comparable; None if it is not of its kind."""
    digits = set(text) <= set(b"0123456789-")
    try:
        match kind:
            case Kind.IMAGE_ID:
                return int(text, 16) if len(text) == 16 and set(text) <= set(b"0123456789abcdef") else None
            case Kind.CATEGORY:
                return text.decode("utf-8")
            case Kind.NUMBER:
                number = float(text) if set(text) <= set(b"0123456789-+.eE \t") else math.nan
                return struct.pack("<d", number) if math.isfinite(number) else None
            case Kind.OPTIONAL_INTEGER if not text:
                return -1
            case Kind.INTEGER | Kind.OPTIONAL_INTEGER:
                integer = int(text) if digits else 1 << 63
                return integer if -(1 << 63) <= integer < 1 << 63 else None
            case Kind.TEXT:
                return text
    except ValueError:
        return None


def _ranges(data: bytes, block_size: int, quoted_line_breaks: bool) -> list[tuple[int, int]]:
    def read(offset: int, length: int) -> bytes:
        return data[offset : offset + length]

    nominal = [(start, min(start + block_size, len(data))) for start in range(0, len(data), block_size)]
    lines = [line_range(read, len(data), start, end, "a.csv") for start, end in nominal]
    if not quoted_line_breaks:
        return [(first, last) for first, last in lines if first < last]
    return resolve([scan_block(data[first:last], first) for first, last in lines], "a.csv")


def _chunks(data: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


def _parsed(
    pieces: list[bytes], names: list[str], wanted: dict[str, Kind], quoted_line_breaks: bool
) -> tuple[list[Row], list[Fault]]:
    valid: list[Row] = []
    faults: list[Fault] = []
    first_line = 0
    for piece in pieces:
        rows = parse_rows(piece, names, wanted, quoted_line_breaks=quoted_line_breaks)
        columns = [_plain(rows, name, kind) for name, kind in wanted.items()]
        valid += zip((first_line + int(line) for line in rows.lines), zip(*columns, strict=True), strict=True)
        faults += [(first_line + reject.line, reject.reason) for reject in rows.rejects]
        first_line += rows.line_count
    return valid, faults


def _plain(rows: ParsedRows, name: str, kind: Kind) -> list[Any]:
    if kind is Kind.CATEGORY:
        column = rows.columns.categories[name]
        return [column.values[code] for code in column.codes]
    if kind is Kind.TEXT:
        return list(rows.columns.texts[name].to_pylist())
    numbers = rows.columns.numbers[name].tolist()
    return [struct.pack("<d", number) for number in numbers] if kind is Kind.NUMBER else list(numbers)


if __name__ == "__main__":
    from tests.fuzz import engine

    engine.main("tests.fuzz.csv_ranges")
