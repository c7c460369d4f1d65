"""The shard-writing stage of oi_tfrecord, and the bare loop it is held against: each in a process of its own.

    python -m tests.benchmarks.shard_loops stage --release=/tmp/v3_images --output_dir=/tmp/out --num_shards=8

`stage` runs `convert_shard` on batches made beforehand; `bare` reads each image, frames it with its masked CRC-32C and
writes it; `bare_sha256` also computes the SHA-256 of each image, as the stage must. Both bare loops use one thread.
Prints the seconds and the processor time of the loop alone, and the image bytes in it, as JSON.
"""

import argparse
import collections
import functools
import hashlib
import json
import os
import pathlib
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import google_crc32c
import numpy as np

from oi_tfrecord.conversion.planning.plan import ConvertPlan, make_plan
from oi_tfrecord.conversion.read_range import RangeJob, read_table_range
from oi_tfrecord.conversion.shard import convert_shard
from oi_tfrecord.conversion.write_shards import read_batches
from oi_tfrecord.dataset.output_state import prepare_output
from oi_tfrecord.engine.progress_reports import WRITE, Reporter
from oi_tfrecord.engine.shared_heap import share_freed_memory
from oi_tfrecord.engine.threads import THREADS_PER_PROCESS, run_on_threads
from oi_tfrecord.openimages.csv.file_ranges import FileRange, needs_scan, plan_ranges, resolve_ranges, scan_range
from oi_tfrecord.openimages.image_id import format_id, hash_ids
from oi_tfrecord.records.shard_names import shard_file
from oi_tfrecord.records.sharding import shard_of
from oi_tfrecord.records.tfrecord import mask_crc
from oi_tfrecord.settings.yaml_file import find_config, load_config

from .make_images import SPLIT

LOOPS = ("stage", "bare", "bare_sha256")


class Measured(NamedTuple):
    """What a loop took, without the preparation of its input.

    Attributes:
        seconds: of the wall clock.
        cpu_seconds: of the processor, all threads.
        image_bytes: bytes of the images written.
    """

    seconds: float
    cpu_seconds: float
    image_bytes: int


def convert_flags(release: pathlib.Path, output_dir: pathlib.Path, num_shards: int) -> dict[str, str]:
    """Returns the flags of `convert` for a release of `make_images`."""
    return {
        "split": SPLIT,
        "data_dir": str(release / "2017_11"),
        "images": str(release / "images" / "{split}" / "{image_id}.jpg"),
        "output_dir": str(output_dir),
        "num_shards": str(num_shards),
    }


def time_stage(release: pathlib.Path, output_dir: pathlib.Path, num_shards: int) -> Measured:
    """Runs the shard-writing stage as a process of a conversion does, its input prepared before the clock starts.

    Returns:
        What the loop alone took.
    """
    # As the command does; without that, each image costs page faults.
    share_freed_memory()
    config_file = find_config("v3")
    flags = convert_flags(release, output_dir, num_shards) | {"num_shards": num_shards}
    plan = make_plan(load_config(config_file.read_text(encoding="utf-8"), str(config_file), flags))
    prepare_output(plan.target)
    batches = batches_by_shard(plan)
    label_map = plan.classes.make_label_map({})
    job = plan.shard_job()
    reporter = Reporter(plan.work, WRITE)

    def write(shard: int) -> int:
        rows = functools.partial(read_batches, batches.pop(shard, []))
        result = convert_shard(job, shard, rows, label_map, reporter.set_shard)
        reporter.end_shard(result.records, result.image_bytes, result.listed_rejects)
        return result.image_bytes

    started, cpu_started = time.perf_counter(), time.process_time()
    image_bytes = sum(run_on_threads(write, range(num_shards), THREADS_PER_PROCESS))
    return Measured(time.perf_counter() - started, time.process_time() - cpu_started, image_bytes)


