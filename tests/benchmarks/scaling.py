"""Measures what the second core and a second worker are worth, and how long a conversion takes to its first record.

    python -m tests.benchmarks.scaling --work_dir=/tmp/scaling --images=10000

Converts images of `make_images` with one worker that is kept to one core, with one worker, and with more of them, in
turn, start-up included, after one unmeasured round. A worker is a process, whose threads may use every core.
The first record is there when the first shard file, under its temporary name, has a byte. Prints one table in Markdown.
"""

import argparse
import dataclasses
import os
import pathlib
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

from .make_images import SPLIT, make_release
from .paired import pair_ratios, run_in_turn, spread

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.01


@dataclasses.dataclass(frozen=True)
class Timed:
    """Seconds from the start of the command to its first record, and to its end."""

    first_record: float
    end: float


def convert(
    release: pathlib.Path, workers: int, flags: Sequence[str], work_dir: pathlib.Path, cores: frozenset[int]
) -> Timed:
    """Runs `oi-tfrecord convert` on a release of `make_images`.

    Args:
      release: the input.
      workers: processes.
      flags: further flags.
      work_dir: where the output and the log go.
      cores: numbers of the processors that it may run on.

    Raises:
      RuntimeError: if it fails.
    """
    output_dir = work_dir / "output"
    command = [
        sys.executable, "-m", "pipelines.convert", "--config=v3", f"--split={SPLIT}",
        f"--data_dir={release / '2017_11'}", f"--images={release}/images/{{split}}/{{image_id}}.jpg",
        f"--output_dir={output_dir}", f"--workers={workers}", *flags,
    ]  # fmt: skip
    first_record = 0.0
    with (work_dir / "run.log").open("wb") as log:
        started = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=REPOSITORY, stdout=log, stderr=log, preexec_fn=lambda: os.sched_setaffinity(0, cores)
        )
        while process.poll() is None:
            if not first_record and _has_record(output_dir):
                first_record = time.perf_counter() - started
            if first_record:
                process.wait()
            else:
                time.sleep(POLL_SECONDS)
        end = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}; see {work_dir / 'run.log'}")
    return Timed(first_record or end, end)


def _has_record(output_dir: pathlib.Path) -> bool:
    temporary = output_dir / f".oi_tfrecord-{SPLIT}" / "temporary"
    try:
        return any(entry.stat().st_size for entry in os.scandir(temporary) if ".tfrecord-" in entry.name)
    except FileNotFoundError:
        # It is made late, and files in it are renamed.
        return False


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark and prints its table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work_dir", type=pathlib.Path, required=True, help="Keeps the input; output goes there, too.")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--release", type=pathlib.Path, help="Images of make_images that are there already.")
    parser.add_argument("--workers", default="1,2", help="Numbers of workers to compare with one on one core.")
    parser.add_argument("--modes", default="copy,verify", help="Values of --image_mode.")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args(arguments)
    work_dir = options.work_dir.resolve()
    work_dir.mkdir(parents=True, exist_ok=True)
    release = (options.release or work_dir / f"images-{options.images}").resolve()
    make_release(release, options.images)
    paths = list((release / "images" / SPLIT).iterdir())
    size = sum(len(path.read_bytes()) for path in paths)
    every_core = frozenset(os.sched_getaffinity(0))
    runs_of = {"1, on one core": (1, frozenset({min(every_core)}))}
    runs_of |= {text: (int(text), every_core) for text in options.workers.split(",")}

    def clear() -> None:
        # What the run before wrote must not be written to the disk in the time of the next one.
        shutil.rmtree(work_dir / "output", ignore_errors=True)
        os.sync()

    print(
        f"{len(paths):,} JPEGs, {size / 1e6:,.0f} MB, page cache warm, {len(every_core)} processors, "
        f"{options.pairs} rounds in turn\n\n"
        "| image_mode | workers | seconds: median (range) | images/s | first record, s: median (range) | "
        "times as fast as on one core: median of pairs (range) |\n|---|---|---|---|---|---|",
        flush=True,
    )
    for mode in options.modes.split(","):
        programs = {
            name: lambda mode=mode, count=count, cores=cores: convert(
                release, count, [f"--image_mode={mode}"], work_dir, cores
            )
            for name, (count, cores) in runs_of.items()
        }
        run_in_turn(programs, 1, clear)
        results = run_in_turn(programs, options.pairs, clear)
        base = [run.end for run in next(iter(results.values()))]
        for count, runs in results.items():
            end, first = spread([run.end for run in runs]), spread([run.first_record for run in runs])
            ratio = spread(pair_ratios(base, [run.end for run in runs]))
            cells = (
                mode,
                count,
                f"{end.median:.2f} ({end.least:.2f} to {end.most:.2f})",
                f"{len(paths) / end.median:,.0f}",
                f"{first.median:.2f} ({first.least:.2f} to {first.most:.2f})",
                f"**{ratio.median:.2f}** ({ratio.least:.2f} to {ratio.most:.2f})",
            )
            print(f"| {' | '.join(cells)} |", flush=True)
    clear()


if __name__ == "__main__":
    main()
