"""Measures what a second worker is worth, and how long a conversion takes to its first record.

    python -m tests.benchmarks.scaling --work_dir=/tmp/scaling --images=10000

Converts images of `make_images` with one worker and with more of them, in turn, whole processes from start to end,
after one unmeasured round. The first record is there when the first shard file, under its temporary name, has a byte;
the stage of the images is from there until the last shard has its name. Prints one table in Markdown.
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

from oi_tfrecord.records.shard_names import parse_shard_file

from .make_images import SPLIT, make_release
from .paired import pair_ratios, run_in_turn, spread

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.01


@dataclasses.dataclass(frozen=True)
class Timed:
    """Seconds from the start of the command to its first record, to its last shard, and to its end."""

    first_record: float
    last_shard: float
    end: float

    @property
    def images(self) -> float:
        """Seconds of the stage of the images."""
        return self.last_shard - self.first_record


def convert(
    release: pathlib.Path, workers: int, flags: Sequence[str], work_dir: pathlib.Path, output_dir: pathlib.Path
) -> Timed:
    """Runs `oi-tfrecord convert` on a release of `make_images`.

    Args:
        release: the input.
        workers: of the conversion.
        flags: further flags.
        work_dir: where the log goes.
        output_dir: where the output goes.

    Raises:
        RuntimeError: if it fails.
    """
    command = [
        sys.executable, "-m", "oi_tfrecord", "convert", "--config=v3", f"--split={SPLIT}",
        f"--data_dir={release / '2017_11'}", f"--images={release}/images/{{split}}/{{image_id}}.jpg",
        f"--output_dir={output_dir}", f"--workers={workers}", *flags,
    ]  # fmt: skip
    first_record = last_shard = 0.0
    with (work_dir / "run.log").open("wb") as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=REPOSITORY, stdout=log, stderr=log)
        while process.poll() is None:
            if not first_record and _has_record(output_dir):
                first_record = time.perf_counter() - started
            elif first_record and not last_shard and _has_all_shards(output_dir):
                last_shard = time.perf_counter() - started
            time.sleep(POLL_SECONDS)
        end = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}; see {work_dir / 'run.log'}")
    return Timed(first_record or end, last_shard or end, end)


def _has_record(output_dir: pathlib.Path) -> bool:
    temporary = output_dir / f".oi_tfrecord-{SPLIT}" / "temporary"
    try:
        return any(entry.stat().st_size for entry in os.scandir(temporary) if ".tfrecord-" in entry.name)
    except FileNotFoundError:
        # It is made late, and files in it are renamed.
        return False


def _has_all_shards(output_dir: pathlib.Path) -> bool:
    found = [place for entry in os.scandir(output_dir) if (place := parse_shard_file(entry.name))]
    return bool(found) and len(found) == found[0][2]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark and prints its table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work_dir", type=pathlib.Path, required=True, help="Keeps the input; output goes there, too.")
    parser.add_argument("--output_dir", type=pathlib.Path, help="For the output, as in memory, where no disk slows it.")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--release", type=pathlib.Path, help="Images of make_images that are there already.")
    parser.add_argument("--workers", default="1,2", help="Numbers of workers; the others are held against the first.")
    parser.add_argument("--modes", default="copy,verify", help="Values of --image_mode.")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args(arguments)
    work_dir = options.work_dir.resolve()
    work_dir.mkdir(parents=True, exist_ok=True)
    release = (options.release or work_dir / f"images-{options.images}").resolve()
    make_release(release, options.images)
    paths = list((release / "images" / SPLIT).iterdir())
    size = sum(len(path.read_bytes()) for path in paths)
    output_dir = options.output_dir or work_dir / "output"

    def clear() -> None:
        # What the run before wrote must not be written to the disk in the time of the next one.
        shutil.rmtree(output_dir, ignore_errors=True)
        os.sync()

    print(
        f"{len(paths):,} JPEGs, {size / 1e6:,.0f} MB, page cache warm, {os.cpu_count()} processors, "
        f"{options.pairs} rounds in turn\n\n"
        "| image_mode | workers | seconds: median (range) | images/s | first record, s: median (range) "
        "| images, s: median (range) | times as fast, all: median of pairs (range) | images |\n"
        "|---|---|---|---|---|---|---|---|",
        flush=True,
    )
    for mode in options.modes.split(","):
        programs = {
            count: lambda mode=mode, count=count: convert(
                release, int(count), [f"--image_mode={mode}"], work_dir, output_dir
            )
            for count in options.workers.split(",")
        }
        run_in_turn(programs, 1, clear)
        results = run_in_turn(programs, options.pairs, clear)
        base = next(iter(results.values()))
        for count, runs in results.items():
            end, first = spread([run.end for run in runs]), spread([run.first_record for run in runs])
            images = spread([run.images for run in runs])
            ratio = spread(pair_ratios([run.end for run in base], [run.end for run in runs]))
            image_ratio = spread(pair_ratios([run.images for run in base], [run.images for run in runs]))
            cells = (
                mode,
                count,
                f"{end.median:.2f} ({end.least:.2f} to {end.most:.2f})",
                f"{len(paths) / end.median:,.0f}",
                f"{first.median:.2f} ({first.least:.2f} to {first.most:.2f})",
                f"{images.median:.2f} ({images.least:.2f} to {images.most:.2f})",
                f"**{ratio.median:.2f}** ({ratio.least:.2f} to {ratio.most:.2f})",
                f"**{image_ratio.median:.2f}** ({image_ratio.least:.2f} to {image_ratio.most:.2f})",
            )
            print(f"| {' | '.join(cells)} |", flush=True)
    clear()


if __name__ == "__main__":
    main()
