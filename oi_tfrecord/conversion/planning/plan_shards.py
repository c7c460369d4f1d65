"""Plans the number of shards from samples of the tables and of the images."""

import concurrent.futures
import dataclasses
from collections.abc import Sequence

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.conversion.planning.plan import ConvertPlan
from oi_tfrecord.engine.progress_text import format_size
from oi_tfrecord.images.prepare import prepare
from oi_tfrecord.images.values import ImageOptions, ImageRejected
from oi_tfrecord.join.select_images import SELECTING_TABLES
from oi_tfrecord.openimages.csv.check_rows import RowRules
from oi_tfrecord.openimages.csv.filters import EVERY_IMAGE, sample_hash
from oi_tfrecord.openimages.csv.id_lists import is_in
from oi_tfrecord.openimages.csv.sample_rows import count_images
from oi_tfrecord.openimages.image_id import hash_ids, id_keys
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.sharding import choose_num_shards
from oi_tfrecord.sources.samples import ImageSamples

_SAMPLED_IMAGES = 256

_LOOKING_THREADS, _READING_THREADS = 64, 16

TRIED_IMAGES = 32
"""Sampled images that are read to plan, the first of them."""

UNSEEN_IMAGE_BYTES = 300_000
"""Assumed where no image is there yet: the train images of V4 to V7, 1.74 million, have 513 GB
(storage.googleapis.com/openimages, "Download")."""


BUCKET_READS = 5000
"""Reads per second that a new bucket gives; more only after some minutes of load. Source:
cloud.google.com/storage/docs/request-rate; S3 gives 5,500 for each prefix
(docs.aws.amazon.com/AmazonS3/latest/userguide/optimizing-performance.html)."""

CORE_SECONDS_PER_IMAGE = 0.002
"""Assumed where no image was timed: a core reads and checks about 500 images/s."""


@dataclasses.dataclass(frozen=True)
class ShardPlan:
    """What a conversion will write, estimated.

    Attributes:
        num_shards: number of shards.
        images: images that the configuration selects.
        image_bytes: mean bytes of an image that is there, as it is written.
        found: share of the sampled images that are there, 0 to 1.
        sample: ImageIDs of the sampled images that are there.
        file_bytes: mean bytes of an image that is there, as it is read.
        sampled: number of images that were looked for.
        missing: a sampled image that is not there; empty if all are.
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
    def has_none(self) -> bool:
        """Whether images were looked for, and none is there."""
        return self.sampled > 0 and self.found == 0

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


def reads_images_from_store(plan: ConvertPlan) -> bool:
    """Returns whether images come from an object store, with a request for each."""
    config = plan.config
    return any(map(storage.store_of, config.archives or (config.images, config.url_folders)))


def describe_bucket(seconds_per_image: float) -> str:
    """Returns a line that says how many workers a bucket feeds.

    Args:
        seconds_per_image: core-seconds for an image.
    """
    rate = 1 / seconds_per_image
    workers = max(round(BUCKET_READS / rate), 1)
    return (
        f"bucket     feeds about {workers:,} workers of one core and {rate:,.0f} images/s each: a new bucket gives "
        f"about {BUCKET_READS:,} reads/s, and more only after some minutes of load (estimated)"
    )


def plan_shards(plan: ConvertPlan) -> ShardPlan:
    """Estimates the size of the output and plans the number of shards.

    The estimate depends on the inputs only, so the same inputs give the same number.

    Args:
        plan: the conversion, whose number of shards need not be decided.
    """
    images, sampled_ids = estimate_images(plan)
    chosen = _choose_images(sampled_ids)
    sizes = _look_up(plan.samples, chosen)
    found = [size for size in sizes.values() if size is not None]
    share_found = len(found) / len(chosen) if chosen else 0.0
    file_bytes = sum(found) / len(found) if found else 0.0
    image_bytes = file_bytes * _share_written(chosen[:TRIED_IMAGES], plan.samples, plan.shard_job().image_options)
    return ShardPlan(
        num_shards=choose_num_shards(images * (share_found * image_bytes or UNSEEN_IMAGE_BYTES)),
        images=images,
        image_bytes=image_bytes,
        found=share_found,
        sample=tuple(image_id for image_id, size in sizes.items() if size is not None),
        file_bytes=file_bytes,
        sampled=len(chosen),
        missing=next((image_id for image_id, size in sizes.items() if size is None), ""),
    )


def estimate_images(plan: ConvertPlan) -> tuple[int, list[str]]:
    """Estimates the images that a conversion selects, from samples of the tables.

    Returns:
        (number of images, ImageIDs of some of them).
    """
    config, filters = plan.config, plan.filters
    # The share of the images that these filters keep is known better than a small sample of rows can show.
    of_rows = dataclasses.replace(filters, sample_below=EVERY_IMAGE, image_ids=None)
    job = plan.range_job(frozenset())
    rules = RowRules(job.vocabulary, job.kept_codes, of_rows)
    tables = SELECTING_TABLES.get(config.selection, (Table(config.driver),))
    counts = [count_images([file for file in plan.tables if file.table == table], rules) for table in tables]
    images, ids = max(counts, key=lambda count: count[0])
    images = int(images * filters.sample_below / EVERY_IMAGE)
    if filters.sample_below < EVERY_IMAGE:
        ids = _where(ids, sample_hash(_keys(ids)) < np.uint64(filters.sample_below))
    if plan.listed is not None:
        images = min(images, len(plan.listed.image_ids))
        ids = _where(ids, is_in(_keys(ids), plan.listed.image_ids)) or plan.listed.texts(_SAMPLED_IMAGES)
    return min(images, config.max_images or images), ids


def _keys(ids: Sequence[str]) -> np.ndarray:
    return id_keys(text.encode() for text in ids)


def _where(ids: Sequence[str], keep_mask: np.ndarray) -> list[str]:
    return [text for text, is_kept in zip(ids, keep_mask.tolist(), strict=True) if is_kept]


def _choose_images(ids: Sequence[str]) -> list[str]:
    """Returns a random choice of ImageIDs that is the same in each run."""
    return [ids[place] for place in np.argsort(hash_ids(_keys(ids)))[:_SAMPLED_IMAGES].tolist()]


def _look_up(samples: ImageSamples, image_ids: Sequence[str]) -> dict[str, int | None]:
    """Returns the bytes of each image, None for an image that is not there."""
    # One request finds out whether the store can be reached.
    first = [samples.size(image_id) for image_id in image_ids[:1]]
    with concurrent.futures.ThreadPoolExecutor(_LOOKING_THREADS) as executor:
        return dict(zip(image_ids, [*first, *executor.map(samples.size, image_ids[1:])], strict=True))


def _share_written(image_ids: Sequence[str], samples: ImageSamples, options: ImageOptions) -> float:
    """Returns the share of its bytes that an image keeps when it is written."""
    with concurrent.futures.ThreadPoolExecutor(_READING_THREADS) as executor:
        sizes = list(executor.map(lambda image_id: _try_to_write(image_id, samples, options), image_ids))
    size = sum(before for before, _ in sizes)
    return sum(after for _, after in sizes) / size if size else 1.0


def _try_to_write(image_id: str, samples: ImageSamples, options: ImageOptions) -> tuple[int, int]:
    """Returns the bytes of an image before and after it is prepared; zeros if it has no record."""
    try:
        data = samples.read(image_id)
        return (0, 0) if data is None else (len(data), len(prepare(data, options).encoded))
    except ImageRejected:
        return 0, 0