def batches_by_shard(plan: ConvertPlan) -> dict[int, list[bytes]]:
    """Returns what the shuffle would hand to each shard."""
    job = plan.range_job(frozenset())
    batches: dict[int, list[bytes]] = collections.defaultdict(list)
    for file_range in _ranges(job):
        for block in read_table_range(job, file_range):
            for shard, batch in block.rows.batches():
                batches[shard].append(batch)
    return batches


def _ranges(job: RangeJob) -> list[FileRange]:
    exact: list[FileRange] = []
    for file in job.files.values():
        nominal = plan_ranges(file, job.block_bytes)
        if any(map(needs_scan, nominal)):
            exact += resolve_ranges(file, [scan_range(file, file_range) for file_range in nominal])
        else:
            exact += nominal
    return exact


def time_bare(release: pathlib.Path, output_dir: pathlib.Path, num_shards: int, *, sha256: bool = False) -> Measured:
    """Runs the bare loop over the same images in the same files and order.

    Its records hold the image alone, without the fraction of a percent that the other features are.

    Returns:
        What the loop alone took.
    """
    shards = _images_by_shard(release / "images" / SPLIT, num_shards)
    output_dir.mkdir(parents=True, exist_ok=True)
    copy = _copy_hashed if sha256 else _copy
    image_bytes = 0
    started, cpu_started = time.perf_counter(), time.process_time()
    for shard in range(num_shards):
        target = os.open(output_dir / shard_file(SPLIT, shard, num_shards), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        image_bytes += copy(shards.get(shard, ()), target)
        os.close(target)
    return Measured(time.perf_counter() - started, time.process_time() - cpu_started, image_bytes)


def _images_by_shard(folder: pathlib.Path, num_shards: int) -> Mapping[int, Sequence[str]]:
    ids = np.array([int(path.stem, 16) for path in folder.glob("*.jpg")], np.uint64)
    hashes = hash_ids(ids)
    order = np.argsort(hashes)
    shards: dict[int, list[str]] = collections.defaultdict(list)
    for image_id, shard in zip(ids[order].tolist(), shard_of(hashes[order], num_shards).tolist(), strict=True):
        shards[shard].append(str(folder / f"{format_id(image_id)}.jpg"))
    return shards


def _read(path: str) -> bytes:
    source = os.open(path, os.O_RDONLY)
    data = os.read(source, os.fstat(source).st_size)
    os.close(source)
    return data


def _frame(data: bytes) -> tuple[bytes, bytes]:
    length = struct.pack("<Q", len(data))
    header = length + struct.pack("<I", mask_crc(google_crc32c.value(length)))
    return header, struct.pack("<I", mask_crc(google_crc32c.value(data)))


def _write(target: int, pieces: Sequence[bytes]) -> None:
    if os.writev(target, pieces) != sum(map(len, pieces)):
        raise OSError("a write was cut short")


def _copy(paths: Sequence[str], target: int) -> int:
    copied = 0
    for path in paths:
        data = _read(path)
        header, footer = _frame(data)
        _write(target, (header, data, footer))
        copied += len(data)
    return copied


def _copy_hashed(paths: Sequence[str], target: int) -> int:
    copied = 0
    for path in paths:
        data = _read(path)
        hashlib.sha256(data).hexdigest()
        header, footer = _frame(data)
        _write(target, (header, data, footer))
        copied += len(data)
    return copied


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one of the loops and prints its measurements."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loop", choices=LOOPS)
    parser.add_argument("--release", type=pathlib.Path, required=True, help="Folder that make_images wrote.")
    parser.add_argument("--output_dir", type=pathlib.Path, required=True)
    parser.add_argument("--num_shards", type=int, required=True)
    options = parser.parse_args(arguments)
    loops: dict[str, Callable[[], Measured]] = {
        "stage": lambda: time_stage(options.release, options.output_dir, options.num_shards),
        "bare": lambda: time_bare(options.release, options.output_dir, options.num_shards),
        "bare_sha256": lambda: time_bare(options.release, options.output_dir, options.num_shards, sha256=True),
    }
    print(json.dumps(loops[options.loop]()._asdict()))


if __name__ == "__main__":
    main()
