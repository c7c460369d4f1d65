"""Rejected rows and images, and the CSV that lists them."""

import csv
import dataclasses
import io
from collections.abc import Iterable
from typing import Protocol

from oi_tfrecord.openimages.schema import RangeKey
from oi_tfrecord.reasons import Reject
from oi_tfrecord.storage.csv_text import format_csv_line
from oi_tfrecord.storage.secrets import hide_secrets

COLUMNS = ("Table", "File", "Line", "ImageID", "Reason", "Detail")

MAX_DETAIL = 200


@dataclasses.dataclass(frozen=True)
class Rejected:
    """A row or an image that did not reach a record.

    Attributes:
        table: Table of the row, or `images` for an image.
        file: Path of the CSV file, or of the image.
        line: Line of the row within its range, from 0; -1 for an image.
        image_id: 16 hex digits; empty for a row without an ImageID.
        reason: Why the row or image is rejected.
        detail: The value that is wrong.
        range_index: Number of the range in which `line` counts; -1 for an image.
        file_index: Number of the file among those of its table; -1 for an image.
    """

    table: str
    file: str
    line: int
    image_id: str
    reason: Reject
    detail: str
    range_index: int = -1
    file_index: int = -1


class FaultyRow(Protocol):
    """A fault of a row; `line` counts from 0 within the range of the row."""

    @property
    def line(self) -> int:
        """Line of the row within its range."""

    @property
    def image_id(self) -> str:
        """16 hex digits; empty for a row without an ImageID."""

    @property
    def reason(self) -> Reject:
        """Why the row is rejected."""

    @property
    def detail(self) -> str:
        """The value that is wrong."""


def reject_row(key: RangeKey, path: str, fault: FaultyRow) -> Rejected:
    """Returns the reject of a row.

    Args:
        key: The range in which the line of the fault counts.
        path: Path of the file of the range.
        fault: The fault of the row.
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
    """Returns rejects as CSV lines, with line numbers that count from the start of their range.

    The number of the first line of a range is known once all ranges before it were read, so
    a piece has the columns (file index, range, line) until `absolute_lines` replaces them.

    Args:
        rejected: The rejects of one range or of one shard.
    """
    lines = []
    for item in rejected:
        # The detail of an image holds its address, which may have a secret; the detail of a row quotes the table.
        detail = (hide_secrets(item.detail) if item.file_index < 0 else item.detail)[:MAX_DETAIL]
        place = (item.file_index, item.range_index, item.line)
        lines.append(
            format_csv_line((*place, item.table, hide_secrets(item.file), item.image_id, str(item.reason), detail))
        )
    return "".join(lines)


def absolute_lines(piece: str, first_lines: dict[tuple[str, int, int], int]) -> str:
    """Returns a piece with the columns of the rejects file.

    Args:
        piece: The text that `format_piece` returned.
        first_lines: (table, file index, range) to the number, from 1, of its first line.

    Returns:
        CSV lines with COLUMNS; Line is empty for images, and for rows of a range without an account.
    """
    lines = []
    for file_index, index, line, table, file, image_id, reason, detail in csv.reader(io.StringIO(piece, newline="")):
        # A range whose account a runner lost may have left its rejects.
        first = first_lines.get((table, int(file_index), int(index)))
        number = "" if first is None else first + int(line)
        lines.append(format_csv_line((table, file, number, image_id, reason, detail)))
    return "".join(lines)


def format_header() -> str:
    """Returns the header line of the rejects file."""
    return ",".join(COLUMNS) + "\n"
