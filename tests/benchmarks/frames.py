"""Measures `RecordDataset.to_pandas` from records against a loop that only reads and parses them.

    python -m tests.benchmarks.frames --output_dir=DIR --split=train

Each in a process of its own, in turn, after one unmeasured round; processor time without imports. DIR is a finished
conversion or what `tests.benchmarks.many_records` writes, without exported tables. Prints Markdown.
"""

import argparse
import json
import pathlib
import subprocess
import sys
from collections.abc import Sequence

from .paired import pair_ratios, run_in_turn, spread

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PARSE = "bare loop: read, CRC, parse"
PROGRAMS = {
    PARSE: "rows = sum(Example.FromString(data).ByteSize() > 0 for path in paths for _, data in read_shard(path))",
    "boxes": 'rows = len(dataset.to_pandas("boxes"))',
    "images": 'rows = len(dataset.to_pandas("images"))',
    "labels": 'rows = len(dataset.to_pandas("labels"))',
}
HARNESS = """
import json, sys, time
import pandas, pyarrow.parquet
import oi_tfrecord
import oi_tfrecord.explore.export.frames
from oi_tfrecord.dataset.splits import find_splits, read_shard
from oi_tfrecord.records.message_types import Example
output_dir, split = sys.argv[1:]
paths = find_splits(output_dir, [split])[split].shards
dataset = oi_tfrecord.RecordDataset(output_dir, split)
started = time.process_time()
{program}
print(json.dumps([rows, time.process_time() - started]))
"""


def measure(program: str, output_dir: str, split: str) -> tuple[int, float]:
    """Returns the rows that a program makes, and its processor seconds."""
    command = [sys.executable, "-c", HARNESS.format(program=PROGRAMS[program]), output_dir, split]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    rows, seconds = json.loads(done.stdout.splitlines()[-1])
    return int(rows), float(seconds)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark and prints its table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", required=True, help="Folder of records.")
    parser.add_argument("--split", default="train")
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args(arguments)
    programs = {name: lambda name=name: measure(name, options.output_dir, options.split) for name in PROGRAMS}
    run_in_turn(programs, 1, lambda: None)
    results = run_in_turn(programs, options.pairs, lambda: None)
    base = [seconds for _, seconds in results[PARSE]]
    print("| table | rows | CPU s: median (range) | CPU s a million rows | its time / bare: median of pairs (range) |")
    print("|---|---|---|---|---|")
    for name, runs in results.items():
        rows, seconds = runs[0][0], [taken for _, taken in runs]
        took, ratio = spread(seconds), spread(pair_ratios(seconds, base))
        print(
            f"| {name} | {rows:,} | {took.median:.2f} ({took.least:.2f} to {took.most:.2f}) "
            f"| {1e6 * took.median / rows:.1f} | **{ratio.median:.1f}** ({ratio.least:.1f} to {ratio.most:.1f}) |"
        )


if __name__ == "__main__":
    main()
