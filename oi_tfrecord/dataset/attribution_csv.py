"""The attribution file: the author of the image of each record, as CSV, because CC BY asks for it."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa

from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.storage.csv_text import format_csv_line, without_apostrophe

COLUMNS = ("Title", "Author", "AuthorProfileURL", "OriginalLandingURL", "License")
"""Columns of the metadata that the attribution file has after ImageID."""

FIELDS = {
    "title": ("Title",),
    "author": ("Author",),
    "profile_url": ("AuthorProfileURL", "Profile"),
    "landing_url": ("OriginalLandingURL", "LandingURL"),
    "license": ("License", "Licence"),
}
"""Name of a fact, as in the keys `image/attribution/...`, to the columns that can hold it."""


def format_attribution_header() -> bytes:
    """Returns the header line of the attribution file."""
    return format_csv_line(("ImageID", *COLUMNS)).encode()


def format_attribution(shard: JoinedShard, has_record: np.ndarray) -> bytes:
    """Returns the lines of one shard.

    Args:
        shard: The images of the shard, with the text columns of the metadata.
        has_record: bool array [images], whether an image became a record.

    Returns:
        A line per record in the order of the records. Texts are those of the metadata in UTF-8, with U+FFFD for bytes
        that are not, and with an apostrophe before what a spreadsheet would take as a formula; they are empty if the
        metadata lacks the column or the image.
    """
    chosen = pa.array(has_record)
    ids = [shard.id_texts[index] for index in np.flatnonzero(has_record).tolist()]
    none = pa.array([b""] * len(ids), pa.binary())
    columns = [shard.text_columns[name].filter(chosen) if name in shard.text_columns else none for name in COLUMNS]
    texts = [[value.decode("utf-8", "replace") for value in column.to_pylist()] for column in columns]
    lines = [format_csv_line(row) for row in zip(ids, *texts, strict=True)]
    return "".join(lines).encode()


def warn_of_lacking(headers: Mapping[str, Sequence[str]]) -> list[str]:
    """Returns a warning for each metadata file that lacks columns of the attribution.

    Args:
        headers: Path of a metadata file to its column names.
    """
    lacking = {path: [name for name in COLUMNS if name not in names] for path, names in headers.items()}
    return [
        f"{path} has no column {', '.join(names)}, which is empty in the attribution"
        for path, names in lacking.items()
        if names
    ]


def split_rows(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yields (byte offset, bytes) of each row of a CSV file, its header among them; quoted fields may hold line ends.

    Args:
        stream: The file, from its start.
    """
    start, row = 0, b""
    for line in stream:
        row += line
        # Within a quoted field a quote is doubled, so a row is complete when its number of quotes is even.
        if row.count(b'"') % 2 == 0:
            yield start, row
            start, row = start + len(row), b""
    if row:
        yield start, row


def parse_row(row: bytes) -> list[str]:
    """Returns the fields of one row."""
    text = row.decode(errors="replace")
    return [without_apostrophe(cell) for cell in next(csv.reader(io.StringIO(text, newline="")), [])]


def name_fields(header: list[str], row: list[str]) -> dict[str, str]:
    """Returns the facts of a row by the names of FIELDS.

    Args:
        header: Names of the columns.
        row: Values of the columns.
    """
    values = dict(zip(header, row, strict=False))
    return {name: values[column] for name, columns in FIELDS.items() for column in columns if values.get(column)}
