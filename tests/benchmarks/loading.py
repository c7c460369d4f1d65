"""Measures how fast training data is read: `oi_tfrecord.load` against a bare `tf.data` pipeline that only decodes.

    python -m tests.benchmarks.loading --output_dir=DIR --split=train

Reads the records of a finished conversion in turn with both, whole processes apart, after one unmeasured round, and
prints the ratio of their rates. `RecordDataset`, which reads without TensorFlow, is read with one thread beside them.

    .venv-torchvision/bin/python -m tests.benchmarks.loading --output_dir=DIR --images=FOLDER

With the folder of the JPEGs that the records hold, compares `RecordDataset` in a PyTorch DataLoader of two workers with
the same DataLoader over torchvision's `decode_jpeg` of the files.
"""

import argparse
import json
import pathlib
import subprocess
import sys
from collections.abc import Sequence

from .paired import pair_ratios, run_in_turn, spread

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = {
    "bare tf.data": """
dataset = tf.data.TFRecordDataset(paths).map(
    lambda data: tf.io.decode_jpeg(
        tf.io.parse_single_example(data, {"image/encoded": tf.io.FixedLenFeature([], tf.string)})["image/encoded"],
        channels=3, dct_method=DCT),
    num_parallel_calls=tf.data.AUTOTUNE, deterministic=True).prefetch(tf.data.AUTOTUNE)
""",
    "oi_tfrecord.load": "dataset = oi_tfrecord.load(output_dir, split)",
    "RecordDataset": "dataset = oi_tfrecord.RecordDataset(output_dir, split)",
}
DECODE_LOOP, DATA_LOADER = "torchvision's decode loop", "RecordDataset in a DataLoader"
LOADERS = {
    DECODE_LOOP: """
import pathlib
from torchvision.io import ImageReadMode, decode_jpeg, read_file
class Files(torch.utils.data.Dataset):
    def __init__(self):
        self.paths = sorted(map(str, pathlib.Path(images).glob("*.jpg")))
    def __len__(self):
        return len(self.paths)
    def __getitem__(self, index):
        return decode_jpeg(read_file(self.paths[index]), mode=ImageReadMode.RGB)
dataset, collate = Files(), list
""",
    DATA_LOADER: """
import oi_tfrecord
dataset = oi_tfrecord.RecordDataset(output_dir, split)
def collate(batch):
    return [torch.from_numpy(record.pop("image")) for record in batch], batch
""",
}
LOADER_HARNESS = """
import json, sys, time
import torch
torch.set_num_threads(1)
output_dir, split, images = sys.argv[1:]
{program}
iterator = iter(torch.utils.data.DataLoader(dataset, batch_size=16, num_workers=2, collate_fn=collate))
next(iterator)
started = time.perf_counter()
count = sum(1 for _ in iterator)
print(json.dumps([count, time.perf_counter() - started]))
"""
HARNESS = """
import json, sys, time
import oi_tfrecord
from oi_tfrecord.dataset.splits import find_splits
output_dir, split, DCT = sys.argv[1:]
paths = list(find_splits(output_dir, [split])[split].shards)
if {tensorflow!r} == "True":
    import tensorflow as tf
{program}
iterator = iter(dataset)
next(iterator)
started = time.perf_counter()
count = sum(1 for _ in iterator)
print(json.dumps([count, time.perf_counter() - started]))
"""


def read(program: str, output_dir: str, split: str, dct_method: str) -> float:
    """Returns the seconds that a program takes for all records after the first."""
    code = HARNESS.format(program=PROGRAMS[program], tensorflow=str(program != "RecordDataset"))
    command = [sys.executable, "-c", code, output_dir, split, dct_method]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1])[1])


def read_loader(program: str, output_dir: str, split: str, images: str) -> float:
    """Returns the seconds that a DataLoader takes for all batches after the first."""
    code = LOADER_HARNESS.format(program=LOADERS[program])
    command = [sys.executable, "-c", code, output_dir, split, images]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1])[1])


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark and prints its table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output_dir", required=True, help="Folder of a finished conversion.")
    parser.add_argument("--split", default="train")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument(
        "--dct_method", default="INTEGER_ACCURATE", help="Of the bare pipeline; TensorFlow's own is ''."
    )
    parser.add_argument("--images", default="", help="Folder of the JPEGs; compares DataLoaders of PyTorch.")
    options = parser.parse_args(arguments)
    base_name = DECODE_LOOP if options.images else "bare tf.data"
    if options.images:
        programs = {
            name: lambda name=name: read_loader(name, options.output_dir, options.split, options.images)
            for name in LOADERS
        }
    else:
        programs = {
            name: lambda name=name: read(name, options.output_dir, options.split, options.dct_method)
            for name in PROGRAMS
        }
    run_in_turn(programs, 1, lambda: None)
    results = run_in_turn(programs, options.pairs, lambda: None)
    base = results[base_name]
    print(
        f"| reader | seconds: median (range) | its rate / that of {base_name}: median of pairs (range) |\n|---|---|---|"
    )
    for name, seconds in results.items():
        took, ratio = spread(seconds), spread(pair_ratios(base, seconds))
        print(
            f"| {name} | {took.median:.2f} ({took.least:.2f} to {took.most:.2f}) "
            f"| **{ratio.median:.2f}** ({ratio.least:.2f} to {ratio.most:.2f}) |"
        )


if __name__ == "__main__":
    main()
