"""What a dry run knows of a conversion beyond its counts: how its images, archives and storage do, timed on samples."""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from oi_tfrecord import storage
from oi_tfrecord.conversion.dry_run.cost import Requests, count_requests
from oi_tfrecord.conversion.dry_run.predict import NO_ARCHIVES, ImageTiming, StorageRate, Workload
from oi_tfrecord.conversion.dry_run.time_archives import ArchiveSample, time_listing
from oi_tfrecord.conversion.dry_run.time_images import time_sample
from oi_tfrecord.conversion.dry_run.time_storage import (
    Extent,
    drop_cached,
    find_cached,
    measure_read,
    measure_storage,
    spread_extents,
)
from oi_tfrecord.conversion.plan import ConvertPlan
from oi_tfrecord.conversion.plan_shards import TRIED_IMAGES, ShardPlan
from oi_tfrecord.conversion.shard_images import EXPECTED, LOCAL_THREADS
from oi_tfrecord.engine.progress_text import format_size
from oi_tfrecord.engine.threads import split_workers
from oi_tfrecord.openimages.schema import Listing, Table
from oi_tfrecord.records.sharding import choose_num_shards
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.sources.archives import ArchiveSource
from oi_tfrecord.sources.files import PatternSource
from oi_tfrecord.sources.protocol import ImageSource
from oi_tfrecord.sources.urls import UrlSource

_ROWS = (Table.BOXES, Table.HUMAN_LABELS, Table.MACHINE_LABELS)


def measure_workload(
    plan: ConvertPlan,
    shard_plan: ShardPlan,
    split: Mapping[str, Any],
    seconds: tuple[float, float],
    workers: int,
    storage_rate: float,
) -> Workload:
    """Times samples of what a dry run left out, and returns all that is known of the conversion.

    What was not in memory before is not afterwards, so that the next dry run says the same.

    Args:
        plan: the conversion.
        shard_plan: the estimate of its images, with the sample.
        split: the manifest of the dry run.
        seconds: that its process took until it began, and from there.
        workers: that it had.
        storage_rate: bytes per second that the user gave for a machine's storage; 0 has it measured.

    Raises:
        InputError: naming an archive that cannot be listed.
    """
    counted, source = split["estimate"], plan.source
    # The plan of the shards could only sample the tables, which by now have been read.
    images = split["totals"]["records"] * shard_plan.found
    output_bytes = round(images * shard_plan.image_bytes)
    _, lanes = split_workers(min(workers, plan.num_shards), is_local=True)
    threads = lanes * (plan.config.read_threads or (EXPECTED if isinstance(source, PatternSource) else LOCAL_THREADS))
    extents = _find_extents(source, shard_plan)
    cached = find_cached(extents)
    rate = (
        StorageRate(read=storage_rate, written=storage_rate, is_given=True)
        if storage_rate
        else measure_storage(extents, cached, plan.config.output_dir, threads)
    )
    to_forget = _not_cached(extents, cached)
    listing, sample = NO_ARCHIVES, None
    if archives := [file for file in plan.files if isinstance(file.table, Listing)]:
        # Of archives, other places were read than those that are listed and sampled now.
        drop_cached(to_forget)
        job = plan.range_job(frozenset())
        listing, part = time_listing(job, archives)
        if isinstance(source, ArchiveSource) and part is not None:
            sample = ArchiveSample(source, job, part)
            extents = sample.extents
            to_forget = [] if part.was_cached else [part.whole]
    # The timing is that of the processor, so what it reads is to be in memory.
    measure_read(extents, threads)
    timing = _time_images(plan, shard_plan, split, lanes, sample.read if sample else None)
    drop_cached(to_forget)
    return Workload(
        start_seconds=seconds[0],
        table_seconds=seconds[1],
        table_workers=workers,
        table_cpu_seconds=counted["cpu_seconds"],
        ranges=max(counted["ranges"], 1),
        shards=plan.num_shards,
        images=images,
        image_bytes=shard_plan.image_bytes,
        file_bytes=(sample.stored_bytes if sample else 0.0) or shard_plan.file_bytes,
        shuffled_bytes=counted["shuffled_bytes"],
        timing=timing,
        unsampled=_why_unsampled(source, shard_plan),
        uncounted=", ".join(_uncounted(plan.config)),
        best_shards=choose_num_shards(output_bytes),
        listing=listing,
        storage=rate,
        requests=_count_requests(plan, source, images, counted["ranges"], output_bytes),
    )


def _find_extents(source: ImageSource, shard_plan: ShardPlan) -> list[Extent]:
    """Returns where images lie on this machine, as they would be read; of those that no plan reads, if there are."""
    if source.is_remote:
        return []
    if isinstance(source, ArchiveSource):
        files = [(archive.path, archive.size) for archive in source.archives]
        return spread_extents(files, len(shard_plan.sample), math.ceil(shard_plan.file_bytes))
    ids = shard_plan.sample[TRIED_IMAGES:] or shard_plan.sample
    return list(dict.fromkeys(Extent(source.where(image_id), 0, source.size(image_id) or 0) for image_id in ids))


def _not_cached(extents: list[Extent], cached: list[bool]) -> list[Extent]:
    return [extent for extent, is_cached in zip(extents, cached, strict=True) if not is_cached]


def _time_images(
    plan: ConvertPlan,
    shard_plan: ShardPlan,
    split: Mapping[str, Any],
    lanes: int,
    read_sample: Callable[[str], bytes] | None,
) -> ImageTiming:
    records = max(split["totals"]["records"], 1)
    rows_per_image = {table: split["tables"][table]["written"] / records for table in _ROWS if table in split["tables"]}
    return time_sample(plan.shard_job(), shard_plan.sample, rows_per_image, lanes, read_sample)


def _uncounted(config: ConvertConfig) -> Iterator[str]:
    """Yields what the sample was made without."""
    if config.extra_keys:
        yield "keys of " + ", ".join(config.extra_keys)
    if config.hierarchy and config.hierarchy_use != "label_map":
        yield "rows that the hierarchy adds"
    if config.attribution_csv:
        yield "the list of attributions"


def _why_unsampled(source: ImageSource, shard_plan: ShardPlan) -> str:
    if isinstance(source, UrlSource):
        size = format_size(shard_plan.images * shard_plan.file_bytes)
        return f"servers and the network decide on it: {shard_plan.images:,} downloads, about {size}, unless cached"
    if shard_plan.missing and not shard_plan.sample:
        return f"no image of the sample was found, as {source.where(shard_plan.missing)}"
    return "no image of the sample can be converted"


def _count_requests(plan: ConvertPlan, source: ImageSource, images: float, ranges: int, output_bytes: int) -> Requests:
    config = plan.config
    archives = [file for file in plan.files if isinstance(file.table, Listing)]
    tables = [file for file in plan.files if isinstance(file.table, Table)]
    return count_requests(
        images=images if any(storage.store_of(path) for path in _image_paths(source)) else 0,
        table_ranges=ranges if any(storage.store_of(file.path) for file in tables) else 0,
        archive_bytes=sum(file.size for file in archives if storage.store_of(file.path)),
        ranges=ranges + len(archives),
        output_store=storage.store_of(config.output_dir),
        shards=plan.num_shards,
        output_bytes=output_bytes,
        files_per_shard=2 if config.attribution_csv else 1,
    )


def _image_paths(source: ImageSource) -> list[str]:
    return [archive.path for archive in source.archives] if isinstance(source, ArchiveSource) else [source.where("0")]
