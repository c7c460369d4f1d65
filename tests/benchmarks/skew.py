"""Measures how much slower uneven inputs are than even ones, per row.

    python -m tests.benchmarks.skew --work_dir=/tmp/skew --scale=0.05

Joins (`convert --dry_run`, machine labels included) of tables of `generate_v3` as they are, and of the same tables with
one image of 10,000 boxes, with one class in 40 % of the boxes, with all rows in random order, in one shard, and of
larger tables, whose files are of 2 GB and more. Conversions of 100 images to 1 and to 4,096 shards. The joins of one
size run in turn. Prints one table in Markdown; a ratio above 1 is slower than the even case.
"""

import argparse
import pathlib
import shutil
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .make_images import SPLIT, make_release
from .memory import MemoryRun, dry_run_flags, run_convert, shards_of_scale, tables_of
from .paired import pair_ratios, run_in_turn, spread

BOXES = "annotations-human-bbox.csv"
ANNOTATIONS = (BOXES, "annotations-human.csv", "annotations-machine.csv")
MANY_BOXES = 10_000
COMMON_SHARE = 0.4
MANY_SHARDS, FEW_IMAGES = 4096, 100
BIG_FILE_BYTES = 2_000_000_000
EVEN = "even"


def read_lines(path: pathlib.Path) -> tuple[bytes, pa.Array]:
    """Returns the header of a file without line breaks in fields, and its rows, each with its line end."""
    data = path.read_bytes()
    start = data.index(b"\n") + 1
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))[1:] + 1
    offsets = np.concatenate([[start], ends])
    rows = pa.LargeBinaryArray.from_buffers(
        pa.large_binary(), len(ends), [None, pa.py_buffer(offsets.astype(np.int64)), pa.py_buffer(data)]
    )
    return data[:start], rows


def write_lines(path: pathlib.Path, header: bytes, rows: pa.Array) -> None:
    """Writes what `read_lines` returns."""
    offsets = np.frombuffer(rows.buffers()[1], np.int64)[rows.offset :][: len(rows) + 1]
    with path.open("wb") as out:
        out.write(header)
        out.write(rows.buffers()[2][int(offsets[0]) : int(offsets[-1])])


def link_tables(source: pathlib.Path, target: pathlib.Path) -> None:
    """Makes a folder of the same tables, for some of them to be replaced."""
    (target / SPLIT).mkdir(parents=True)
    for path in source.rglob("*"):
        if path.is_file():
            (target / path.relative_to(source)).symlink_to(path)


def replace_table(folder: pathlib.Path, name: str, header: bytes, rows: pa.Array) -> None:
    """Replaces a table of a folder that `link_tables` made."""
    path = folder / SPLIT / name
    path.unlink()
    write_lines(path, header, rows)


def crowd_one_image(folder: pathlib.Path) -> None:
    """Gives the image in the middle of the box table MANY_BOXES more boxes, no two equal."""
    header, rows = read_lines(folder / SPLIT / BOXES)
    place = len(rows) // 2
    image_id, source, mid = rows[place].as_py().decode().split(",")[:3]
    more = [
        f"{image_id},{source},{mid},1,{number / 20_000:.6f},0.900000,0.100000,0.800000\n".encode()
        for number in range(MANY_BOXES)
    ]
    parts = [rows[:place], pa.array(more, pa.large_binary()), rows[place:]]
    replace_table(folder, BOXES, header, pa.concat_arrays(parts))


def make_one_class_common(folder: pathlib.Path) -> None:
    """Gives COMMON_SHARE of the boxes, in no order, and a label of each image, the class of the first box.

    That is as many labels as one class can have, as an image has it once.
    """
    _, boxes = read_lines(folder / SPLIT / BOXES)
    common = boxes[0].as_py().split(b",")[2]
    for name in ANNOTATIONS:
        header, rows = read_lines(folder / SPLIT / name)
        if name == BOXES:
            chosen = np.random.default_rng(1).random(len(rows)) < COMMON_SHARE
        else:
            ids = pc.binary_slice(rows, 0, 16).to_numpy(zero_copy_only=False)
            chosen = np.append(True, ids[1:] != ids[:-1])
        changed = [
            b",".join((*fields[:2], common, *fields[3:]))
            for fields in (row.split(b",") for row in rows.filter(pa.array(chosen)).to_pylist())
        ]
        replaced = pc.replace_with_mask(rows, pa.array(chosen), pa.array(changed, pa.large_binary()))
        replace_table(folder, name, header, replaced)


def shuffle_rows(folder: pathlib.Path) -> None:
    """Puts the rows of the annotation tables in random order."""
    for name in ANNOTATIONS:
        header, rows = read_lines(folder / SPLIT / name)
        order = np.random.default_rng(2).permutation(len(rows))
        replace_table(folder, name, header, rows.take(pa.array(order)))


CHANGES = {
    f"one image with {MANY_BOXES:,} boxes": crowd_one_image,
    f"one class in {100 * COMMON_SHARE:.0f} % of the boxes, and in each image's labels": make_one_class_common,
    "annotations in random order": shuffle_rows,
}


