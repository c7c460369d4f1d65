"""Sample rows."""

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.openimages.csv.check_rows import make_rows, wanted_columns
from oi_tfrecord.openimages.csv.files import InputFile, open_decompressed
from oi_tfrecord.openimages.csv.parse import parse_rows
from oi_tfrecord.openimages.schema import QUOTED_LINE_BREAKS

_SAMPLED_PLACES = 8

_PLACE_BYTES = 1 << 19

_ROW_START = re.compile(rb'(?:^|\n)"?([0-9a-f]{16})"?,')


def count_images(files: Sequence[InputFile], ranges: Any = None) -> tuple[int, np.ndarray]:
    """Estimates the number of images in a table from samples at evenly spaced places.

    Args:
        files: of one table; the rows of an image lie together.
        ranges: what is left out of them; without it nothing is.

    Returns:
        (images with a row that is not left out, uint64 array of those in the samples).
    """
    images = 0.0
    sampled = []
    for file in files:
        pieces, size = _sample_bytes(file)
        found = [_kept_image_ids(file, piece, ranges) for piece in pieces]
        distinct = sum(len(np.unique(ids)) for ids in found)
        images += distinct * size / max(sum(map(len, pieces)), 1)
        sampled += found
    return round(images), np.unique(np.concatenate(sampled)) if sampled else np.zeros(0, np.uint64)


def _kept_image_ids(file: InputFile, piece: bytes, ranges: Any) -> np.ndarray:
    """Returns the ImageIDs of the rows of a sampled piece that are not left out, in file order."""
    if ranges is None or file.table in QUOTED_LINE_BREAKS:
        # Where its records start is not known, but for those that start as a row does.
        return np.array([int(text, 16) for text in _ROW_START.findall(piece)], np.uint64)
    # The first line may be the end of one, and the last one the start; neither matters among thousands.
    lines = piece[: piece.rfind(b"\n") + 1]
    parsed = parse_rows(lines, file.names, wanted_columns(file.table, file.names), quoted_line_breaks=False)
    return make_rows(file.table, parsed, ranges.vocabulary, ranges.kept_codes, ranges.filters).rows["image_id"]


def _sample_bytes(file: InputFile) -> tuple[list[bytes], float]:
    """Returns sampled pieces of a file and the size of the whole, decompressed."""
    if file.compressed:
        with open_decompressed(file.path) as stream:
            piece = stream.read(_PLACE_BYTES * _SAMPLED_PLACES)
            whole = not stream.read(1)
        # Tables compress about fivefold; only the number of shards hangs on it.
        return [piece], len(piece) if whole else max(5.0 * file.size, len(piece))
    size = file.size - file.rows_start
    if size <= _PLACE_BYTES * _SAMPLED_PLACES:
        return [storage.read_range(file.path, file.rows_start, size)], size
    step = (size - _PLACE_BYTES) // (_SAMPLED_PLACES - 1)
    starts = [file.rows_start + place * step for place in range(_SAMPLED_PLACES)]
    return [storage.read_range(file.path, start, _PLACE_BYTES) for start in starts], size
