"""What a dry run knows of a conversion: the counts of the join, and the time of a sample of images."""

import dataclasses
import functools
import math
import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from oi_tfrecord import storage
from oi_tfrecord.conversion.planning.plan import ConvertPlan
from oi_tfrecord.conversion.planning.plan_shards import ShardPlan, reads_images_from_store
from oi_tfrecord.conversion.shard import convert_shard
from oi_tfrecord.conversion.shard_job import ShardJob
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.progress_text import format_size
from oi_tfrecord.join.batches import Batch
from oi_tfrecord.join.shard_rows import collect_tables
from oi_tfrecord.openimages.image_id import HEX_ID, IMAGE_ID, id_keys
from oi_tfrecord.openimages.schema import ROW_TYPES, RangeKey, Table
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.sources.files import PatternSource
from oi_tfrecord.sources.samples import ImageSamples

_LEAST_SECONDS = 1.0
"""A sample is converted again until this time has passed, as 256 local images take a quarter of it."""

_READS_PER_RANGE = 3
"""Requests for a range of a table: its two borders and its rows."""

_FILES_OF_A_SPLIT = 6
"""Label map as text and as CSV, list of rejects, manifest, fingerprint, and the listing of the output folder."""


@dataclasses.dataclass(frozen=True)
class Workload:
    """A conversion as a dry run knows it.

    Attributes:
        fixed_seconds: wall time of start, planning and end, which no worker shortens.
        table_seconds: core-seconds that the tables and the join took.
        ranges: parts that the tables are read in.
        shards: number of shards.
        records: records that the join counted, if every image is there.
        found: share of the sampled images that are there, 0 to 1.
        image_bytes: mean bytes of a sampled image in its record.
        shuffled_bytes: bytes of rows that went to the shuffle.
        reads: requests that read from object stores.
        image_reads: of these, requests for images.
        writes: requests that write to object stores.
        timed_images: sampled images that were converted, an image counted each time.
        seconds_per_image: core-seconds for an image, waiting for its storage included; 0 if none was timed.
        untimed: the reason if no image was timed.
        uncounted: steps of the conversion that no number here includes.
    """

    fixed_seconds: float
    table_seconds: float
    ranges: int
    shards: int
    records: int
    found: float
    image_bytes: float
    shuffled_bytes: int
    reads: int = 0
    image_reads: int = 0
    writes: int = 0
    timed_images: int = 0
    seconds_per_image: float = 0.0
    untimed: str = ""
    uncounted: tuple[str, ...] = ()

    @property
    def output_bytes(self) -> float:
        """Expected bytes of all shards."""
        return self.records * self.found * self.image_bytes

    @property
    def image_seconds(self) -> float:
        """Expected core-seconds for all images."""
        return self.records * self.found * self.seconds_per_image


def measure(
    plan: ConvertPlan, shard_plan: ShardPlan, split: Mapping[str, Any], seconds: float, workers: int
) -> Workload:
    """Times a sample of images, and returns all that is known of the conversion.

    Args:
        plan: the conversion.
        shard_plan: the plan of the shards, with the sample.
        split: the manifest of the dry run, which holds the counts of the join.
        seconds: wall time of the dry run until now.
        workers: ranges and shards that the dry run worked on at once.
    """
    counted, records = split["estimate"], split["totals"]["records"]
    ranges = max(counted["ranges"], 1)
    table_wall_seconds = counted["cpu_seconds"] / min(workers, os.cpu_count() or 1, ranges)
    images = records * shard_plan.found
    reads, writes = count_requests(plan, math.ceil(images), ranges)
    timed_images, seconds_per_image = time_images(
        plan.shard_job(), plan.samples, shard_plan.sample, _rows_per_record(split)
    )
    return Workload(
        fixed_seconds=max(seconds - table_wall_seconds, 0.0),
        table_seconds=counted["cpu_seconds"],
        ranges=ranges,
        shards=plan.num_shards,
        records=records,
        found=shard_plan.found,
        image_bytes=shard_plan.image_bytes,
        shuffled_bytes=counted["shuffled_bytes"],
        reads=reads,
        image_reads=math.ceil(images) if reads_images_from_store(plan) else 0,
        writes=writes,
        timed_images=timed_images,
        seconds_per_image=seconds_per_image,
        untimed="" if timed_images else _why_untimed(plan, shard_plan),
        uncounted=tuple(_uncounted(plan.config)),
    )


def time_images(
    job: ShardJob, samples: ImageSamples, image_ids: Sequence[str], rows_per_record: Mapping[Table, float]
) -> tuple[int, float]:
    """Converts sampled images, and returns how many and the core-seconds for each; (0, 0) if none can be converted.

    Args:
        job: the conversion.
        samples: the bytes of sampled images.
        image_ids: ImageIDs of the sample.
        rows_per_record: mean rows of a record by table.
    """
    with tempfile.TemporaryDirectory() as folder:
        sampled = _job_of_sample(job, samples, image_ids, folder)
        sampled.work.create({})
        read_rows = functools.partial(collect_tables, make_batches(image_ids, rows_per_record, len(job.mids)))
        began, cpu_began = time.perf_counter(), time.process_time()
        images = converted = convert_shard(sampled, 0, read_rows, LabelMap(())).records
        while converted and time.perf_counter() < began + _LEAST_SECONDS:
            images += (converted := convert_shard(sampled, 0, read_rows, LabelMap(())).records)
        seconds = max(time.perf_counter() - began, time.process_time() - cpu_began)
    return images, seconds / images if images else 0.0


