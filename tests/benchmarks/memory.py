"""Measures the memory of conversions as their input grows: all processes of the command together.

    python -m tests.benchmarks.memory --work_dir=/tmp/memory

Joins (`convert --dry_run`, machine labels included) run on tables of `generate_v3`, conversions on images of
`make_images`; both inputs are made once and kept in the work folder. Prints one table in Markdown. A row's peak is the
largest sum, over the process tree, of the proportional set size (proc(5), `Pss` in smaps_rollup: pages that several
processes share count once), sampled every 0.05 seconds; "reached at" is when it first came within 2 % of that, as a
share of the time. What is in the page cache only is not in it.
"""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from oi_tfrecord.explore.report.published_counts import PUBLISHED
from oi_tfrecord.records.sharding import SHARD_BYTES

from .generate_v3 import generate
from .make_images import SPLIT, make_release

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
SAMPLE_SECONDS = 0.05
IMAGE_BYTES = 300_000
"""Of an image of the joins, which have none: it decides only the number of their shards."""

JOINS = "0.1,0.3,1.0,1.0/32/319,0.1/8,0.3/8,1.0/8"
"""The default: as the tables grow, with fewer shards, and as they grow with small ranges."""

_BLOCK_MB = 32
_NEAR_PEAK = 0.98
_LOG_TAIL = 2000


@dataclasses.dataclass(frozen=True)
class MemoryRun:
    """What a command took.

    Attributes:
        seconds: from its start to its end.
        peak_bytes: largest proportional set of the process tree.
        near_peak_at: when it came within 2 % of that first, as a share of the run.
        out: its standard output.
    """

    seconds: float
    peak_bytes: int
    near_peak_at: float
    out: str


def process_tree(pid: int) -> list[int]:
    """Returns a process and its descendants that are alive."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                # The command in parentheses may itself hold spaces and parentheses.
                fields = pathlib.Path("/proc", name, "stat").read_text().rpartition(")")[2].split()
                children.setdefault(int(fields[1]), []).append(int(name))
    tree = [pid]
    for member in tree:
        tree += children.get(member, ())
    return tree


def proportional_bytes(pid: int) -> int:
    """Returns the proportional set size of a process, 0 if it has ended."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0


def run_sampled(
    command: Sequence[str],
    log_file: pathlib.Path,
    environment: Mapping[str, str],
    folder: pathlib.Path,
    sample_seconds: float | None = SAMPLE_SECONDS,
) -> MemoryRun:
    """Runs a command to its end and samples the memory of its process tree.

    Args:
        command: the program and its arguments.
        log_file: gets its standard error.
        environment: its environment variables.
        folder: where it runs.
        sample_seconds: between two samples; None takes one at the start only, as sampling costs time.

    Raises:
        RuntimeError: if it fails, with the end of its standard error.
    """
    samples: list[tuple[float, int]] = []
    with log_file.open("wb") as log, log_file.with_suffix(".out").open("w+b") as out:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=out, stderr=log, env=dict(environment), cwd=folder)
        try:
            while True:
                size = sum(map(proportional_bytes, process_tree(process.pid)))
                samples.append((time.perf_counter() - started, size))
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(sample_seconds)
                    break
            seconds = time.perf_counter() - started
        finally:
            process.kill()
        out.seek(0)
        printed = out.read().decode()
    if process.returncode:
        tail = log_file.read_text(errors="replace")[-_LOG_TAIL:]
        raise RuntimeError(f"exit code {process.returncode} of {' '.join(command)}\n{tail}")
    peak = max(size for _, size in samples)
    near = next(at for at, size in samples if size >= _NEAR_PEAK * peak)
    return MemoryRun(seconds, peak, near / seconds, printed)


def run_convert(
    flags: Mapping[str, object], work_dir: pathlib.Path, sample_seconds: float | None = SAMPLE_SECONDS
) -> MemoryRun:
    """Runs `oi-tfrecord convert` into a folder that is empty before and is removed again.

    Args:
        flags: of the command, but for `output_dir`.
        work_dir: where the output and the log go.
        sample_seconds: as in `run_sampled`.
    """
    output_dir = work_dir / "output"
    shutil.rmtree(output_dir, ignore_errors=True)
    given = [f"--{name}={value}" for name, value in ({"config": "v3"} | dict(flags)).items()]
    command = [sys.executable, "-m", "oi_tfrecord", "convert", *given, f"--output_dir={output_dir}"]
    try:
        return run_sampled(command, work_dir / "run.log", os.environ, REPOSITORY, sample_seconds)
    finally:
        shutil.rmtree(output_dir, ignore_errors=True)


