"""Streams the rows of a metadata CSV in file order, memory bounded by one block."""

import dataclasses
from collections.abc import Iterator, Sequence

from oi_tfrecord.openimages.csv.files import InputFile, read_rows
from oi_tfrecord.openimages.csv.parse import RowReject, parse_rows
from oi_tfrecord.openimages.csv.record_boundaries import split_stream
from oi_tfrecord.openimages.csv.row_faults import Kind
from oi_tfrecord.openimages.image_id import format_id

_BLOCK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class MetadataRow:
    """One row of a metadata CSV.

    Attributes:
        line: line of the file at which it starts, from 1.
        image_id: 16 hex digits; empty if the row cannot be read.
        fields: its texts by column; empty if the row cannot be read. Bytes that are not UTF-8 are kept
            as surrogates, so that the row can be written as it was.
        reject: why the row cannot be read; None if it can.
    """

    line: int
    image_id: str
    fields: dict[str, str]
    reject: RowReject | None = None


def stream_metadata(file: InputFile, columns: Sequence[str]) -> Iterator[MetadataRow]:
    """Yields the rows of a metadata CSV, plain or compressed.

    Args:
        file: the CSV.
        columns: which of its columns to give; ImageID need not be among them.

    Raises:
        InputError: if the file is compressed and damaged.
    """
    wanted = {name: Kind.TEXT for name in columns if name != "ImageID"} | {"ImageID": Kind.IMAGE_ID}
    first_line = file.header_lines + 1
    for data in split_stream(read_rows(file), _BLOCK_BYTES, True, file.path):
        rows = parse_rows(data, file.names, wanted, quoted_line_breaks=True)
        texts = {
            name: [value.decode("utf-8", "surrogateescape") for value in rows.columns[name].to_pylist()]
            for name in columns
            if name != "ImageID"
        }
        ids = [format_id(image_id) for image_id in rows.columns["ImageID"].tolist()]
        if "ImageID" in columns:
            texts["ImageID"] = ids
        rejects = iter(rows.rejects)
        reject = next(rejects, None)
        for index, line in enumerate(rows.lines.tolist()):
            while reject is not None and reject.line < line:
                yield MetadataRow(first_line + reject.line, "", {}, reject)
                reject = next(rejects, None)
            yield MetadataRow(first_line + line, ids[index], {name: texts[name][index] for name in columns})
        while reject is not None:
            yield MetadataRow(first_line + reject.line, "", {}, reject)
            reject = next(rejects, None)
        first_line += rows.line_count
