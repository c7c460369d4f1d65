"""Measures a conversion of images against the Object Detection API's converter and against a bare copying loop.

    python -m tests.benchmarks.image_stage --images=4000 --work_dir=/tmp/image_stage

Makes the input once (about 235 KB an image, kept in the work folder), then runs in turn, each in a process of its own:
the whole command against the API's `create_oid_tf_record`, and the shard-writing stage against the bare loops of
`shard_loops`. Prints one table. README.md beside this file says what is timed.
"""

import argparse
import functools
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence

from oi_tfrecord.framing import read_records

from .paired import pair_ratios, run_in_turn, spread
from .usage import Usage, run_measured

BENCHMARKS = pathlib.Path(__file__).resolve().parent
REPOSITORY = BENCHMARKS.parents[1]
PEERS = REPOSITORY / "tests" / "peers"
SPLIT = "train"

COMMAND, CREATOR = "`oi-tfrecord convert`", "`create_oid_tf_record`"
CREATOR_NATIVE = f"{CREATOR}, native protobuf"
STAGE, BARE, BARE_SHA256 = "shard-writing stage", "bare loop", "bare loop with both SHA-256"

_OUR_PACKAGES = ("apache-beam", "google-crc32c", "numpy", "pyarrow")
_PEER_PACKAGES = ("tf-models-research-object-detection", "tensorflow", "protobuf", "pandas", "numpy")
_PRINT_VERSIONS = (
    "import importlib.metadata, platform, sys\n"
    "print('Python', platform.python_version(), *[f'{n} {importlib.metadata.version(n)}' for n in sys.argv[1:]],"
    " sep=', ')"
)


class Bench:
    """The programs of the benchmark, on one input."""

    def __init__(self, work_dir: pathlib.Path, images: int, num_shards: int, peer_python: str):
        """Args:
        work_dir: keeps the input; outputs and logs go there, too.
        images: number of JPEGs.
        num_shards: number of files that each program writes.
        peer_python: of the environment that tests/peers/install.sh makes.
        """
        self._images = images
        self._num_shards = num_shards
        self._peer_python = peer_python
        self._work_dir = work_dir
        self.release = work_dir / f"release-{images}"
        self.output_dir = work_dir / "output"
        self._label_map = work_dir / "label_map.pbtxt"

    def make_input(self) -> int:
        """Makes the input if it is not there, reads it into the page cache, returns the bytes of its JPEGs."""
        self._run_module("make_images", f"--output_dir={self.release}", f"--images={self._images}")
        for path in self.release.rglob("*.csv"):
            path.read_bytes()
        return sum(len(path.read_bytes()) for path in (self.release / "images").rglob("*.jpg"))

    def clear(self) -> None:
        """Removes the output of the run before, and waits for the disk: its writing is not the next run's."""
        shutil.rmtree(self.output_dir, ignore_errors=True)
        self.output_dir.mkdir()
        os.sync()

    def check_all(self) -> None:
        """Runs each program once, unmeasured, and checks that it wrote a record for each image.

        Raises:
          RuntimeError: if one did not.
        """
        for name, program in (self.whole_programs() | self.stage_programs()).items():
            self.clear()
            program()
            found = sum(map(_count_records, self.output_dir.glob("*.tfrecord-*")))
            if found != self._images:
                raise RuntimeError(f"{name} wrote {found} records of {self._images} images")

    def whole_programs(self) -> dict[str, Callable[[], Usage]]:
        """Returns the programs that convert from start to end."""
        return {
            COMMAND: self._command,
            CREATOR: functools.partial(self._creator, PEERS / "create_oid.py"),
            CREATOR_NATIVE: functools.partial(self._creator, BENCHMARKS / "creator_native.py"),
        }

    def stage_programs(self) -> dict[str, Callable[[], Usage]]:
        """Returns the programs that write shards only."""
        return {
            STAGE: functools.partial(self._loop, "stage"),
            BARE: functools.partial(self._loop, "bare"),
            BARE_SHA256: functools.partial(self._loop, "bare_sha256"),
        }

    def _command(self) -> Usage:
        flags = (
            "--config=v3",
            f"--split={SPLIT}",
            f"--data_dir={self.release / '2017_11'}",
            f"--images={self.release}/images/{{split}}/{{image_id}}.jpg",
            f"--output_dir={self.output_dir}",
            f"--num_shards={self._num_shards}",
        )
        usage = self._run(sys.executable, "-m", "pipelines.convert", *flags)
        shutil.copy(self.output_dir / self._label_map.name, self._label_map)
        return usage

    def _creator(self, script: pathlib.Path) -> Usage:
        tables = self.release / "2017_11" / SPLIT
        return self._run(
            self._peer_python,
            str(script),
            f"--input_box_annotations_csv={tables / 'annotations-human-bbox.csv'}",
            f"--input_image_label_annotations_csv={tables / 'annotations-human.csv'}",
            f"--input_images_directory={self.release / 'images' / SPLIT}",
            f"--input_label_map={self._label_map}",
            f"--output_tf_record_path_prefix={self.output_dir / SPLIT}.tfrecord",
            f"--num_shards={self._num_shards}",
        )

    def _loop(self, loop: str) -> Usage:
        arguments = (f"--release={self.release}", f"--output_dir={self.output_dir}", f"--num_shards={self._num_shards}")
        usage = self._run_module("shard_loops", loop, *arguments)
        measured = json.loads(usage.out)
        return Usage(measured["seconds"], measured["cpu_seconds"], usage.peak_bytes, usage.out)

    def _run_module(self, module: str, *arguments: str) -> Usage:
        return self._run(sys.executable, "-m", f"tests.benchmarks.{module}", *arguments)

    def _run(self, *command: str) -> Usage:
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return run_measured(command, self._work_dir / "run.log", environment, REPOSITORY)


