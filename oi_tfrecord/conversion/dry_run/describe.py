"""What a dry run tells of the time, the work and the cost of a conversion."""

import math
from collections.abc import Iterator

from oi_tfrecord.conversion.dry_run.cost import Prices, describe_cost, describe_requests
from oi_tfrecord.conversion.dry_run.predict import (
    Prediction,
    Workload,
    predict_cluster,
    predict_here,
    storage_seconds,
    worker_hours,
)
from oi_tfrecord.engine.progress_text import format_size

_WHOLE_SECONDS = 100
"""Times from here on are told without tenths."""


def describe(work: Workload, workers: int, cores: int, prices: Prices) -> Iterator[str]:
    """Yields the lines that tell a user what to expect.

    Args:
        work: the conversion.
        workers: as asked for.
        cores: of this machine.
        prices: to count the cost with.
    """
    if work.images and work.image_bytes:
        yield _describe_output(work)
    lists = work.listing.shuffled_bytes
    size = work.shuffled_bytes + lists
    of_lists = f", {lists:,} of them for lists of archives" if lists else ""
    yield f"shuffle    {format_size(size)} of rows ({size:,} bytes{of_lists}); no image goes through it"
    yield from describe_requests(work.requests)
    here = predict_here(work, workers, cores)
    machine = f"on this machine ({cores} cores) with {workers} workers"
    if not work.timing.images:
        yield f"time       {_before_images(here)} {machine}; of the images unknown, as {work.unsampled}"
        yield f"work       {worker_hours(work):,.3f} hours of one such core, without the images"
        return
    yield (
        f"time       about {_seconds(here.seconds)} {machine}: {_before_images(here)}, "
        f"{_seconds(here.images)} for the images; bounded by {here.bottleneck}"
        f"{'; not counted: ' + work.uncounted if work.uncounted else ''}"
    )
    if told := ", ".join(_describe_storage(work)):
        yield f"storage    {_seconds(storage_seconds(work))} for the images: {told}"
    there = predict_cluster(work, workers, cores)
    yield (
        f"cluster    about {_seconds(there.seconds)} with {workers} workers of one such core each, once they run"
        f"{_needed_storage(work, there)}; bounded by {there.bottleneck}"
    )
    hours = worker_hours(work)
    yield f"work       {hours:,.3f} hours of one such core"
    yield describe_cost(hours, size, work.requests, prices)


def _describe_output(work: Workload) -> str:
    size = work.images * work.image_bytes
    told = (
        f"output     about {work.images:,.0f} records, {format_size(size)}, {format_size(size / work.shards)} a shard"
    )
    # Shards of 100 to 200 MB are what is planned for; a sample of unsorted tables takes rows for images.
    is_far = work.best_shards and not 2 / 3 < work.shards / work.best_shards < 4 / 3
    return told + (f"; for shards of 100 to 200 MB give --num_shards={work.best_shards}" if is_far else "")


def _before_images(prediction: Prediction) -> str:
    told = f"{_seconds(prediction.fixed + prediction.tables)} for the tables"
    return told + (f", {_seconds(prediction.listing)} for the lists of archives" if prediction.listing else "")


def _describe_storage(work: Workload) -> Iterator[str]:
    """Yields what is known of the storage."""
    storage = work.storage
    rates = [
        f"{name} {rate / 1e6:,.0f} MB/s"
        for name, rate in (("reads", storage.read), ("writes", storage.written))
        if rate < math.inf
    ]
    if rates:
        yield f"{' and '.join(rates)} ({'as given' if storage.is_given else 'measured'})"
    if storage.cached:
        yield f"{100 * storage.cached:.0f} % of the images are in memory"
    if storage.buffered_bytes:
        yield f"memory takes {format_size(storage.buffered_bytes)} of records before they are on the disk"


def _needed_storage(work: Workload, prediction: Prediction) -> str:
    if work.storage.is_given:
        return ""
    per_second = work.images / max(prediction.images, 1e-9) / 1e6
    read, written = per_second * work.file_bytes, per_second * work.image_bytes
    return f", if storage reads {read:,.0f} MB/s and writes {written:,.0f} MB/s"


def _seconds(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds < _WHOLE_SECONDS else f"{seconds:,.0f} s"
