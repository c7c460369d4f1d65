"""Computes the time, the requests, the cost and the bottleneck of conversions on 10, 100 and 1,000 workers.

    python -m tests.benchmarks.scale --prices=worker_hour=0.07,shuffle_gb=0.011,reads=0.004,writes=0.05

Nothing is run: the times of stages are those that other benchmarks measured, given by flags, and so is what a bucket
allows. A worker is a process with a core. Prints Markdown.
"""

import argparse
import dataclasses
import math
from collections.abc import Sequence

from oi_tfrecord.records.sharding import choose_num_shards
from oi_tfrecord.settings.prices import PRICED_REQUESTS, Prices, parse_prices
from oi_tfrecord.storage.object_store import PART_BYTES

RANGE_MB = 32
"""Default of --csv_block_mb."""


@dataclasses.dataclass(frozen=True)
class Input:
    """What is converted.

    Attributes:
        name: for the table.
        images: images that get a record.
        image_bytes: bytes of an image.
        table_mb: megabytes of CSV.
        shuffled_gb: gigabytes of rows that are shuffled.
    """

    name: str
    images: int
    image_bytes: int
    table_mb: int
    shuffled_gb: float


INPUTS = (
    # 513 GB of images and the three tables by published size; rows by the size of a row in V3.
    Input("V7 train, images with boxes", 1_743_042, 294_000, 3_274, 0.8),
    # The tables are those of V3's whole train split, the size of an image that of the images with boxes.
    Input("all images", 9_178_275, 294_000, 7_382, 1.6),
)


@dataclasses.dataclass(frozen=True)
class Stages:
    """What was measured, and what a bucket allows.

    Attributes:
        start_seconds: until workers work, and from the last shard to the end.
        table_seconds_per_mb: core-seconds to read, check and join a megabyte of CSV.
        seconds_per_image: core-seconds to read, check, hash and write an image.
        latency_seconds: of a read.
        readers: reads that a worker has under way.
        bucket_reads: reads per second of a bucket.
        bucket_writes: writes per second of a bucket.
    """

    start_seconds: float
    table_seconds_per_mb: float
    seconds_per_image: float
    latency_seconds: float
    readers: int
    bucket_reads: float
    bucket_writes: float


@dataclasses.dataclass(frozen=True)
class Paper:
    """What is computed for a number of workers.

    Attributes:
        seconds: wall time.
        bottleneck: what the images wait for.
        core_hours: of all workers, for the whole time.
        reads: requests that read.
        writes: requests that write.
        cost: in the currency of the prices.
    """

    seconds: float
    bottleneck: str
    core_hours: float
    reads: int
    writes: int
    cost: float


def compute(given: Input, stages: Stages, workers: int, prices: Prices) -> Paper:
    """Returns the paper of an input on a number of workers."""
    size = given.images * given.image_bytes
    shards = choose_num_shards(size)
    ranges = math.ceil(given.table_mb / RANGE_MB)
    # An upload has a start, its parts and an end; the result of a shard is written beside it.
    writes = shards * (math.ceil(size / shards / PART_BYTES) + 3)
    reads = given.images + 3 * ranges + shards
    tables = given.table_mb * stages.table_seconds_per_mb / min(workers, ranges)
    busy = min(workers, shards)
    # A worker takes a whole shard, so the last round leaves workers without one.
    rounds = math.ceil(shards / workers) / shards
    waits = {
        "processors": given.images * stages.seconds_per_image * rounds,
        "latency": given.images * stages.latency_seconds / stages.readers / busy,
        "reads of the bucket": given.images / stages.bucket_reads,
        "writes of the bucket": writes / stages.bucket_writes,
    }
    bottleneck = max(waits, key=lambda name: waits[name])
    seconds = stages.start_seconds + tables + waits[bottleneck]
    core_hours = seconds * workers / 3600
    cost = core_hours * prices.worker_hour + given.shuffled_gb * prices.shuffle_gb
    cost += (reads * prices.reads + writes * prices.writes) / PRICED_REQUESTS
    return Paper(seconds, bottleneck, core_hours, reads, writes, cost)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", default="10,100,1000", help="Numbers of workers.")
    parser.add_argument("--prices", default="", help="As of `convert`.")
    for field, value in (
        ("start_seconds", 180.0), ("table_seconds_per_mb", 0.01), ("seconds_per_image", 0.002),
        ("latency_seconds", 0.05), ("readers", 128), ("bucket_reads", 5000.0), ("bucket_writes", 1000.0),
    ):  # fmt: skip
        parser.add_argument(f"--{field}", type=type(value), default=value)
    options = vars(parser.parse_args(arguments))
    prices = parse_prices([item for item in options.pop("prices").split(",") if item])
    counts = [int(text) for text in options.pop("workers").split(",")]
    stages = Stages(**options)
    print("| input | workers | minutes | bottleneck | core-hours | reads | writes | cost |")
    print("|---|---|---|---|---|---|---|---|")
    for given in INPUTS:
        for workers in counts:
            paper = compute(given, stages, workers, prices)
            time = f"{paper.seconds / 60:,.1f} | {paper.bottleneck} | {paper.core_hours:,.1f}"
            print(f"| {given.name} | {workers:,} | {time} | {paper.reads:,} | {paper.writes:,} | {paper.cost:,.2f} |")


if __name__ == "__main__":
    main()
