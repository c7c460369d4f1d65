"""Streams the rows of a metadata CSV in file order, one block in memory at a time."""

import dataclasses
import heapq
from collections.abc import Iterator, Sequence

from oi_tfrecord.openimages.csv.files import InputFile, read_rows
from oi_tfrecord.openimages.csv.parse import ParsedRows, RowReject, parse_rows
from oi_tfrecord.openimages.csv.record_boundaries import split_stream
from oi_tfrecord.openimages.csv.row_faults import Kind, id_kind
from oi_tfrecord.openimages.image_id import IMAGE_ID, id_texts

_BLOCK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True, slots=True)
class MetadataRow:
    """One row of a metadata CSV.

    Attributes:
        line: line of the file at which the row starts, from 1.
        image_id: the ImageID; empty if the row cannot be read.
        fields: the texts of the row by column; empty if the row cannot be read. Bytes that are not UTF-8 are kept
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
        columns: the columns to return; ImageID need not be among them.

    Raises:
        InputError: if the file is compressed and damaged.
    """
    texts = tuple(name for name in columns if name != IMAGE_ID)
    kinds = {IMAGE_ID: id_kind(file.id_form), **dict.fromkeys(texts, Kind.TEXT)}
    first_line = file.header_lines + 1
    for data in split_stream(read_rows(file), _BLOCK_BYTES, True, file.path):
        parsed = parse_rows(data, file.names, kinds, quoted_line_breaks=True)
        yield from heapq.merge(
            _readable_rows(parsed, columns, first_line),
            (MetadataRow(first_line + reject.line, "", {}, reject) for reject in parsed.rejects),
            key=lambda row: row.line,
        )
        first_line += parsed.line_count


def _readable_rows(parsed: ParsedRows, columns: Sequence[str], first_line: int) -> Iterator[MetadataRow]:
    ids = id_texts(parsed.columns.numbers[IMAGE_ID], parsed.columns.texts)
    texts = {
        name: [value.decode("utf-8", "surrogateescape") for value in column.to_pylist()]
        for name, column in parsed.columns.texts.items()
    }
    fields = {**texts, IMAGE_ID: ids}
    for index, line in enumerate(parsed.lines.tolist()):
        yield MetadataRow(first_line + line, ids[index], {name: fields[name][index] for name in columns})
