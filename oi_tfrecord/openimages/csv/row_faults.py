"""Finds why a CSV record is no valid row, field by field."""

import codecs
import enum
import math
import re
from collections.abc import Mapping, Sequence

from oi_tfrecord.openimages.image_id import HEX_ID, IdForm, is_image_name
from oi_tfrecord.reasons import Reject

MAX_DETAIL = 200
"""Characters of a fault's description at most."""

# A finite float as pyarrow and Python both read it, with blanks around it.
_NUMBER = re.compile(rb"[ \t]*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[ \t]*")

# The digits are limited because Python refuses to read integers of thousands of digits.
_INTEGER = re.compile(rb"-?0*[0-9]{1,19}")

# A quoted field and what follows its closing quote, or an unquoted field. Not the csv module: its
# limit of 128 KiB on a field is a setting of the whole process, and it accepts an unclosed quote.
_FIELD = re.compile(rb'"((?:[^"]++|"")*+)"([^,]*+),|((?:[^",][^,]*+)?),')


# Integral floats and blanks are what spreadsheets and pandas write; an empty cell is an unknown flag.
_FLAG = re.compile(rb"[ \t]*(?:[+-]?0*[0-9]{1,19}(?:\.0*)?)?[ \t]*")


BLANKS = b" \t"
"""What may stand around a value; texts keep theirs."""


class Kind(enum.Enum):
    """What the fields of a column are, and what array they become."""

    IMAGE_ID = "16 lower-case hex digits; uint64 array"
    IMAGE_NAME = "ImageID of any form; uint64 array of keys, and pyarrow BinaryArray"
    CATEGORY = "UTF-8 text with few distinct values; Category"
    NUMBER = "finite decimal number; float64 array"
    OPTIONAL_NUMBER = "finite decimal number, NaN where empty; float64 array"
    INTEGER = "decimal integer; int64 array"
    FLAG = "integer or integral float, -1 where empty; int64 array"
    OPTIONAL_INTEGER = "decimal integer, -1 where empty; int64 array"
    TEXT = "any bytes; pyarrow BinaryArray"


def id_kind(form: IdForm) -> Kind:
    """Returns how ImageIDs of a form are parsed."""
    return Kind.IMAGE_ID if form is IdForm.HEX else Kind.IMAGE_NAME


def find_fault(record: bytes, names: Sequence[str], kinds: Mapping[str, Kind]) -> tuple[Reject, str] | None:
    """Finds why a record is no valid row.

    Args:
        record: one CSV record without its line end.
        names: the names of the columns in file order.
        kinds: the columns that are read and what they hold; all are in names. Other columns only
            have to be present.

    Returns:
        The reason and the value at fault, printable and at most MAX_DETAIL characters; None if the
        record is a valid row. Of several faults the first counts: a NUL byte,
        bad quotes, the number of fields, then the columns in the order of kinds.
    """
    if b"\0" in record:
        return Reject.MALFORMED_ROW, _detail("NUL byte", record)
    try:
        fields = _split_fields(record)
    except ValueError as error:
        return Reject.MALFORMED_ROW, _detail(str(error), record)
    if len(fields) != len(names):
        return Reject.MALFORMED_ROW, _detail(f"{len(names)} fields expected, {len(fields)} found", record)
    by_name = dict(zip(names, fields, strict=True))
    for name, kind in kinds.items():
        if not _is_valid(by_name[name], kind):
            is_image_id = kind in (Kind.IMAGE_ID, Kind.IMAGE_NAME)
            reason = Reject.BAD_IMAGE_ID if is_image_id else Reject.MALFORMED_ROW
            return reason, _detail(name, by_name[name])
    return None


def is_header(record: bytes, names: Sequence[str]) -> bool:
    """Returns whether a record without its line end is the header of its file, as where files were joined by `cat`."""
    if names[0].encode() not in record:
        return False
    try:
        fields = _split_fields(record.removeprefix(codecs.BOM_UTF8))
    except ValueError:
        return False
    return [field.strip(BLANKS) for field in fields] == [name.encode() for name in names]


def _split_fields(record: bytes) -> list[bytes]:
    """Splits a record without line end; raises ValueError with the fault of the quotes."""
    if b'"' not in record:
        if b"\r" in record:
            raise ValueError("carriage return in an unquoted field")
        return record.split(b",")
    fields = []
    at = 0
    text = record + b","
    while at < len(text):
        match = _FIELD.match(text, at)
        if match is None:
            raise ValueError("a quoted field is not closed")
        quoted, rest, unquoted = match.groups()
        if b"\r" in (rest if unquoted is None else unquoted):
            raise ValueError("carriage return in an unquoted field")
        fields.append(unquoted if quoted is None else quoted.replace(b'""', b'"') + rest)
        at = match.end()
    return fields


def _is_valid(value: bytes, kind: Kind) -> bool:
    match kind:
        case Kind.IMAGE_ID:
            return HEX_ID.fullmatch(value.strip(BLANKS)) is not None
        case Kind.IMAGE_NAME:
            return is_image_name(value.strip(BLANKS))
        case Kind.CATEGORY:
            return _is_utf8(value)
        case Kind.OPTIONAL_NUMBER if not value.strip(BLANKS):
            return True
        case Kind.NUMBER | Kind.OPTIONAL_NUMBER:
            return is_number(value)
        case Kind.OPTIONAL_INTEGER if not value:
            return True
        case Kind.FLAG:
            if not _FLAG.fullmatch(value):
                return False
            return -(2**63) <= int(value.strip().partition(b".")[0] or 0) < 2**63
        case Kind.INTEGER | Kind.OPTIONAL_INTEGER:
            return _INTEGER.fullmatch(value) is not None and -(2**63) <= int(value) < 2**63
        case Kind.TEXT:
            return True


def is_number(value: bytes) -> bool:
    """Returns whether a field is a finite decimal number; `float` also takes `nan`, `inf` and `1_0`."""
    return _NUMBER.fullmatch(value) is not None and math.isfinite(float(value))


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _detail(label: str, value: bytes) -> str:
    return f"{label}: {value[:MAX_DETAIL].decode('utf-8', 'backslashreplace')!r}"[:MAX_DETAIL]
