"""What a dry run prints of the size, the time, the work and the cost of a conversion."""

import math
from typing import NamedTuple

from oi_tfrecord.conversion.dry_run.measure import Workload
from oi_tfrecord.conversion.planning.plan_shards import CORE_SECONDS_PER_IMAGE, describe_bucket
from oi_tfrecord.engine.progress_text import format_size
from oi_tfrecord.records.sharding import choose_num_shards
from oi_tfrecord.settings.prices import NO_PRICES, PRICED_REQUESTS, Prices

_WHOLE_SECONDS = 100
"""Longer times are printed without tenths."""

_WHOLE_CENTS = 0.1
"""Smaller amounts are printed with fractions of cents."""


class Prediction(NamedTuple):
    """Wall time in seconds: for start and end, for the tables with the join, and for the images."""

    fixed: float
    tables: float
    images: float


def predict(workload: Workload, workers: int) -> Prediction:
    """Predicts the time with `workers` workers that have a core each, as fast as this machine's."""
    # A worker takes a whole shard, so the last round may leave workers without one.
    rounds = math.ceil(workload.shards / workers)
    return Prediction(
        fixed=workload.fixed_seconds,
        tables=workload.table_seconds / min(workers, workload.ranges),
        images=workload.image_seconds * rounds / workload.shards,
    )


def describe(workload: Workload, workers: int, prices: Prices) -> list[str]:
    """Returns the lines that say what to expect, and which numbers are counted, measured or estimated.

    Args:
        workload: the conversion.
        workers: number of workers to predict the time for.
        prices: prices to count the cost with.
    """
    shuffled, reads, writes = workload.shuffled_bytes, workload.reads, workload.writes
    requests = f"requests   about {reads:,} reads and {writes:,} writes of object stores (estimated)"
    lines = [
        _describe_output(workload) if workload.output_bytes else "",
        f"shuffle    {format_size(shuffled)} of rows (counted: {shuffled:,} bytes); no image passes through it",
        requests if reads or writes else "",
        describe_bucket(workload.seconds_per_image or CORE_SECONDS_PER_IMAGE) if workload.image_reads else "",
        _describe_time(workload, predict(workload, workers), workers),
        _describe_work(workload),
        _describe_cost(workload, prices) if workload.timed_images and prices != NO_PRICES else "",
    ]
    return [line for line in lines if line]


def _describe_output(workload: Workload) -> str:
    size, shards, best = workload.output_bytes, workload.shards, choose_num_shards(workload.output_bytes)
    images = f"{100 * workload.found:.0f} % of the images found, {format_size(workload.image_bytes)} each (sampled)"
    line = f"output     about {format_size(size)}, {format_size(size / shards)} a shard (estimated): "
    line += f"{workload.records:,} records (counted), {images}"
    # Shards are planned from a sample of the tables, which the counts may contradict.
    return line if 2 / 3 < shards / best < 4 / 3 else f"{line}; for shards of 100 to 200 MB give --num_shards={best}"


def _describe_time(workload: Workload, time: Prediction, workers: int) -> str:
    parts = f"{_format_seconds(time.fixed)} for start and end, {_format_seconds(time.tables)} for the tables"
    place = f"with {workers} workers of one core each (estimated)"
    if not workload.timed_images:
        return f"time       {parts} {place}; unknown for the images, as {workload.untimed}"
    uncounted = f"; not counted: {', '.join(workload.uncounted)}" if workload.uncounted else ""
    return (
        f"time       about {_format_seconds(sum(time))} {place}: {parts}, "
        f"{_format_seconds(time.images)} for the images{uncounted}"
    )


def _describe_work(workload: Workload) -> str:
    hours = (workload.table_seconds + workload.image_seconds) / 3600
    tables = f"{_format_seconds(workload.table_seconds)} for the tables (measured)"
    if not workload.timed_images:
        return f"work       {hours:,.3f} core-hours: {tables}; unknown for the images"
    images = f"about {_format_seconds(workload.image_seconds)} for the images"
    return f"work       about {hours:,.3f} core-hours: {tables}, {images} (estimated from a sample)"


def _describe_cost(workload: Workload, prices: Prices) -> str:
    counts = (
        ("the workers", (workload.table_seconds + workload.image_seconds) / 3600, prices.worker_hour),
        ("the shuffle", workload.shuffled_bytes / 1e9, prices.shuffle_gb),
        ("reads", workload.reads / PRICED_REQUESTS, prices.reads),
        ("writes", workload.writes / PRICED_REQUESTS, prices.writes),
    )
    amounts = {name: count * price for name, count, price in counts if price}
    parts = ", ".join(f"{_format_money(amount)} for {name}" for name, amount in amounts.items())
    return f"cost       about {_format_money(sum(amounts.values()))} (estimated): {parts}"


def _format_seconds(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds < _WHOLE_SECONDS else f"{seconds:,.0f} s"


def _format_money(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= _WHOLE_CENTS else f"{amount:.4f}"
