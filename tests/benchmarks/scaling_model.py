"""Compares the time that `--dry_run --workers=N` predicts with that of whole conversions, and extrapolates.

    python -m tests.benchmarks.scaling_model --work_dir=/tmp/scaling --images=10000

For each number of workers a dry run and a conversion of images of `make_images` take turns, whole processes from start
to end, after one unmeasured conversion. The last table is what the dry run says of more workers. Prints Markdown.
"""

import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence

from .make_images import SPLIT, make_release
from .paired import spread

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]


def run(release: pathlib.Path, output_dir: pathlib.Path, *flags: str) -> tuple[float, str]:
    """Runs `oi-tfrecord convert` on a release of `make_images`; returns its seconds and what it printed.

    Raises:
        RuntimeError: if it fails.
    """
    command = [
        sys.executable, "-m", "oi_tfrecord", "convert", "--config=v3", f"--split={SPLIT}",
        f"--data_dir={release / '2017_11'}", f"--images={release}/images/{{split}}/{{image_id}}.jpg",
        f"--output_dir={output_dir}", *flags,
    ]  # fmt: skip
    started = time.perf_counter()
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return time.perf_counter() - started, done.stdout


def predicted_seconds(text: str) -> float:
    """Returns the seconds that a dry run printed."""
    found = re.search(r"^time +about ([\d,.]+) s", text, re.M)
    if found is None:
        raise RuntimeError(f"the dry run printed no time: {text}")
    return float(found[1].replace(",", ""))


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark and prints its tables in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work_dir", type=pathlib.Path, required=True, help="Keeps the input; output goes there, too.")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--release", type=pathlib.Path, help="Images of make_images that are there already.")
    parser.add_argument("--workers", default="1,2,4")
    parser.add_argument("--cluster", default="10,100", help="Numbers of workers to extrapolate to.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--image_mode", default="copy")
    options = parser.parse_args(arguments)
    work_dir = options.work_dir.resolve()
    work_dir.mkdir(parents=True, exist_ok=True)
    release = (options.release or work_dir / f"images-{options.images}").resolve()
    make_release(release, options.images)
    output_dir = work_dir / "output"
    counts = [int(text) for text in options.workers.split(",")]
    mode = f"--image_mode={options.image_mode}"

    def clear() -> None:
        shutil.rmtree(output_dir, ignore_errors=True)
        os.sync()

    clear()
    run(release, output_dir, "--workers=1", mode)
    measured: dict[int, list[float]] = {count: [] for count in counts}
    predicted: dict[int, list[float]] = {count: [] for count in counts}
    for _ in range(options.rounds):
        for count in counts:
            clear()
            _, text = run(release, output_dir, "--dry_run", f"--workers={count}", mode)
            predicted[count].append(predicted_seconds(text))
            clear()
            measured[count].append(run(release, output_dir, f"--workers={count}", mode)[0])
    print(
        f"{options.images:,} images, {mode}, {os.cpu_count()} cores, {options.rounds} rounds\n\n"
        "| workers | measured, s: median (range) | predicted, s: median (range) | predicted / measured |\n"
        "|---|---|---|---|"
    )
    for count in counts:
        real, model = spread(measured[count]), spread(predicted[count])
        print(
            f"| {count} | {real.median:.1f} ({real.least:.1f} to {real.most:.1f}) "
            f"| {model.median:.1f} ({model.least:.1f} to {model.most:.1f}) | **{model.median / real.median:.2f}** |"
        )
    print("\n| workers with a core each | what the dry run says |\n|---|---|")
    for text in options.cluster.split(","):
        clear()
        _, printed = run(release, output_dir, "--dry_run", f"--workers={text}", mode)
        print(f"| {text} | {next(line for line in printed.splitlines() if line.startswith('time'))[11:]} |")
    clear()


if __name__ == "__main__":
    main()
