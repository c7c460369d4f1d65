"""Plans the number of shards from samples of the tables and of the images."""

import concurrent.futures
import dataclasses
from collections.abc import Sequence

import numpy as np

from oi_tfrecord.conversion.read_range import RangeJob
from oi_tfrecord.engine.progress_text import format_size
from oi_tfrecord.images.prepare import prepare
from oi_tfrecord.images.values import ImageOptions, ImageRejected
from oi_tfrecord.openimages.csv.check_rows import RowRules
from oi_tfrecord.openimages.csv.filters import EVERY_IMAGE, is_in, sample_hash
from oi_tfrecord.openimages.csv.sample_rows import count_images
from oi_tfrecord.openimages.image_id import format_id, hash_ids
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.sharding import choose_num_shards
from oi_tfrecord.sources.samples import ImageSamples

_SAMPLED_IMAGES = 256

TRIED_IMAGES = 32
"""Sampled images that are read to plan, the first of them."""

UNSEEN_IMAGE_BYTES = 300_000
"""Assumed where no image is there yet: the train images of V4 to V7, 1.74 million, have 513 GB
(storage.googleapis.com/openimages, "Download")."""


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


def describe_shards(shard_plan: ShardPlan, num_shards: int, field: str, path: str) -> str:
    """Returns a line that says how many shards there will be and why.

    Args:
        shard_plan: the estimate.
        num_shards: number of shards that is used, planned or given.
        field: the field of the configuration that says where images are.
        path: where the missing image was looked for.
    """
    size, images = shard_plan.output_bytes, f"about {shard_plan.images:,} images"
    if size:
        text = (
            f"{num_shards:,} shards of about {format_size(size / num_shards)}: {images}, "
            f"{100 * shard_plan.found:.0f} % of them found, {format_size(shard_plan.image_bytes)} each (sampled); "
            f"output about {format_size(size)}"
        )
    elif shard_plan.missing:
        text = (
            f"{num_shards:,} shards: {images}, none of the {shard_plan.sampled:,} that were looked for is there, as "
            f"{path}; put them there, or give another --{field}. Shards are planned for "
            f"{format_size(UNSEEN_IMAGE_BYTES)} an image"
        )
    else:
        text = f"{num_shards:,} shards: {images}, estimated from a sample of the tables"
    return f"plan       {text}"


def plan_shards(
    ranges: RangeJob,
    driver: Table,
    select: str,
    samples: ImageSamples,
    options: ImageOptions,
    max_images: int = 0,
) -> ShardPlan:
    """Estimates the size of the output and plans the number of shards.

    The estimate depends on the inputs only, so the same inputs give the same number.

    Args:
        ranges: the CSV files, and what is left out of them.
        driver, select: as in `join_shard`.
        samples: images to estimate from.
        options: how they are encoded.
        max_images: bound on the number of images; 0 is none.
    """
    tables = {"boxed": (Table.BOXES,), "labelled": (Table.HUMAN_LABELS, Table.BOXES)}.get(select, (driver,))
    filters = ranges.filters
    # What filters leave of the images is known better than a small sample of rows could tell.
    row_filters = dataclasses.replace(filters, sample_below=EVERY_IMAGE, image_ids=None)
    rules = RowRules(ranges.vocabulary, ranges.kept_codes, row_filters)
    counted = [count_images([file for file in ranges.files.values() if file.table == table], rules) for table in tables]
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
        known = dict(zip(chosen, executor.map(samples.size, chosen), strict=True))
    sizes = [size for size in known.values() if size is not None]
    found = len(sizes) / len(chosen) if chosen else 0.0
    file_bytes = sum(sizes) / len(sizes) if sizes else 0.0
    image_bytes = file_bytes * _share_written(chosen, samples, options)
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


def _share_written(image_ids: Sequence[str], samples: ImageSamples, options: ImageOptions) -> float:
    """Returns which share of its bytes an image keeps when it is written."""
    size = written = 0
    for image_id in image_ids[:TRIED_IMAGES]:
        data = samples.read(image_id)
        if data is None:
            continue
        try:
            written += len(prepare(data, options).encoded)
        except ImageRejected:
            continue
        size += len(data)
    return written / size if size else 1.0
