"""How long a conversion takes, and what bounds it, from what a dry run counted and timed."""

import dataclasses
import math

from oi_tfrecord.conversion.dry_run.cost import NO_REQUESTS, Requests


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
class ListingTiming:
    """What it takes to list archives, from a part of them.

    Attributes:
        archives: number of them; each is listed by one worker.
        seconds: for all of them by one worker, waiting for their storage included.
        largest: share of the largest one in all of them, 0 to 1.
        shuffled_bytes: of the lists.
    """

    archives: int = 0
    seconds: float = 0.0
    largest: float = 0.0
    shuffled_bytes: int = 0


NO_ARCHIVES = ListingTiming()


@dataclasses.dataclass(frozen=True)
class StorageRate:
    """What storage gives one machine; without a rate it keeps up with any.

    Attributes:
        read: bytes of images per second, as they are read by a conversion, out of no cache.
        written: bytes of records per second, until they are on the disk.
        cached: share of the images' bytes that memory holds already, 0 to 1.
        buffered_bytes: bytes of records that memory takes before who writes has to wait.
        is_shared: whether images and records are on one device, which does one after the other.
        is_given: whether the user gave the rates, for each machine; else they are measured, of this one.
    """

    read: float = math.inf
    written: float = math.inf
    cached: float = 0.0
    buffered_bytes: float = 0.0
    is_shared: bool = True
    is_given: bool = False


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
        image_bytes: mean bytes of one in its record.
        file_bytes: mean bytes of one as it is read.
        shuffled_bytes: written to the shuffle, but for the lists of archives.
        timing: of a sample of the images, out of the page cache where they are local.
        unsampled: why there is no timing of images; not told if there is.
        uncounted: what else takes time that is not counted; empty if nothing does.
        best_shards: number of shards that the images would be planned for; 0 if that is not known.
        listing: of the archives.
        storage: of images and records.
        requests: to object stores.
    """

    start_seconds: float
    table_seconds: float
    table_workers: int
    table_cpu_seconds: float
    ranges: int
    shards: int
    images: float
    image_bytes: float
    file_bytes: float
    shuffled_bytes: int
    timing: ImageTiming
    unsampled: str = ""
    uncounted: str = ""
    best_shards: int = 0
    listing: ListingTiming = NO_ARCHIVES
    storage: StorageRate = StorageRate()
    requests: Requests = NO_REQUESTS


@dataclasses.dataclass(frozen=True)
class Prediction:
    """How long a conversion takes.

    Attributes:
        fixed: seconds that no worker shortens: start of the program, planning, the end.
        tables: seconds for the tables.
        listing: seconds that the lists of archives take beyond that.
        images: seconds for the images.
        bottleneck: what bounds it.
    """

    fixed: float
    tables: float
    listing: float
    images: float
    bottleneck: str

    @property
    def seconds(self) -> float:
        """All of it."""
        return self.fixed + self.tables + self.listing + self.images


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


def storage_seconds(work: Workload, machines: int = 1) -> float:
    """Returns the seconds that storage takes to give all images and take all records.

    Args:
        work: the conversion.
        machines: that read and write, each at the same rate.
    """
    storage = work.storage
    read = work.images * work.file_bytes * (1 - storage.cached) / storage.read
    written = max(work.images * work.image_bytes - storage.buffered_bytes, 0) / storage.written
    return (read + written if storage.is_shared else max(read, written)) / machines


def predict_here(work: Workload, workers: int, cores: int) -> Prediction:
    """Predicts a conversion on this machine.

    Args:
        work: the conversion.
        workers: ranges or shards that it works on at once.
        cores: that they share.
    """
    fixed = _fixed_seconds(work, cores)
    used = min(work.table_workers, cores, work.ranges)
    in_tables = (work.start_seconds + work.table_seconds - fixed) * used
    tables = in_tables / min(workers, cores, work.ranges)
    listing = max(_read_all(work, in_tables, min(workers, cores)) - tables, 0)
    by_cores, by_storage = image_seconds(work, workers, cores), storage_seconds(work)
    bound = "cores of this machine" if workers >= cores else "number of workers"
    of_tables = "number of ranges" if min(workers, cores) > work.ranges else bound
    bounds = of_tables, _bound_of_lists(work, workers), "storage" if by_storage > by_cores else bound
    return _predict(fixed, tables, listing, max(by_cores, by_storage), bounds)


def predict_cluster(work: Workload, workers: int, cores: int) -> Prediction:
    """Predicts a conversion by workers that have a core each, as fast as this machine's.

    Storage keeps up, unless its rate is given; then that is the rate of each worker.

    Args:
        work: the conversion.
        workers: number of them.
        cores: of this machine, which the dry run had.
    """
    fixed = _fixed_seconds(work, cores)
    tables = work.table_cpu_seconds / min(workers, work.ranges)
    listing = max(_read_all(work, work.table_cpu_seconds, workers) - tables, 0)
    parallel = min(workers, work.shards)
    by_cores = work.images * work.timing.core_seconds_per_image / work.shards * math.ceil(work.shards / parallel)
    by_storage = storage_seconds(work, parallel) if work.storage.is_given else 0.0
    of_tables = "number of ranges" if workers > work.ranges else "number of workers"
    of_images = "number of shards" if workers > work.shards else "number of workers"
    bounds = of_tables, _bound_of_lists(work, workers), "storage" if by_storage > by_cores else of_images
    return _predict(fixed, tables, listing, max(by_cores, by_storage), bounds)


def _fixed_seconds(work: Workload, cores: int) -> float:
    in_tables = work.table_cpu_seconds / min(work.table_workers, cores, work.ranges)
    return work.start_seconds + max(work.table_seconds - in_tables, 0.0)


def _read_all(work: Workload, in_tables: float, workers: int) -> float:
    """Returns the seconds for tables and archives, which workers read at the same time, an archive by one of them."""
    listing = work.listing
    if not listing.archives:
        return 0.0
    together = (in_tables + listing.seconds) / min(workers, work.ranges + listing.archives)
    return max(together, listing.seconds * listing.largest)


def _bound_of_lists(work: Workload, workers: int) -> str:
    return "number of archives" if workers >= work.listing.archives else "number of workers"


def _predict(fixed: float, tables: float, listing: float, images: float, bounds: tuple[str, str, str]) -> Prediction:
    parts = {"tables": tables, "lists of the archives": listing, "images": images}
    name, longest = max(parts.items(), key=lambda part: part[1])
    bound = dict(zip(parts, bounds, strict=True))[name]
    bottleneck = f"{name}, by the {bound}" if longest > fixed else "start and end, which no worker shortens"
    return Prediction(fixed, tables, listing, images, bottleneck)


def worker_hours(work: Workload) -> float:
    """Returns the hours of a core as fast as this machine's that tables, lists of archives and images take."""
    in_images = work.images * work.timing.core_seconds_per_image
    return (work.table_cpu_seconds + work.listing.seconds + in_images) / 3600
