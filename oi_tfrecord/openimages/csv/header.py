"""The header line of a CSV file: which columns it has and where its rows start."""

import codecs
import collections
import csv
import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.csv.record_boundaries import record_starts
from oi_tfrecord.openimages.schema import COLUMN_ALIASES

_WIDE_BOMS = (b"\xff\xfe", b"\xfe\xff", b"\0\0\xfe\xff")

_WIDE_REMEDY = "Convert it to UTF-8, for example with: iconv -f UTF-16 -t UTF-8 OLD > NEW"

_SAVE_AS_CSV = "Save the table as CSV, in UTF-8 and with commas"

_NO_TEXT = {
    b"\x1f\x8b": ("compressed (gzip)", "Let its name end in .gz, or unpack the file"),
    b"BZh": ("compressed (bzip2)", "Let its name end in .bz2, or unpack the file"),
    b"PK\x03\x04": ("a zip archive or a spreadsheet (xlsx, ods)", f"Unpack the archive. {_SAVE_AS_CSV}"),
    b"\xd0\xcf\x11\xe0": ("a spreadsheet (xls)", _SAVE_AS_CSV),
    b"PAR1": ("a Parquet file", _SAVE_AS_CSV),
}
"""First bytes of files that are no text: what such a file is, and what to do."""

_MAX_HEADER_BYTES = 1 << 15

_NEAR = 0.85
"""Least likeness of near names (`difflib`): `Inside` and `IsInside` are near, `LabelSource` and `Source` are not."""

_IMAGE_ID = re.compile(r"[0-9a-fA-F]{16}")


@dataclass(frozen=True, slots=True)
class Header:
    """The columns of a CSV file in file order, and where the rows start.

    Attributes:
        names: the column names, without surrounding blanks.
        rows_start: byte offset in the file of the first byte after the header line.
        line_count: lines before the first row, so that file line = line_count + line within the rows.
    """

    names: tuple[str, ...]
    rows_start: int
    line_count: int


def read_header(first_bytes: bytes, path: str) -> Header:
    """Reads the header from the beginning of a CSV file.

    Args:
        first_bytes: the file's first bytes, decompressed; the whole header line must be among them.
        path: the file, for error messages.

    Returns:
        The header. A UTF-8 byte order mark and blank lines before it are skipped.

    Raises:
        InputError: the file is empty, compressed, not UTF-8, or has no line end in first_bytes.
    """
    _check_encoding(first_bytes, path)
    bom = len(codecs.BOM_UTF8) if first_bytes.startswith(codecs.BOM_UTF8) else 0
    text = first_bytes[bom:]
    body = text.lstrip(b"\r\n")
    record = _first_record(body, path)
    names = _parse_names(record.rstrip(b"\r\n"), path)
    rows_start = bom + len(text) - len(body) + len(record)
    return Header(tuple(name.strip() for name in names), rows_start, first_bytes.count(b"\n", 0, rows_start))


def _check_encoding(first_bytes: bytes, path: str) -> None:
    if first_bytes.startswith(_WIDE_BOMS):
        raise InputError(path, "the file is UTF-16 or UTF-32, not UTF-8", _WIDE_REMEDY, line=1)
    for magic, (kind, remedy) in _NO_TEXT.items():
        if first_bytes.startswith(magic):
            raise InputError(path, f"the file is {kind}", remedy)


def _first_record(body: bytes, path: str) -> bytes:
    """Returns the first record with its line end."""
    if not body:
        raise InputError(path, "the file is empty", "Download it again, or take it out of the config")
    starts, open_at_end = record_starts(body)
    is_last = len(starts) == 1
    record = body if is_last else body[: int(starts[1])]
    if is_last and not open_at_end and len(record) > _MAX_HEADER_BYTES and b"\n" not in record:
        raise InputError(path, "the first line does not end", "Check that it is a CSV file with LF or CRLF", line=1)
    if b"\0" in record:
        raise InputError(path, "the header holds NUL bytes, as UTF-16 or UTF-32 does", _WIDE_REMEDY, line=1)
    if is_last and open_at_end:
        raise InputError(path, "the header opens a quoted field and does not close it", "Close the quote", line=1)
    return record