def dry_run_flags(data_dir: pathlib.Path, num_shards: int) -> dict[str, object]:
    """Returns the flags of the join of all four tables of a split that has no images."""
    return {
        "split": SPLIT,
        "data_dir": data_dir,
        "images": "/no/images/{image_id}.jpg",
        "extra_keys": "machine_labels",
        "dry_run": "true",
        "num_shards": num_shards,
    }


def shards_of_scale(scale: float) -> int:
    """Returns how many shards of the size that `convert` plans the boxed images of a scale fill."""
    boxed_images = PUBLISHED["v3"][SPLIT].boxed_images or 0
    return max(round(boxed_images * scale * IMAGE_BYTES / SHARD_BYTES), 1)


def tables_of(scale: float, given: Mapping[float, pathlib.Path], work_dir: pathlib.Path) -> pathlib.Path:
    """Returns the folder of the tables of a scale: the given one, or one made in the work folder."""
    if scale in given:
        return given[scale]
    folder = work_dir / f"tables-{scale:g}"
    finished = folder / "finished"
    if not finished.exists():
        generate(folder, scale)
        finished.touch()
    return folder


def parse_data_dirs(text: str) -> dict[float, pathlib.Path]:
    """Parses `SCALE:FOLDER,...`."""
    pairs = [item.partition(":") for item in text.split(",") if item]
    return {float(scale): pathlib.Path(folder) for scale, _, folder in pairs}


@dataclasses.dataclass(frozen=True)
class Join:
    """Tables of a scale, the size of their ranges in MB, and the number of shards."""

    scale: float
    block_mb: int
    num_shards: int


def parse_joins(text: str) -> list[Join]:
    """Parses `SCALE[/MB[/SHARDS]],...`; by default ranges are as large as `convert` makes them, shards as planned."""
    joins = []
    for item in filter(None, text.split(",")):
        scale, *rest = item.split("/")
        block_mb = int(rest[0]) if rest else _BLOCK_MB
        joins.append(Join(float(scale), block_mb, int(rest[1]) if rest[1:] else shards_of_scale(float(scale))))
    return joins


def _row(what: str, block_mb: int, size: int, run: MemoryRun) -> str:
    cells = (
        what,
        f"{block_mb}",
        f"{size / 1e6:,.0f}",
        f"**{run.peak_bytes / 1e6:,.0f}**",
        f"{100 * run.near_peak_at:.0f} %",
        f"{run.seconds:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark and prints its table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work_dir", type=pathlib.Path, required=True, help="Keeps the inputs; outputs go there, too.")
    parser.add_argument("--joins", default=JOINS, help="SCALE[/CSV_BLOCK_MB[/NUM_SHARDS]],...; empty for none.")
    parser.add_argument("--data_dirs", default="", help="Tables that are there already, as SCALE:FOLDER,...")
    parser.add_argument("--images", default="1000,10000,40000", help="Of the conversions; empty for none.")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    work_dir = options.work_dir.resolve()
    work_dir.mkdir(parents=True, exist_ok=True)
    given = parse_data_dirs(options.data_dirs)
    print(
        f"{options.workers} workers; memory of all processes together\n\n"
        "| input | csv_block_mb | input MB | peak MB | reached at | seconds |\n"
        "|---|---|---|---|---|---|",
        flush=True,
    )
    for join in parse_joins(options.joins):
        folder = tables_of(join.scale, given, work_dir)
        size = sum(path.stat().st_size for path in (folder / SPLIT).iterdir())
        flags = dry_run_flags(folder, join.num_shards) | {"workers": options.workers, "csv_block_mb": join.block_mb}
        run = run_convert(flags, work_dir)
        print(_row(f"join, scale {join.scale:g}, {join.num_shards:,} shards", join.block_mb, size, run), flush=True)
    for images in map(int, filter(None, options.images.split(","))):
        release = work_dir / f"images-{images}"
        make_release(release, images)
        size = sum(path.stat().st_size for path in (release / "images" / SPLIT).iterdir())
        flags = {
            "split": SPLIT,
            "data_dir": release / "2017_11",
            "images": release / "images" / "{split}" / "{image_id}.jpg",
            "workers": options.workers,
        }
        run = run_convert(flags, work_dir)
        print(_row(f"conversion, {images:,} images", _BLOCK_MB, size, run), flush=True)


if __name__ == "__main__":
    main()
