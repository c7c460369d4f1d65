"""What a conversion will take, from what a dry run counted and timed: time, shuffled bytes, worker hours, cost."""

import dataclasses
import math
from collections.abc import Iterator


@dataclasses.dataclass(frozen=True)
class Prices:
    """What the user pays, in any currency; None where they did not say.

    Attributes:
      worker_hour: of one worker with its memory and disk.
      shuffle_gb: of 10^9 bytes written to the runner's shuffle.
    """

    worker_hour: float | None = None
    shuffle_gb: float | None = None


NO_PRICES = Prices()

_WHOLE_SECONDS = 100
"""Times from here on are told without tenths."""

_WHOLE_CENTS = 0.1
"""Amounts from here on are told without fractions of cents."""


@dataclasses.dataclass(frozen=True)
class ImageTiming:
    """What a sample of the images took in one process that had nothing else to do.

    Attributes:
      images: number of them.
      seconds: from the first to the last.
      cpu_seconds: of all threads of the process.
      lanes: shards that were written at once.
    """

    images: int
    seconds: float
    cpu_seconds: float
    lanes: int = 1

    @property
    def seconds_per_image(self) -> float:
        """Seconds that one lane takes for an image, waiting for its storage and for other lanes included."""
        return self.seconds * self.lanes / self.images if self.images else 0.0

    @property
    def core_seconds_per_image(self) -> float:
        """Seconds that one lane takes for an image if its threads have one core."""
        return max(self.seconds * self.lanes, self.cpu_seconds) / self.images if self.images else 0.0


@dataclasses.dataclass(frozen=True)
class Workload:
    """A conversion as a dry run and a sample know it.

    Attributes:
      start_seconds: until the program could begin: its start and its imports.
      table_seconds: that the dry run took from there.
      table_workers: ranges or shards that it worked on at once.
      table_cpu_seconds: that its work on ranges and shards took, added up.
      ranges: parts that the tables are read in.
      shards: parts that records are written in.
      images: that records are made of.
      image_bytes: mean bytes of one.
      shuffled_bytes: written to the shuffle.
      timing: of a sample of the images.
    """

    start_seconds: float
    table_seconds: float
    table_workers: int
    table_cpu_seconds: float
    ranges: int
    shards: int
    images: float
    image_bytes: float
    shuffled_bytes: int
    timing: ImageTiming


@dataclasses.dataclass(frozen=True)
class Prediction:
    """How long a conversion takes.

    Attributes:
      fixed: seconds that no worker shortens: start of the program, planning, the end.
      tables: seconds for the tables.
      images: seconds for the images.
      bottleneck: what bounds it.
    """

    fixed: float
    tables: float
    images: float
    bottleneck: str

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.fixed + self.tables + self.images


def image_seconds(work: Workload, workers: int, cores: int) -> float:
    """Returns the seconds that all images take workers that share the cores of a machine.

    A worker does not keep a core busy all the time, as it waits for storage. So the rate is that of `workers` times
    one, or of all cores busy if that is less.
    """
    if not work.timing.images:
        return 0.0
    alone = work.timing.seconds_per_image
    busy = work.timing.cpu_seconds / work.timing.images
    parallel = min(workers, work.shards)
    # The last shards are written when some workers have none left.
    rounds = math.ceil(work.shards / parallel) * parallel / work.shards
    return work.images * max(alone / parallel * rounds, busy / cores)


def predict_here(work: Workload, workers: int, cores: int) -> Prediction:
    """Predicts a conversion on this machine.

    Args:
      work: the conversion.
      workers: ranges or shards that it works on at once.
      cores: that they share.
    """
    fixed = _fixed_seconds(work, cores)
    used = min(work.table_workers, cores)
    in_tables = work.start_seconds + work.table_seconds - fixed
    tables = in_tables * used / min(workers, cores, work.ranges)
    images = image_seconds(work, workers, cores)
    bound = "cores of this machine" if workers >= cores else "number of workers"
    return Prediction(fixed, tables, images, _bottleneck(fixed, tables, images, bound))


def predict_cluster(work: Workload, workers: int, cores: int) -> Prediction:
    """Predicts a conversion by workers that have a core each, as fast as this machine's, and storage that keeps up.

    Args:
      work: the conversion.
      workers: number of them.
      cores: of this machine, which the dry run had.
    """
    fixed = _fixed_seconds(work, cores)
    tables = work.table_cpu_seconds / min(workers, work.ranges)
    images = (
        work.images
        * work.timing.core_seconds_per_image
        / work.shards
        * math.ceil(work.shards / min(workers, work.shards))
    )
    bound = "number of shards" if workers > work.shards else "number of workers"
    return Prediction(fixed, tables, images, _bottleneck(fixed, tables, images, bound))


def _fixed_seconds(work: Workload, cores: int) -> float:
    in_tables = work.table_cpu_seconds / min(work.table_workers, cores, work.ranges)
    return work.start_seconds + max(work.table_seconds - in_tables, 0.0)


def _bottleneck(fixed: float, tables: float, images: float, bound: str) -> str:
    longest = max(fixed, tables, images)
    if longest == fixed:
        return "start and end, which no worker shortens"
    return f"{'images' if longest == images else 'tables'}, by the {bound}"


def worker_hours(work: Workload) -> float:
    """Returns the hours of a core as fast as this machine's that the work on tables and images takes."""
    return (work.table_cpu_seconds + work.images * work.timing.core_seconds_per_image) / 3600


def _seconds(seconds: float) -> str:
    return f"{seconds:,.1f} s" if seconds < _WHOLE_SECONDS else f"{seconds:,.0f} s"


def _money(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= _WHOLE_CENTS else f"{amount:.4f}"


def describe(work: Workload, workers: int, cores: int, prices: Prices) -> Iterator[str]:
    """Yields the lines that tell a user what to expect.

    Args:
      work: the conversion.
      workers: as asked for.
      cores: of this machine.
      prices: to count the cost with.
    """
    size = work.shuffled_bytes
    yield f"shuffle    {size / 1e9:,.3f} GB of rows ({size:,} bytes); no image goes through it"
    if not work.timing.images:
        yield "time       unknown: none of the sampled images was found"
        return
    here = predict_here(work, workers, cores)
    yield (
        f"time       about {_seconds(here.seconds)} on this machine ({cores} cores) with {workers} workers: "
        f"{_seconds(here.fixed + here.tables)} for the tables, {_seconds(here.images)} for the images; "
        f"bounded by {here.bottleneck}"
    )
    there = predict_cluster(work, workers, cores)
    rate = work.images * work.image_bytes / max(there.images, 1e-9) / 1e6
    yield (
        f"cluster    about {_seconds(there.seconds)} with {workers} workers of one such core each, once they run, if "
        f"storage reads and writes {rate:,.0f} MB/s; bounded by {there.bottleneck}"
    )
    hours = worker_hours(work)
    yield f"work       {hours:,.3f} hours of one such core"
    if prices.worker_hour is None or prices.shuffle_gb is None:
        yield "cost       give --worker_hour_price and --shuffle_gb_price to have it counted"
        return
    compute, shuffle = hours * prices.worker_hour, size / 1e9 * prices.shuffle_gb
    yield f"cost       {_money(compute + shuffle)}: {_money(compute)} for workers, {_money(shuffle)} for the shuffle"
