"""Classes: their MIDs, display names and lists, as every Open Images release publishes them.

V1 has a fully quoted `dict.csv`; V2 to V5 a `class-descriptions.csv` without header, V6 and V7 one with
`LabelName,DisplayName`; line ends are LF, CRLF or both in one file. Display names change between releases
and are not unique, so the key is always the MID.
"""

import codecs
import csv
import functools
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from oi_tfrecord.errors import ConfigError, InputError, nearest

MAX_CLASSES = 65535
"""Codes are stored as uint16, and 65535 itself is left free to mean `no class`."""

_HEADERS = frozenset({"labelname", "label", "labelid", "mid", "class", "classname", "classid", "id"})

_MID_COLUMN, _NAME_COLUMN = "labelname", "displayname"
"""The header of V6 and V7, in lower case."""

_ROW_REMEDY = "Write one MID,name row per class; a name with a comma, quote or line break is quoted, its quotes doubled"


class _Row(NamedTuple):
    """A CSV row and the line, from 1, on which it starts."""

    line: int
    fields: list[str]


_OTHER_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars"}


def read_descriptions(data: bytes, path: str) -> dict[str, str]:
    """Reads the display names of classes from a class-descriptions CSV or V1's dict.csv.

    Args:
        data: the whole file, decompressed; UTF-8 with or without BOM, with or without a header.
        path: the file's name, for errors.

    Returns:
        MID -> display name, in file order. An identical repeat of a row counts once.

    Raises:
        InputError: naming the line, if the file is not UTF-8, holds NUL bytes or no class, if a row has
            not two fields or no MID, or if a MID occurs with two names.
    """
    names: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line, fields in _class_rows(data, path):
        if len(fields) != 2:
            raise InputError(path, f"{len(fields)} fields where there must be two", _ROW_REMEDY, line)
        mid, name = fields[0].strip(), fields[1]
        if names.setdefault(mid, name) != name:
            raise InputError(
                path,
                f"{mid} is named {name!r} here and {names[mid]!r} on line {lines[mid]}",
                "Remove one of the two rows",
                line,
            )
        lines.setdefault(mid, line)
    return names


def read_class_list(data: bytes, path: str) -> list[str]:
    """Reads a list of classes: one MID per line (classes*.txt), or a CSV whose first column is the MID.

    Args:
        data: the whole file, decompressed.
        path: the file's name, for errors.

    Returns:
        The MIDs in file order, each once.

    Raises:
        InputError: naming the line, if the file is not UTF-8, holds NUL bytes or no class, if a row has
            no MID, or if a MID occurs twice.
    """
    lines: dict[str, int] = {}
    for line, fields in _class_rows(data, path):
        mid = fields[0].strip()
        if lines.setdefault(mid, line) != line:
            raise InputError(path, f"{mid} stands here and on line {lines[mid]}", "Remove one of the two lines", line)
    return list(lines)


@dataclass(frozen=True)
class Vocabulary:
    """All known classes, each with a code from 0, for columns of codes instead of MIDs.

    Args:
        mids: the MIDs; the code of a MID is its place here. No MID twice, at most 65,535.

    Raises:
        ConfigError: if there are more classes than codes.
        ValueError: if a MID occurs twice.
    """

    mids: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.mids) > MAX_CLASSES:
            raise ConfigError(
                "classes",
                f"{len(self.mids)} classes in the class files, and at most {MAX_CLASSES} have codes, "
                "which are 16-bit; leave out files that do not list classes",
            )
        if len(self._code_of) != len(self.mids):
            raise ValueError("a MID occurs twice in the vocabulary")

    @classmethod
    def of(cls, *sources: Iterable[str]) -> "Vocabulary":
        """Makes the vocabulary of several sources; equal sets of MIDs give equal codes, whatever their order.

        Args:
            sources: iterables of MIDs: descriptions (by their keys) and class lists.

        Returns:
            The vocabulary, in code-point order of the MIDs.
        """
        return cls(tuple(sorted(set(itertools.chain.from_iterable(sources)))))

    @functools.cached_property
    def _code_of(self) -> dict[str | None, int]:
        return {mid: code for code, mid in enumerate(self.mids)}

    def __reduce__(self) -> tuple[type["Vocabulary"], tuple[tuple[str, ...]]]:
        # Without this, each worker would also be sent the index, which takes little time to rebuild.
        return Vocabulary, (self.mids,)

    def __len__(self) -> int:
        return len(self.mids)

    def codes(self, mids: Sequence[str | None]) -> np.ndarray:
        """Translates MIDs to codes.

        Args:
            mids: any number of MIDs; None is an unknown one.

        Returns:
            int32 array of the same length: codes from 0, and -1 for an unknown MID.
        """
        return np.fromiter(map(self._code_of.get, mids, itertools.repeat(-1)), dtype=np.int32, count=len(mids))