def _parse_names(line: bytes, path: str) -> list[str]:
    if b"\r" in line:
        remedy = "Convert the line ends, for example with: tr '\\r' '\\n' < OLD > NEW"
        raise InputError(path, "the header holds a carriage return without a line feed", remedy, line=1)
    try:
        return next(csv.reader([line.decode("utf-8")]))
    except UnicodeDecodeError as error:
        raise InputError(path, f"the header is not UTF-8 ({error.reason})", "Convert the file to UTF-8", 1) from None
    except csv.Error as error:
        raise InputError(path, f"the header cannot be read ({error})", "Check that it is a CSV file", 1) from None


def use_known_names(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the columns of a box file by the names of V4; a column keeps its name if the file has that of V4, too."""
    return tuple(name if COLUMN_ALIASES.get(name, name) in names else COLUMN_ALIASES[name] for name in names)


def find_near_column(names: Sequence[str], known: Iterable[str]) -> tuple[str, str] | None:
    """Finds a column whose name is nearly that of a known column, which the file lacks.

    Args:
        names: the columns of a file.
        known: the columns that are read.

    Returns:
        (name in the file, known name); None if there is none.
    """
    lacking = {_simplify(name): name for name in known if name not in names}
    for name in names:
        near = difflib.get_close_matches(_simplify(name), lacking, n=1, cutoff=_NEAR)
        if near and name not in known:
            return name, lacking[near[0]]
    return None


def _simplify(name: str) -> str:
    return re.sub("[^a-z0-9]", "", name.lower())


_FORMATS = (
    (r"\s*<(!doctype|html)", "a web page (HTML), such as one that asks to sign in", "Download the file itself"),
    (r"\s*<(\?xml|error)", "an answer of a store in XML, such as an error", "Download the file again"),
    (r"version https://git-lfs", "a pointer of Git LFS, not the file", "Run `git lfs pull`"),
    (r"\s*[{\[]", "JSON", "Give the CSV file of the release"),
)
"""Beginnings of files that are no CSV tables, what they are, and what to do."""

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}


def check_format(first: str, columns: int, path: str) -> None:
    """Raises an InputError if the first line of a file is that of another format, or has another separator.

    Args:
        first: text of the first column.
        columns: number of columns, as commas separate them.
        path: the file, for error messages.
    """
    for pattern, format_name, remedy in _FORMATS:
        if re.match(pattern, first, re.IGNORECASE):
            raise InputError(path, f"is {format_name}: the file begins with {first[:40]!r}", remedy, 1)
    for separator, name in _SEPARATORS.items():
        if columns == 1 and separator in first:
            raise InputError(path, f"{name} separate the columns, not commas", "Save the table with commas", 1)


def check_columns(header: Header, required: Iterable[str], path: str) -> None:
    """Checks that a file has the columns that a config names.

    Args:
        header: the file's header.
        required: the column names that must be there, in any order.
        path: the file, for error messages.

    Raises:
        InputError: there is no header line, a column is missing, or a name occurs twice.
    """
    names = header.names
    needed = list(required)
    if _IMAGE_ID.fullmatch(names[0]) and names[0] not in needed:
        remedy = f"Put a header line before the rows; needed columns: {','.join(needed)}"
        raise InputError(path, f"the header line is missing: the first line is a row ({names[0]},...)", remedy, 1)
    # Spreadsheets write empty columns after the last, which no table needs.
    repeated = [name for name, times in collections.Counter(names).items() if name and times > 1]
    if repeated:
        raise InputError(path, f"column names occur more than once: {', '.join(repeated)}", "Rename one of each", 1)
    missing = [name for name in needed if name not in names]
    if missing:
        check_format(names[0], len(names), path)
        # A column that is needed by its own name is no misspelling of another: XMax is not meant for XMin.
        others = {_simplify(name): name for name in names if name not in needed}
        hints = ", ".join(f"'{name}'{_suggest(name, others)}" for name in missing)
        remedy = "Check that the config names this file for this purpose, or rename the columns"
        raise InputError(path, f"missing columns: {hints} (found: {', '.join(names)})", remedy, 1)


def _suggest(name: str, others: Mapping[str, str]) -> str:
    """Returns `; did you mean 'x'?` for the column that is nearest to a missing one; empty if none is near."""
    near = difflib.get_close_matches(_simplify(name), others, n=1, cutoff=_NEAR)
    return f"; did you mean '{others[near[0]]}'?" if near else ""
