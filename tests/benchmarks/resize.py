"""Measures the shard-writing stage with `--image_mode=resize` against a bare Pillow loop on each core.

    python -m tests.benchmarks.resize --images=800 --work_dir=/tmp/resize

Both run in as many processes as there are cores, in turn, each process on its share of the same JPEGs (those of
`make_images`); the clock runs from when all processes are ready to when the last is done. The bare loop reads a file,
decodes it (`draft`), scales it with the same filter to the same size, encodes it with the same settings and
writes it to a file: no check, no checksum, no record. Prints one line per program and the ratio of their rates.
"""

import argparse
import dataclasses
import functools
import io
import multiprocessing
import multiprocessing.synchronize
import os
import pathlib
import shutil
import time
from collections.abc import Callable, Sequence

from PIL import Image

from oi_tfrecord.conversion.planning.plan import make_plan
from oi_tfrecord.conversion.shard import convert_shard
from oi_tfrecord.conversion.write_shards import read_batches
from oi_tfrecord.dataset.output_state import prepare_output
from oi_tfrecord.images.encode import fit_size
from oi_tfrecord.settings.yaml_file import find_config, load_config

from .make_images import SPLIT, make_release
from .paired import pair_ratios, run_in_turn, spread
from .shard_loops import batches_by_shard, convert_flags

STAGE, BARE = "shard-writing stage", "bare Pillow loop"
_START_SECONDS = 120


@dataclasses.dataclass(frozen=True)
class Settings:
    """How images are scaled and encoded; the names are those of the flags."""

    max_side: int
    pixel_budget: int
    jpeg_quality: int
    chroma: str


Loop = Callable[[], object]


def make_stage(release: pathlib.Path, output_dir: pathlib.Path, settings: Settings, part: int, parts: int) -> Loop:
    """Returns the conversion of every `parts`-th shard, its rows prepared."""
    config_file = find_config("v3")
    flags = convert_flags(release, output_dir, 4 * parts) | {"num_shards": 4 * parts, "image_mode": "resize"}
    config = load_config(config_file.read_text(encoding="utf-8"), str(config_file), flags | vars(settings))
    plan = make_plan(config)
    batches, label_map, job = batches_by_shard(plan), plan.classes.make_label_map({}), plan.shard_job()

    def run() -> None:
        for shard in range(part, job.num_shards, parts):
            convert_shard(job, shard, functools.partial(read_batches, batches[shard]), label_map)

    if part == 0:
        prepare_output(plan.target)
    return run


def make_bare(release: pathlib.Path, output_dir: pathlib.Path, settings: Settings, part: int, parts: int) -> Loop:
    """Returns the bare loop over every `parts`-th image."""
    paths = sorted((release / "images" / SPLIT).glob("*.jpg"))[part::parts]

    def run() -> None:
        with open(output_dir / f"part-{part}", "wb") as out:
            for path in paths:
                picture: Image.Image = Image.open(io.BytesIO(path.read_bytes()))
                size = fit_size(*picture.size, settings.max_side, settings.pixel_budget)
                picture.draft(None, size)
                scaled = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
                buffer = io.BytesIO()
                scaled.save(buffer, "JPEG", quality=settings.jpeg_quality, subsampling=settings.chroma)
                out.write(buffer.getvalue())

    return run


def _work(
    make: Callable[[int], Loop],
    part: int,
    ready: multiprocessing.synchronize.Barrier,
    ends: "multiprocessing.Queue[tuple[float, float]]",
) -> None:
    loop = make(part)
    ready.wait(_START_SECONDS)
    used = time.process_time()
    loop()
    # The clock is the same for all processes of a machine.
    ends.put((time.monotonic(), time.process_time() - used))


def time_loops(make: Callable[[int], Loop], parts: int) -> tuple[float, float]:
    """Runs a loop in `parts` processes at once.

    Returns:
        (seconds from when all are ready to when all are done, processor seconds together).
    """
    context = multiprocessing.get_context("spawn")
    ready, ends = context.Barrier(parts + 1), context.Queue()
    processes = [context.Process(target=_work, args=(make, part, ready, ends)) for part in range(parts)]
    for process in processes:
        process.start()
    ready.wait(_START_SECONDS)
    started = time.monotonic()
    done = [ends.get(timeout=_START_SECONDS) for _ in processes]
    for process in processes:
        process.join()
    return max(end for end, _ in done) - started, sum(used for _, used in done)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark and prints its result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=800)
    parser.add_argument("--pairs", type=int, default=5, help="Rounds.")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--max_side", type=int, default=0)
    parser.add_argument("--pixel_budget", type=int, default=300_000)
    parser.add_argument("--jpeg_quality", type=int, default=90)
    parser.add_argument("--chroma", default="4:2:0")
    parser.add_argument("--work_dir", type=pathlib.Path, required=True, help="Keeps the input.")
    options = parser.parse_args(arguments)
    release, output_dir = options.work_dir / f"release-{options.images}", options.work_dir / "output"
    make_release(release, options.images)
    settings = Settings(options.max_side, options.pixel_budget, options.jpeg_quality, options.chroma)

    def clear() -> None:
        shutil.rmtree(output_dir, ignore_errors=True)
        output_dir.mkdir(parents=True)
        os.sync()

    programs = {
        name: functools.partial(
            time_loops,
            functools.partial(make, release, output_dir, settings, parts=options.processes),
            options.processes,
        )
        for name, make in ((STAGE, make_stage), (BARE, make_bare))
    }
    run_in_turn(programs, 1, clear)
    results = run_in_turn(programs, options.pairs, clear)
    seconds = {name: [taken for taken, _ in runs] for name, runs in results.items()}
    for name, runs in results.items():
        of = spread(seconds[name])
        print(
            f"{name}: {of.median:.2f} s ({of.least:.2f} to {of.most:.2f}), {options.images / of.median:,.0f} images/s, "
            f"CPU {spread([used for _, used in runs]).median:.2f} s"
        )
    ratio = spread(pair_ratios(seconds[BARE], seconds[STAGE]))
    print(f"our rate / its rate: {ratio.median:.2f} ({ratio.least:.2f} to {ratio.most:.2f}), {options.pairs} pairs")


if __name__ == "__main__":
    main()