def count_rows(run: MemoryRun) -> int:
    """Returns the rows that a run read, from its summary."""
    lines = [line.split() for line in run.out.splitlines() if " rows read, " in line]
    return sum(int(words[1].replace(",", "")) for words in lines)


def _cells(name: str, runs: Sequence[MemoryRun], unit: str, amount: int, ratio: str) -> str:
    seconds = spread([run.seconds for run in runs])
    peak = max(run.peak_bytes for run in runs)
    cells = (name, f"{amount:,} {unit}", f"{seconds.median:.1f} ({seconds.least:.1f} to {seconds.most:.1f})")
    return f"| {' | '.join((*cells, f'{peak / 1e6:,.0f}', ratio))} |"


def _per_row(runs: Sequence[MemoryRun]) -> list[float]:
    return [run.seconds / count_rows(run) for run in runs]


def _print_joins(cases: Mapping[str, Mapping[str, object]], rounds: int, work_dir: pathlib.Path) -> None:
    programs = {name: (lambda flags=flags: run_convert(flags, work_dir)) for name, flags in cases.items()}
    results = run_in_turn(programs, rounds, lambda: None)
    for name, runs in results.items():
        ratio = ""
        if name != EVEN:
            ratios = spread(pair_ratios(_per_row(runs), _per_row(results[EVEN])))
            ratio = f"**{ratios.median:.2f}** ({ratios.least:.2f} to {ratios.most:.2f})"
        print(_cells(f"join, {name}", runs, "rows", count_rows(runs[0]), ratio), flush=True)


def _conversion_flags(release: pathlib.Path, num_shards: int, workers: int) -> dict[str, object]:
    return {
        "split": SPLIT,
        "data_dir": release / "2017_11",
        "images": release / "images" / "{split}" / "{image_id}.jpg",
        "num_shards": num_shards,
        "workers": workers,
    }


def _print_conversions(rounds: int, workers: int, work_dir: pathlib.Path) -> None:
    release = work_dir / f"images-{FEW_IMAGES}"
    make_release(release, FEW_IMAGES)
    cases = {f"{count:,} shards": _conversion_flags(release, count, workers) for count in (1, MANY_SHARDS)}
    programs = {name: (lambda flags=flags: run_convert(flags, work_dir)) for name, flags in cases.items()}
    results = run_in_turn(programs, rounds, lambda: None)
    one, many = results.values()
    more = spread([run.seconds - even.seconds for run, even in zip(many, one, strict=True)])
    ratios = spread(pair_ratios([run.seconds for run in many], [run.seconds for run in one]))
    for (name, runs), ratio in zip(
        results.items(),
        ("", f"**{ratios.median:.2f}**; {1000 * more.median / (MANY_SHARDS - 1):.1f} ms a shard"),
        strict=True,
    ):
        print(_cells(f"conversion, {name}", runs, "images", FEW_IMAGES, ratio), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark and prints its table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work_dir", type=pathlib.Path, required=True, help="Keeps the inputs; outputs go there, too.")
    parser.add_argument("--scale", type=float, default=0.05, help="Of the tables of most joins.")
    parser.add_argument("--data_dir", type=pathlib.Path, help="Tables of this scale, if they are there already.")
    parser.add_argument("--big_scale", type=float, default=0.7, help="Of the large tables; 0 leaves them out.")
    parser.add_argument("--big_data_dir", type=pathlib.Path, help="The large tables, if they are there already.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args(arguments)
    work_dir = options.work_dir.resolve()
    work_dir.mkdir(parents=True, exist_ok=True)
    given = {
        scale: folder.resolve()
        for scale, folder in ((options.scale, options.data_dir), (options.big_scale, options.big_data_dir))
        if folder
    }
    even = tables_of(options.scale, given, work_dir)
    num_shards = shards_of_scale(options.scale)
    shared = {"workers": options.workers}
    cases = {EVEN: dry_run_flags(even, num_shards) | shared}
    for number, (name, change) in enumerate(CHANGES.items()):
        folder = work_dir / f"skewed-{number}"
        shutil.rmtree(folder, ignore_errors=True)
        link_tables(even, folder)
        change(folder)
        cases[name] = dry_run_flags(folder, num_shards) | shared
    cases["in one shard"] = dry_run_flags(even, 1) | shared
    print(
        f"{options.workers} workers, {options.rounds} rounds in turn (of the large tables one)\n\n"
        "| case | size | seconds: median (range) | peak MB | time per row / even: median of pairs (range) |\n"
        "|---|---|---|---|---|",
        flush=True,
    )
    _print_joins(cases, options.rounds, work_dir)
    if options.big_scale:
        big = tables_of(options.big_scale, given, work_dir)
        largest = max(path.stat().st_size for path in (big / SPLIT).iterdir())
        if largest < BIG_FILE_BYTES:
            sys.exit(f"the largest file in {big} has {largest:,} bytes; give a larger --big_scale")
        flags = dry_run_flags(big, shards_of_scale(options.big_scale)) | shared
        _print_joins({EVEN: cases[EVEN], f"one file of {largest / 1e9:.1f} GB": flags}, 1, work_dir)
    _print_conversions(options.rounds, options.workers, work_dir)


if __name__ == "__main__":
    main()
