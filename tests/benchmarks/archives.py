"""Measures conversions of images in archives against the conversion of the same images in files.

    python -m tests.benchmarks.archives --images=2000 --work_dir=/tmp/archives

Makes the input once (about 235 KB an image, four times: files, tar, zip, tar.gz), then runs the command on each in
turn. Prints the ratio of each rate to that of the files, and for the tar.gz what one pass that only inflates it takes.
"""

import argparse
import functools
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Sequence

from .make_images import make_release
from .paired import pair_ratios, run_in_turn, spread
from .usage import Usage, run_measured

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
FILES, TAR, ZIP, TAR_GZ = "files", "tar", "zip (stored)", "tar.gz"
INFLATE = "inflate the tar.gz once"


def make_archives(release: pathlib.Path) -> dict[str, pathlib.Path]:
    """Packs the images of a release, each kind once, and returns the archives by their kind."""
    images = sorted((release / "images" / "train").glob("*.jpg"))
    archives = {TAR: release / "train.tar", ZIP: release / "train.zip", TAR_GZ: release / "train.tar.gz"}
    if not archives[TAR].exists():
        with tarfile.open(release / "part", "w") as tar:
            for path in images:
                tar.add(path, f"train/{path.name}")
        (release / "part").rename(archives[TAR])
    if not archives[ZIP].exists():
        with zipfile.ZipFile(release / "part", "w", zipfile.ZIP_STORED) as zipped:
            for path in images:
                zipped.write(path, f"train/{path.name}")
        (release / "part").rename(archives[ZIP])
    if not archives[TAR_GZ].exists():
        with open(release / "part", "wb") as part:
            subprocess.run(["gzip", "-c", str(archives[TAR])], stdout=part, check=True)
        (release / "part").rename(archives[TAR_GZ])
    return archives


def _convert(release: pathlib.Path, output_dir: pathlib.Path, log: pathlib.Path, *flags: str) -> Usage:
    command = (
        sys.executable,
        "-m",
        "oi_tfrecord",
        "convert",
        "--config=v3",
        "--split=train",
        f"--data_dir={release / '2017_11'}",
        f"--output_dir={output_dir}",
        "--num_shards=8",
        *flags,
    )
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return run_measured(command, log, environment, REPOSITORY)


def _inflate(path: pathlib.Path) -> Usage:
    begun, cpu = time.perf_counter(), time.process_time()
    stream = zlib.decompressobj(31)
    with open(path, "rb") as file:
        while chunk := file.read(1 << 20):
            stream.decompress(chunk)
    return Usage(time.perf_counter() - begun, time.process_time() - cpu, 0, "")


def _sha256(path: pathlib.Path) -> str:
    # Not all bytes at once: a program that is started is counted with what its starter held.
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark and prints its table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=5, help="Rounds of the comparison.")
    parser.add_argument("--work_dir", type=pathlib.Path, required=True, help="Keeps the input; 5 times its size.")
    options = parser.parse_args(arguments)
    release = options.work_dir.resolve() / f"release-{options.images}"
    output_dir = options.work_dir.resolve() / "output"
    make_release(release, options.images)
    archives = make_archives(release)
    run = functools.partial(_convert, release, output_dir, options.work_dir / "run.log")
    programs: dict[str, Callable[[], Usage]] = {
        FILES: functools.partial(run, f"--images={release}/images/{{split}}/{{image_id}}.jpg"),
        **{kind: functools.partial(run, f"--archives={path}") for kind, path in archives.items()},
        INFLATE: functools.partial(_inflate, archives[TAR_GZ]),
    }

    def clear() -> None:
        shutil.rmtree(output_dir, ignore_errors=True)
        os.sync()

    # Unmeasured: reads the input into the page cache, and checks that all kinds give the same.
    expected: list[str] = []
    for name, program in programs.items():
        clear()
        program()
        written = [_sha256(path) for path in sorted(output_dir.glob("*.tfrecord-*"))]
        expected = expected or written
        if name != INFLATE and (not written or written != expected):
            raise RuntimeError(f"the records from {name} differ from those from {FILES}")
    usages = run_in_turn(programs, options.pairs, clear)
    clear()
    own = [usage.seconds for usage in usages[FILES]]
    print(f"{options.images:,} images, page cache warm, {os.cpu_count()} processors, {options.pairs} runs in turn\n")
    print("| images from | seconds: median (range) | CPU s | peak MB | rate / rate of files: median of pairs (range) |")
    print("|---|---|---|---|---|")
    for name, runs in usages.items():
        seconds, ratio = spread([usage.seconds for usage in runs]), spread(pair_ratios(own, [u.seconds for u in runs]))
        cells = [
            name,
            f"{seconds.median:.2f} ({seconds.least:.2f} to {seconds.most:.2f})",
            f"{spread([usage.cpu_seconds for usage in runs]).median:.2f}",
            f"{max(usage.peak_bytes for usage in runs) / 1e6:,.0f}" if name != INFLATE else "",
            f"**{ratio.median:.2f}** ({ratio.least:.2f} to {ratio.most:.2f})" if name not in (FILES, INFLATE) else "",
        ]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