def _job_of_sample(job: ShardJob, samples: ImageSamples, image_ids: Sequence[str], folder: str) -> ShardJob:
    """Returns a job that writes all images as one shard into `folder`, without keys that need text columns."""
    return dataclasses.replace(
        job,
        num_shards=1,
        output_dir=folder,
        work=WorkFolder(storage.join(folder, "work")),
        driver=Table.METADATA,
        select="all",
        files=dict.fromkeys(Table, ("",)),
        source=job.source if isinstance(job.source, PatternSource) else _copy_images(job, samples, image_ids, folder),
        layout=dataclasses.replace(job.layout, extra_keys=frozenset()),
        masks=None,
        hierarchy=None,
        dry_run=False,
        attribution_csv=False,
        conversion="",
    )


def _copy_images(job: ShardJob, samples: ImageSamples, image_ids: Sequence[str], folder: str) -> PatternSource:
    """Copies sampled images into files; only files named by ImageID can be read without rows of tables."""
    copies = PatternSource(storage.join(folder, "{image_id}"), job.split, job.image_options.max_bytes)
    for image_id in image_ids:
        if (data := samples.read(image_id)) is not None:
            storage.write(copies.path(image_id), data, folder)
    return copies


def make_batches(image_ids: Sequence[str], rows_per_record: Mapping[Table, float], classes: int) -> list[Batch]:
    """Returns rows of images, each with the mean number of boxes and labels.

    Args:
        image_ids: the ImageIDs.
        rows_per_record: mean rows of a record by table.
        classes: number of classes; an image has a label of each class once at most.
    """
    ids = id_keys(image_id.encode() for image_id in image_ids)
    published = all(HEX_ID.fullmatch(image_id.encode()) for image_id in image_ids)
    names = {} if published else {IMAGE_ID: pa.array([image_id.encode() for image_id in image_ids], pa.binary())}
    batches = []
    for table, mean in {Table.METADATA: 1.0, **rows_per_record}.items():
        count = round(mean) if table is Table.BOXES else min(round(mean), classes)
        rows = np.zeros(len(ids) * count, ROW_TYPES[table])
        rows["image_id"] = np.repeat(ids, count)
        number = np.tile(np.arange(count), len(ids))
        if table is not Table.METADATA:
            rows["label"], rows["confidence"] = number % max(classes, 1), 1
        if table is Table.BOXES:
            # The boxes of an image differ, as the join drops duplicates.
            rows["xmax"], rows["ymax"] = (number + 1) / max(count, 1), 1
        sources = ("verification",) if "source" in (rows.dtype.names or ()) else ()
        columns = {name: column.take(pa.array(np.repeat(np.arange(len(ids)), count))) for name, column in names.items()}
        batches.append(Batch(RangeKey(table, 0, 0), 0, sources, rows, columns))
    return batches


def _rows_per_record(split: Mapping[str, Any]) -> dict[Table, float]:
    records = max(split["totals"]["records"], 1)
    tables = (Table.BOXES, Table.HUMAN_LABELS, Table.MACHINE_LABELS)
    return {table: split["tables"][table]["written"] / records for table in tables if table in split["tables"]}


def count_requests(plan: ConvertPlan, images: int, ranges: int) -> tuple[int, int]:
    """Counts the requests that a conversion sends to object stores; an upload in parts counts as one request.

    Args:
        plan: the conversion.
        images: number of images to read.
        ranges: parts that the tables are read in.

    Returns:
        (requests that read, requests that write).
    """
    config = plan.config
    table_paths = [file.path for file in plan.tables]
    image_reads = images if reads_images_from_store(plan) else 0
    table_reads = _READS_PER_RANGE * ranges if any(map(storage.store_of, table_paths)) else 0
    # A result is written beside each shard, and read at the end.
    shards = plan.num_shards if storage.store_of(config.output_dir) else 0
    return image_reads + table_reads + shards, 2 * shards + _FILES_OF_A_SPLIT if shards else 0


def _why_untimed(plan: ConvertPlan, shard_plan: ShardPlan) -> str:
    if plan.config.image_urls:
        size = format_size(shard_plan.images * shard_plan.file_bytes)
        return f"servers and the network decide on it: {shard_plan.images:,} downloads, about {size}, unless cached"
    if shard_plan.missing and not shard_plan.sample:
        return f"no image of the sample was found, as {plan.samples.path(shard_plan.missing)}"
    return "no image of the sample can be converted"


def _uncounted(config: ConvertConfig) -> Iterator[str]:
    if not config.images:
        yield "finding and reading the images"
    if config.extra_keys:
        yield "keys of " + ", ".join(config.extra_keys)
    if config.hierarchy and config.hierarchy_use != "label_map":
        yield "rows that the hierarchy adds"
    if config.attribution_csv:
        yield "the list of attributions"
