"""Plans the number of shards from samples of the tables and of the images."""

import concurrent.futures
import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.csv_rows import parse_rows
from oi_tfrecord.filters import EVERY_IMAGE, is_in, sample_hash
from oi_tfrecord.image_source import ImageSource
from oi_tfrecord.images import ImageOptions, ImageRejected, prepare
from oi_tfrecord.inputs import InputFile, open_decompressed
from oi_tfrecord.range_job import RangeJob
from oi_tfrecord.sharding import MAX_SHARDS, format_id, hash_ids
from oi_tfrecord.table_rows import make_rows, wanted_columns
from oi_tfrecord.tables import QUOTED_LINE_BREAKS, Table

SHARD_BYTES = 150_000_000
"""Shards of 100 to 200 MB: many enough to shuffle by file, few enough to list (FORMAT.md, "Shards")."""

_SAMPLED_PLACES = 8
_PLACE_BYTES = 1 << 19
_SAMPLED_IMAGES = 256
TRIED_IMAGES = 32
"""Sampled images that are read to plan, the first of them."""

UNSEEN_IMAGE_BYTES = 300_000
"""Assumed where no image is there yet: the train images of V4 to V7, 1.74 million, have 513 GB
(storage.googleapis.com/openimages, "Download")."""
_ROW_START = re.compile(rb'(?:^|\n)"?([0-9a-f]{16})"?,')


@dataclasses.dataclass(frozen=True)
class ShardPlan:
    """What a conversion will write, estimated.

    Attributes:
      num_shards: number of shards.
      images: images that the configuration selects.
      image_bytes: mean bytes of an image that is there, as it is written.
      found: share of the sampled images that are there.
      sample: ImageIDs of the sampled images that are there.
      file_bytes: mean bytes of an image that is there, as it is read.
      sampled: number of images that were looked for.
      missing: one of them that is not there, empty if all are.
    """

    num_shards: int
    images: int
    image_bytes: float
    found: float
    sample: tuple[str, ...]
    file_bytes: float = 0.0
    sampled: int = 0
    missing: str = ""

    @property
    def output_bytes(self) -> int:
        """Bytes of all shards."""
        return int(self.images * self.found * self.image_bytes)


def plan_shards(
    ranges: RangeJob,
    driver: Table,
    select: str,
    source: ImageSource,
    options: ImageOptions,
    max_images: int = 0,
) -> ShardPlan:
    """Estimates the size of the output and plans the number of shards.

    The estimate depends on the inputs only, so the same inputs give the same number.

    Args:
      ranges: the CSV files, and what is left out of them.
      driver, select: as in `join_shard`.
      source: where images come from.
      options: how they are encoded.
      max_images: bound on the number of images; 0 is none.
    """
    tables = {"boxed": (Table.BOXES,), "labelled": (Table.HUMAN_LABELS, Table.BOXES)}.get(select, (driver,))
    filters = ranges.filters
    # What filters leave of the images is known better than a small sample of rows could tell.
    of_rows = dataclasses.replace(
        ranges, filters=dataclasses.replace(filters, sample_below=EVERY_IMAGE, image_ids=None)
    )
    counted = [
        count_images([file for file in ranges.files.values() if file.table == table], of_rows) for table in tables
    ]
    images, ids = max(counted, key=lambda item: item[0])
    images = int(images * filters.sample_below / EVERY_IMAGE)
    if filters.sample_below < EVERY_IMAGE:
        ids = ids[sample_hash(ids) < np.uint64(filters.sample_below)]
    if filters.image_ids is not None:
        images = min(images, len(filters.image_ids))
        ids = ids[is_in(ids, filters.image_ids)] if is_in(ids, filters.image_ids).any() else filters.image_ids
    if max_images:
        images = min(images, max_images)
    chosen = [format_id(image_id) for image_id in ids[np.argsort(hash_ids(ids))][:_SAMPLED_IMAGES].tolist()]
    with concurrent.futures.ThreadPoolExecutor(16) as executor:
        known = dict(zip(chosen, executor.map(source.size, chosen), strict=True))
    sizes = [size for size in known.values() if size is not None]
    found = len(sizes) / len(chosen) if chosen else 0.0
    file_bytes = sum(sizes) / len(sizes) if sizes else 0.0
    image_bytes = file_bytes * _share_written(chosen, source, options)
    return ShardPlan(
        num_shards=choose_num_shards(images * (found * image_bytes or UNSEEN_IMAGE_BYTES)),
        images=images,
        image_bytes=image_bytes,
        found=found,
        sample=tuple(image_id for image_id, size in known.items() if size is not None),
        file_bytes=file_bytes,
        sampled=len(chosen),
        missing=next((image_id for image_id, size in known.items() if size is None), ""),
    )


def choose_num_shards(output_bytes: float) -> int:
    """Returns the number of shards nearest to SHARD_BYTES each, within two thirds and four thirds of it if possible."""
    shards = max(round(output_bytes / SHARD_BYTES), 1)
    shards += output_bytes / shards > SHARD_BYTES * 4 / 3
    return min(shards, MAX_SHARDS)


def count_images(files: Sequence[InputFile], ranges: RangeJob | None = None) -> tuple[int, np.ndarray]:
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


def _kept_image_ids(file: InputFile, piece: bytes, ranges: RangeJob | None) -> np.ndarray:
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


def _share_written(image_ids: Sequence[str], source: ImageSource, options: ImageOptions) -> float:
    """Returns which share of its bytes an image keeps when it is written."""
    size = written = 0
    for image_id in image_ids[:TRIED_IMAGES]:
        try:
            data = source.sample(image_id)
            written += len(prepare(data, options).encoded)
        except ImageRejected:
            continue
        size += len(data)
    return written / size if size else 1.0