def find_class(name_or_mid: str, descriptions: Mapping[str, str]) -> str:
    """Finds the class a user means.

    Args:
        name_or_mid: a MID, or a display name in any case.
        descriptions: MID -> display name.

    Returns:
        The MID.

    Raises:
        ConfigError: if no class has this name (with the nearest that exists), or several have (with their MIDs).
    """
    if name_or_mid in descriptions:
        return name_or_mid
    folded = name_or_mid.strip().casefold()
    mids_of: dict[str, list[str]] = {}
    for mid, name in descriptions.items():
        mids_of.setdefault(name.casefold(), []).append(mid)
    mids = mids_of.get(folded, [])
    if len(mids) == 1:
        return mids[0]
    if mids:
        raise ConfigError("classes", f"{name_or_mid!r} names several classes, give the MID of one: {', '.join(mids)}")
    guess = nearest(name_or_mid, descriptions) if _is_mid(name_or_mid) else nearest(folded, mids_of)
    raise ConfigError("classes", f"no class {name_or_mid!r} in the class descriptions{guess}")


def is_class(name_or_mid: str, descriptions: Mapping[str, str]) -> bool:
    """Returns whether one or several classes have this MID, or this display name in any case."""
    return name_or_mid in descriptions or name_or_mid.strip().casefold() in map(str.casefold, descriptions.values())


def find_listed(name_or_mid: str, listed: Mapping[str, str], descriptions: Mapping[str, str]) -> str:
    """Finds the class of a list that a user means; a name that a class outside of the list also has is not ambiguous.

    Args:
        name_or_mid: as in `find_class`.
        listed: MID -> display name of the classes of the list.
        descriptions: MID -> display name of all classes.

    Returns:
        The MID.

    Raises:
        ConfigError: as `find_class`, and if only a class outside of the list has this name.
    """
    if not is_class(name_or_mid, listed) and is_class(name_or_mid, descriptions):
        problem = f"{name_or_mid!r} is not in the class list, which makes the label map; give another --class_list"
        raise ConfigError("classes", problem)
    return find_class(name_or_mid, listed)


def _is_mid(text: str) -> bool:
    return text.startswith("/")


def _class_rows(data: bytes, path: str) -> list[_Row]:
    """Returns the rows that hold a class, each with a first field: no blank rows and no header."""
    rows = [row for row in _csv_rows(decode_text(data, path), path) if "".join(row.fields).strip()]
    rows = _put_mids_first(rows, path)
    if rows and _is_header(rows[0], rows[1:2]):
        # The header stands again where files were joined by `cat`.
        rows = [row for row in rows if row.fields != rows[0].fields]
    if not rows:
        raise InputError(path, "no class in the file", "Give a file with one class per line")
    for row in rows:
        mid = row.fields[0].strip()
        if not mid:
            raise InputError(path, "the MID is empty", _ROW_REMEDY, row.line)
        check_separator(mid, path, row.line)
    return rows


def _put_mids_first(rows: list[_Row], path: str) -> list[_Row]:
    """Returns rows with the MID first and the name second where the header names these columns at other places."""
    head = [field.strip().lower() for field in rows[0].fields] if rows else []
    if _MID_COLUMN not in head or head in ([_MID_COLUMN], [_MID_COLUMN, _NAME_COLUMN]):
        return rows
    if (head[0] == _MID_COLUMN and _NAME_COLUMN not in head) or any(map(_is_mid, head)):
        return rows
    places = [head.index(column) for column in (_MID_COLUMN, _NAME_COLUMN) if column in head]
    for line, fields in rows:
        if len(fields) != len(head):
            raise InputError(path, f"{len(fields)} fields, and the header has {len(head)}", _ROW_REMEDY, line)
    return [_Row(line, [fields[place] for place in places]) for line, fields in rows]


def check_separator(text: str, path: str, line: int) -> None:
    """Checks that a MID, or a line that begins with one, has no separator of another kind of file than CSV.

    Raises:
        InputError: naming the separator.
    """
    if other := next((name for name in _OTHER_SEPARATORS if name in text), None):
        problem = f"the fields are separated by {_OTHER_SEPARATORS[other]}, not by commas: {text!r}"
        raise InputError(path, problem, "Save the file as CSV with commas", line)


def _is_header(first: _Row, second: list[_Row]) -> bool:
    # Data sets in the Open Images layout may use names of their own for LabelName, so a first field that
    # is no MID makes a header only where it says so or where the next row does have a MID.
    head = first.fields[0].strip()
    spelled = "".join(filter(str.isalnum, head)).lower() in _HEADERS
    return bool(head) and not _is_mid(head) and (spelled or any(_is_mid(row.fields[0].strip()) for row in second))


def _csv_rows(text: str, path: str) -> list[_Row]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows = []
    start = 1
    try:
        for fields in reader:
            rows.append(_Row(start, fields))
            start = reader.line_num + 1
    except csv.Error as error:
        raise InputError(path, f"the row that starts here is no CSV ({error})", _ROW_REMEDY, start) from error
    return rows


def decode_text(data: bytes, path: str) -> str:
    """Returns the text of a small file of classes, without a byte order mark.

    Args:
        data: its bytes.
        path: the file, for error messages.

    Raises:
        InputError: the text is not UTF-8 or holds a NUL byte.
    """
    data = data.removeprefix(codecs.BOM_UTF8)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = _line_at(data, error.start)
        raise InputError(path, "the text is not UTF-8", "Save the file as UTF-8", line) from error
    nul = data.find(b"\0")
    if nul >= 0:
        raise InputError(path, "a NUL byte in the text", "Fetch the file again, it is damaged", _line_at(data, nul))
    # A byte order mark within the text is where files were joined.
    return text.replace("\n\ufeff", "\n")


def _line_at(data: bytes, offset: int) -> int:
    return data[:offset].replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1
