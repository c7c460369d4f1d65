"""Estimates the number of images in a table from samples of its rows."""

import re
from collections.abc import Sequence

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.openimages.csv.check_rows import RowRules, columns_to_parse, make_rows
from oi_tfrecord.openimages.csv.files import InputFile, open_decompressed, read_some
from oi_tfrecord.openimages.csv.parse import parse_rows
from oi_tfrecord.openimages.schema import QUOTED_LINE_BREAKS

_SAMPLED_PLACES = 8

_PLACE_BYTES = 1 << 19

_ROW_START = re.compile(rb'(?:^|\n)"?([0-9a-f]{16})"?,')


def count_images(files: Sequence[InputFile], rules: RowRules | None = None) -> tuple[int, np.ndarray]:
    """Estimates the number of images in a table from samples at evenly spaced places.

    Args:
        files: of one table; the rows of an image lie together.
        rules: which rows are used; None uses all.

    Returns:
        (number of images with a row that is used, uint64 array of the ImageIDs of those in the samples).
    """
    images = 0.0
    sampled = []
    for file in files:
        pieces, size = _sample_bytes(file)
        ids_of_pieces = [_used_image_ids(file, piece, rules) for piece in pieces]
        distinct = sum(len(np.unique(ids)) for ids in ids_of_pieces)
        images += distinct * size / max(sum(map(len, pieces)), 1)
        sampled += ids_of_pieces
    return round(images), np.unique(np.concatenate(sampled)) if sampled else np.zeros(0, np.uint64)


def _used_image_ids(file: InputFile, piece: bytes, rules: RowRules | None) -> np.ndarray:
    """Returns the ImageIDs of the rows of a sampled piece that are used, in file order."""
    if rules is None or file.table in QUOTED_LINE_BREAKS:
        # A line of free text may look like the start of a record; only lines that start with an ImageID count.
        return np.array([int(text, 16) for text in _ROW_START.findall(piece)], np.uint64)
    # The first line may be cut, which does not matter among thousands of rows.
    lines = piece[: piece.rfind(b"\n") + 1]
    parsed = parse_rows(lines, file.names, columns_to_parse(file.table, file.names), quoted_line_breaks=False)
    return make_rows(file.table, parsed, rules).rows["image_id"]


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
