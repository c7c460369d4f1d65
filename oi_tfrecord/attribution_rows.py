"""Where the rows of an attribution CSV are, so that one can be read without the others."""

import csv
import io
from collections.abc import Iterator
from typing import BinaryIO

FIELDS = {
    "title": ("Title",),
    "author": ("Author",),
    "profile_url": ("AuthorProfileURL", "Profile"),
    "landing_url": ("OriginalLandingURL", "LandingURL"),
    "license": ("License", "Licence"),
}
"""Name of a fact, as in the keys `image/attribution/...`, to the columns it may be in."""


def split_rows(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yields (byte offset, bytes) of each row of a CSV file, its header among them; quoted fields may hold line ends.

    Args:
      stream: the file, from its start.
    """
    start, row = 0, b""
    for line in stream:
        row += line
        # Within a quoted field a quote is doubled, so a row is complete when its quotes are even.
        if row.count(b'"') % 2 == 0:
            yield start, row
            start, row = start + len(row), b""
    if row:
        yield start, row


def parse_row(row: bytes) -> list[str]:
    """Returns the fields of one row."""
    text = row.decode(errors="replace")
    return next(csv.reader(io.StringIO(text, newline="")), [])


def name_fields(header: list[str], row: list[str]) -> dict[str, str]:
    """Returns the facts of a row by the names of FIELDS.

    Args:
      header: names of the columns.
      row: their values.
    """
    values = dict(zip(header, row, strict=False))
    return {name: values[column] for name, columns in FIELDS.items() for column in columns if values.get(column)}
