"""Calculates what many cores with NVMe disks do to a conversion of V7's train split, from measured times.

    python -m tests.benchmarks.many_cores --cores=2,8,16,64

Images are converted at the pace of the processor or of the disk, whichever is slower; tables and images follow each
other. The defaults are the figures of docs/background/performance.md. Prints Markdown.
"""

import argparse
import dataclasses
import math
from collections.abc import Sequence

IMAGES, IMAGE_BYTES = 1_743_042, 294_000
"""Images of V7's train split with boxes, 513 GB in all (github.com/cvdfoundation/open-images-dataset)."""

SHARD_BYTES = 150e6

THREADS_PER_PROCESS = 2


@dataclasses.dataclass(frozen=True)
class Machine:
    """A machine and the measured times of the stages on one of its cores.

    Attributes:
        cores: number of cores.
        read_bytes: bytes a second that the disk reads while nothing is written.
        write_bytes: bytes a second that the disk writes while nothing is read.
        image_seconds: processor time of an image, with two threads in a process.
        lock_seconds: part of it that holds the interpreter lock.
        table_seconds: processor time of all tables.
        fixed_seconds: start and end.
        shard_seconds: further time of the last step for each shard.
    """

    cores: int
    read_bytes: float
    write_bytes: float
    image_seconds: float
    lock_seconds: float
    table_seconds: float
    fixed_seconds: float
    shard_seconds: float


@dataclasses.dataclass(frozen=True)
class Times:
    """Seconds of a conversion: of its parts, and of the bounds on the images."""

    fixed: float
    tables: float
    processor: float
    lock: float
    disk: float
    last_step: float

    @property
    def total(self) -> float:
        """Seconds of the whole conversion."""
        return self.fixed + self.tables + max(self.processor, self.lock, self.disk) + self.last_step

    @property
    def bound(self) -> str:
        """What the images wait for."""
        bounds = {"processor": self.processor, "interpreter lock": self.lock, "disk": self.disk}
        return max(bounds, key=bounds.__getitem__)


def calculate(machine: Machine) -> Times:
    """Returns the times of a conversion whose images are not in the page cache."""
    size = IMAGES * IMAGE_BYTES
    shards = math.ceil(size / SHARD_BYTES)
    rounds = math.ceil(shards / machine.cores) * machine.cores / shards
    processes = math.ceil(machine.cores / THREADS_PER_PROCESS)
    return Times(
        fixed=machine.fixed_seconds,
        tables=machine.table_seconds / machine.cores,
        processor=IMAGES * machine.image_seconds / machine.cores * rounds,
        lock=IMAGES * machine.lock_seconds / processes * rounds,
        disk=size / machine.read_bytes + size / machine.write_bytes,
        last_step=shards * machine.shard_seconds,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cores", default="2,8,16,64")
    parser.add_argument("--read_gb", type=float, default=6, help="GB a second that the disk reads.")
    parser.add_argument("--write_gb", type=float, default=4, help="GB a second that the disk writes.")
    parser.add_argument("--copy_us", type=float, default=290)
    parser.add_argument("--verify_us", type=float, default=2_000)
    parser.add_argument("--lock_us", type=float, default=75)
    parser.add_argument("--table_seconds", type=float, default=110)
    options = parser.parse_args(arguments)
    print("| image_mode | cores | seconds | tables, s | images, s | last step, s | images/s | the images wait for |")
    print("|---|---|---|---|---|---|---|---|")
    for mode, image_us in (("copy", options.copy_us), ("verify", options.verify_us)):
        for cores in map(int, options.cores.split(",")):
            machine = Machine(
                cores=cores,
                read_bytes=options.read_gb * 1e9,
                write_bytes=options.write_gb * 1e9,
                image_seconds=image_us * 1e-6,
                lock_seconds=options.lock_us * 1e-6,
                table_seconds=options.table_seconds,
                fixed_seconds=1.1,
                shard_seconds=0.9e-3,
            )
            times = calculate(machine)
            images = max(times.processor, times.lock, times.disk)
            print(
                f"| {mode} | {cores} | {times.total:,.0f} | {times.tables:.0f} | {images:,.0f} | {times.last_step:.1f} "
                f"| {IMAGES / images:,.0f} | {times.bound} |"
            )


if __name__ == "__main__":
    main()
