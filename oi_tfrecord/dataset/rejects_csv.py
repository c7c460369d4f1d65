"""Rejected rows and images, and the CSV that lists them."""

import csv
import dataclasses
import io
from collections.abc import Iterable
from typing import Protocol

from oi_tfrecord.openimages.schema import RangeKey
from oi_tfrecord.reasons import Reject

COLUMNS = ("Table", "File", "Line", "ImageID", "Reason", "Detail")

MAX_DETAIL = 200


@dataclasses.dataclass(frozen=True)
class Rejected:
    """One row or image that did not reach a record.

    Attributes:
        table: table of the row, or `images` for an image.
        file: path of the CSV file, or of the image.
        line: line of the row within its range, from 0; -1 for an image.
        image_id: 16 hex digits, or empty where the row has none.
        reason: why.
        detail: what was found.
        range_index: range of the file which `line` counts from; -1 for an image.
        file_index: number of the file within its table; -1 for an image.
    """

    table: str
    file: str
    line: int
    image_id: str
    reason: Reject
    detail: str
    range_index: int = -1
    file_index: int = -1


class Fault(Protocol):
    """What is wrong with a row: `line` counts from 0 within its range."""

    @property
    def line(self) -> int: ...
    @property
    def image_id(self) -> str: ...
    @property
    def reason(self) -> Reject: ...
    @property
    def detail(self) -> str: ...


def reject_row(key: RangeKey, path: str, fault: Fault) -> Rejected:
    """Returns the reject of a row.

    Args:
        key: the range that the fault's line counts from.
        path: the range's file.
        fault: what is wrong with the row.
    """
    return Rejected(
        table=key.table,
        file=path,
        line=fault.line,
        image_id=fault.image_id,
        reason=fault.reason,
        detail=fault.detail,
        range_index=key.index,
        file_index=key.file,
    )


def format_piece(rejected: Iterable[Rejected]) -> str:
    """Returns rejects as CSV lines, line numbers still relative to their range.

    The number of the first line of a range is known once all ranges before it were read, so
    pieces carry (file index, range, line) until `absolute_lines` resolves them.
    """
    lines = []
    for item in rejected:
        detail = item.detail[:MAX_DETAIL]
        where = (item.file_index, item.range_index, item.line)
        lines.append(format_csv_line((*where, item.table, item.file, item.image_id, str(item.reason), detail)))
    return "".join(lines)


def absolute_lines(piece: str, first_lines: dict[tuple[str, int, int], int]) -> str:
    """Returns a piece with the columns of the rejects file.

    Args:
        piece: what `format_piece` made.
        first_lines: number (from 1) of the first line of each (table, file index, range).

    Returns:
        CSV lines with COLUMNS; Line is empty for images, and for rows of a range that is not known.
    """
    lines = []
    for file_index, index, line, table, file, image_id, reason, detail in csv.reader(io.StringIO(piece, newline="")):
        # A range that a runner lost may have left its list.
        first = first_lines.get((table, int(file_index), int(index)))
        number = "" if first is None else first + int(line)
        lines.append(format_csv_line((table, file, number, image_id, reason, detail)))
    return "".join(lines)


def format_header() -> str:
    """Returns the header line of the rejects file."""
    return ",".join(COLUMNS) + "\n"


def format_csv_line(fields: Iterable[object]) -> str:
    """Returns one line of CSV, in which any text is read back as it was."""
    # The csv module quotes a lone carriage return only where it is part of the line end; unquoted, it would end the
    # line when it is read again.
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerow(fields)
    return out.getvalue().removesuffix("\r\n") + "\n"