def _count_records(path: pathlib.Path) -> int:
    with open(path, "rb") as stream:
        return sum(1 for _ in read_records(stream))


def format_rows(usages: dict[str, list[Usage]], images: int, image_bytes: int) -> list[str]:
    """Returns the rows of the table: the first program's, then of each other with the first's ratio to it.

    Args:
      usages: program to its runs, by round.
      images: number of images of a run.
      image_bytes: their size together.
    """
    first = next(iter(usages))
    own_seconds = [usage.seconds for usage in usages[first]]
    rows = []
    for name, runs in usages.items():
        all_seconds = [usage.seconds for usage in runs]
        seconds = spread(all_seconds)
        # Both wrote the same images, so the ratio of rates is that of times, turned over.
        ratio = spread(pair_ratios(all_seconds, own_seconds))
        cells = [
            name,
            f"{seconds.median:.2f} ({seconds.least:.2f} to {seconds.most:.2f})",
            f"{images / seconds.median:,.0f}",
            f"{image_bytes / seconds.median / 1e6:,.0f}",
            f"{spread([usage.cpu_seconds for usage in runs]).median:.2f}",
            f"{max(usage.peak_bytes for usage in runs) / 1e6:,.0f}",
            "" if name == first else f"**{ratio.median:.2f}** ({ratio.least:.2f} to {ratio.most:.2f})",
        ]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def _versions(python: str, packages: Sequence[str]) -> str:
    done = subprocess.run([python, "-c", _PRINT_VERSIONS, *packages], check=True, capture_output=True, text=True)
    return done.stdout.strip().replace("Python, ", "Python ")


def _peer_python(given: str) -> str:
    if given:
        return given
    command = [str(PEERS / "install.sh"), str(REPOSITORY / ".venv-peers"), sys.executable]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip().splitlines()[-1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark and prints its table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--pairs", type=int, default=5, help="Rounds of each comparison.")
    parser.add_argument("--num_shards", type=int, default=8)
    parser.add_argument("--work_dir", type=pathlib.Path, required=True, help="Keeps the input; 2.5 times its size.")
    parser.add_argument("--peer_python", default="", help="Made by tests/peers/install.sh, which runs without it.")
    options = parser.parse_args(arguments)
    options.work_dir.mkdir(parents=True, exist_ok=True)
    peer_python = _peer_python(options.peer_python)
    bench = Bench(options.work_dir.resolve(), options.images, options.num_shards, peer_python)
    image_bytes = bench.make_input()
    bench.check_all()
    rows = []
    for programs in (bench.whole_programs(), bench.stage_programs()):
        usages = run_in_turn(programs, options.pairs, bench.clear)
        rows += format_rows(usages, options.images, image_bytes)
    shutil.rmtree(bench.output_dir)
    print(
        f"{options.images:,} JPEGs, {image_bytes / 1e6:,.0f} MB, {options.num_shards} shards, page cache warm, "
        f"{os.cpu_count()} processors ({platform.machine()}), {options.pairs} runs of each in turn\n\n"
        "| program | seconds: median (range) | images/s | MB/s | CPU s | peak MB | "
        "our rate / its rate: median of pairs (range) |\n|---|---|---|---|---|---|---|"
    )
    print("\n".join(rows))
    print(f"\nOurs: {_versions(sys.executable, _OUR_PACKAGES)}.")
    print(f"The creator's: {_versions(peer_python, _PEER_PACKAGES)}.")


if __name__ == "__main__":
    main()
