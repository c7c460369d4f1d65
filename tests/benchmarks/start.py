"""Processor time of commands on a few images: what a command costs before and after its work.

`python -m tests.benchmarks.start --work_dir=/tmp/start [--python=VENV/bin/python] [--rounds=5]`
"""

import argparse
import pathlib
import shutil
import statistics
import subprocess
import sys

from oi_tfrecord.openimages.demo.release import generate

ROOT = pathlib.Path(__file__).resolve().parents[2]

FIRST_ROWS = "until the first rows are written"

PROGRAM = """
import os, sys, time
seen = []
def note(event, arguments):
    if event == "open" and not seen and "/shuffle/" in str(arguments[0]):
        seen.append(time.process_time())
sys.addaudithook(note)
from oi_tfrecord.cli.main import main
code = main()
print(*seen, file=sys.stderr)
sys.exit(code)
"""
"""Runs a command, and prints the processor time at which it opens its first file of the shuffle."""


def commands(folder: pathlib.Path) -> dict[str, list[str]]:
    """Returns the command lines by name, in an order in which each finds its input."""
    data, out = folder / "sample", str(folder / "out")
    convert = [
        "convert", f"--config={ROOT / 'configs' / 'v3.yaml'}", "--split=train", f"--data_dir={data / '2017_11'}",
        f"--images={data / 'images'}/{{split}}/{{image_id}}.jpg", f"--output_dir={out}", "--num_shards=3",
    ]  # fmt: skip
    return {
        "convert": [*convert, "--overwrite"],
        "verify": ["verify", out],
        "show": ["show", out],
        "--help": ["--help"],
        "convert --hlep": ["convert", "--hlep"],
    }


def measure(python: str, arguments: list[str]) -> dict[str, float]:
    """Returns the processor seconds of a command until its first rows and to its end; user and system time."""
    program = (
        "import resource, subprocess, sys\n"
        "done = subprocess.run(sys.argv[1:], capture_output=True, text=True)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime, *done.stderr.split()[-1:])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, python, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True
    )
    whole, *last = done.stdout.split()
    found = {"whole": float(whole)}
    if arguments[0] == "convert" and last and last[0].replace(".", "").isdigit():
        found[FIRST_ROWS] = float(last[0])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work_dir", type=pathlib.Path, required=True)
    parser.add_argument("--python", default=sys.executable, help="Python of the installation to measure")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    shutil.rmtree(arguments.work_dir, ignore_errors=True)
    generate(arguments.work_dir / "sample")
    times: dict[tuple[str, str], list[float]] = {}
    # The first round compiles modules.
    for number in range(arguments.rounds + 1):
        for name, command in commands(arguments.work_dir).items():
            for part, seconds in measure(arguments.python, command).items():
                times.setdefault((name, part), []).extend([seconds] if number else [])
    print("| command | part | processor seconds: median (range) |\n|---|---|---|")
    for (name, part), seconds in times.items():
        print(f"| `{name}` | {part} | {statistics.median(seconds):.2f} ({min(seconds):.2f} to {max(seconds):.2f}) |")


if __name__ == "__main__":
    main()
