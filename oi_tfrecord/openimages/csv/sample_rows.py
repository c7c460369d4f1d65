"""Estimates the number of images in a table from samples of its rows."""

import re
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from oi_tfrecord import storage
from oi_tfrecord.openimages.csv.check_rows import RowRules, columns_to_parse, make_rows
from oi_tfrecord.openimages.csv.files import InputFile, open_decompressed, read_some
from oi_tfrecord.openimages.csv.parse import parse_rows
from oi_tfrecord.openimages.csv.row_faults import BLANKS, Kind
from oi_tfrecord.openimages.image_id import IMAGE_ID, IdForm, id_texts
from oi_tfrecord.openimages.schema import QUOTED_LINE_BREAKS

_SAMPLED_PLACES = 8

_PLACE_BYTES = 1 << 19

_START_BYTES = 1 << 16
"""Bytes of rows by which the form of ImageIDs is recognised."""

_ROW_START = re.compile(rb'(?:^|\n)"?([0-9a-f]{16})"?,')


def count_images(files: Sequence[InputFile], rules: RowRules | None = None) -> tuple[int, list[str]]:
    """Estimates the number of images in a table from samples at evenly spaced places.

    Args:
        files: of one table; the rows of an image lie together.
        rules: which rows are used; None uses all.

    Returns:
        (number of images with a row that is used, ImageIDs of those in the samples).
    """
    images = 0.0
    sampled: set[str] = set()
    for file in files:
        pieces, size = _sample_bytes(file)
        ids_of_pieces = [_used_image_ids(file, piece, rules) for piece in pieces]
        images += sum(map(len, ids_of_pieces)) * size / max(sum(map(len, pieces)), 1)
        sampled = sampled.union(*ids_of_pieces)
    return round(images), sorted(sampled)


def _used_image_ids(file: InputFile, piece: bytes, rules: RowRules | None) -> set[str]:
    """Returns the ImageIDs of the rows of a sampled piece that are used."""
    if file.id_form is IdForm.HEX and (rules is None or file.table in QUOTED_LINE_BREAKS):
        # A line of free text may look like the start of a record; only lines that start with an ImageID count.
        return {text.decode() for text in _ROW_START.findall(piece)}
    # The first line may be cut, which does not matter among thousands of rows.
    lines = piece[: piece.rfind(b"\n") + 1]
    kinds = columns_to_parse(file.table, file.names, id_form=file.id_form)
    parsed = parse_rows(lines, file.names, kinds, quoted_line_breaks=False)
    if rules is None:
        return _distinct_ids(parsed.columns.numbers[IMAGE_ID], parsed.columns.texts)
    used = make_rows(file.table, parsed, rules)
    return _distinct_ids(used.rows["image_id"], used.text_columns)


def _distinct_ids(keys: np.ndarray, text_columns: Mapping[str, pa.Array]) -> set[str]:
    first = np.unique(keys, return_index=True)[1]
    return set(id_texts(keys[first], {name: column.take(pa.array(first)) for name, column in text_columns.items()}))


def sample_image_ids(file: InputFile) -> list[bytes]:
    """Returns the ImageIDs at the start of a table, whatever they are, a row's for each row."""
    with open_decompressed(file.path) as stream:
        start = read_some(stream, file.path, file.rows_start + _START_BYTES)
    rows = start[file.rows_start : start.rfind(b"\n") + 1] or start[file.rows_start :]
    quoted = file.table in QUOTED_LINE_BREAKS
    parsed = parse_rows(rows, file.names, {IMAGE_ID: Kind.TEXT}, quoted_line_breaks=quoted)
    return [name.strip(BLANKS) for name in parsed.columns.texts[IMAGE_ID].to_pylist()]


def _sample_bytes(file: InputFile) -> tuple[list[bytes], float]:
    """Returns sampled pieces of a file and the size of the whole, decompressed."""
    if file.compressed:
        with open_decompressed(file.path) as stream:
            piece = read_some(stream, file.path, _PLACE_BYTES * _SAMPLED_PLACES)
            whole = not read_some(stream, file.path, 1)
        # Tables compress about fivefold; only the number of shards depends on this estimate.
        return [piece], len(piece) if whole else max(5.0 * file.size, len(piece))
    size = file.size - file.rows_start
    if size <= _PLACE_BYTES * _SAMPLED_PLACES:
        return [storage.read_range(file.path, file.rows_start, size)], size
    step = (size - _PLACE_BYTES) // (_SAMPLED_PLACES - 1)
    starts = [file.rows_start + place * step for place in range(_SAMPLED_PLACES)]
    return [storage.read_range(file.path, start, _PLACE_BYTES) for start in starts], size
