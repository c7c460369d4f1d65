"""Measures the join of the four tables of a V3 split against DuckDB and Polars.

    python -m tests.benchmarks.join --data_dir=/tmp/v3 --work_dir=/tmp/join

`--data_dir` holds tables of `generate_v3`; DuckDB and Polars must be installed. All programs run in turn, each in a
process of its own and timed from its start to its end, imports and all. Prints one table in Markdown.

Ours is `convert --dry_run` with machine labels: it parses and checks every row, joins and groups by image, counts, and
writes label map and manifest. Its default keeps the trainable box classes and the images with a box; "all rows" keeps
every class and image, as the others do. The others have two queries:

- same result: the columns ours uses; each image's rows in file order; images in the order of a hash;
- any order: without Source, and in whatever order the rows come.

Neither checks a value. Peak memory is that of the whole process tree (`memory.py`), in a round of its own.
"""

import argparse
import importlib.metadata
import os
import pathlib
import platform
import sys
from collections.abc import Callable, Mapping, Sequence

from .paired import pair_ratios, run_in_turn, spread

SPLIT = "train"
THREADS = 2
BOXES, HUMAN, MACHINE = "annotations-human-bbox.csv", "annotations-human.csv", "annotations-machine.csv"
COORDINATES = ("XMin", "XMax", "YMin", "YMax")
ANNOTATIONS = {
    BOXES: ("Source", "LabelName", "Confidence", *COORDINATES),
    HUMAN: ("Source", "LabelName", "Confidence"),
    MACHINE: ("Source", "LabelName", "Confidence"),
}
"""Columns that ours uses of each table; the metadata gives the ImageID only."""

PACKAGES = ("apache-beam", "pyarrow", "numpy", "duckdb", "polars")


def duckdb_query(folder: pathlib.Path, *, same_result: bool) -> str:
    """Returns the SQL that joins the tables in `folder` into the table `out`."""
    images = folder / "images.csv"
    order = " order by place" if same_result else ""
    joins = []
    for number, (name, columns) in enumerate(ANNOTATIONS.items()):
        kept = columns if same_result else columns[1:]
        rows = f"(select ImageID, {', '.join(kept)} from read_csv('{folder / name}', header=true))"
        if same_result:
            rows = f"(select *, row_number() over () place from {rows})"
        struct = ", ".join(f"{column}: {column}" for column in kept)
        joins.append(
            f"left join (select ImageID, list({{{struct}}}{order}) rows from {rows} group by ImageID) t{number} "
            "using (ImageID)"
        )
    lists = ", ".join(f"t{number}.rows rows_{number}" for number in range(len(ANNOTATIONS)))
    select = "select distinct ImageID" if same_result else "select ImageID"
    return (
        f"create table out as select m.ImageID, {lists} "
        f"from ({select} from read_csv('{images}', header=true, quote='\"')) m {' '.join(joins)}"
        + (" order by hash(m.ImageID)" if same_result else "")
    )


def run_duckdb(folder: pathlib.Path, *, same_result: bool) -> int:
    """Runs the join with DuckDB; returns the number of images."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"set threads={THREADS}")
    connection.execute(duckdb_query(folder, same_result=same_result))
    row = connection.execute("select count(*) from out").fetchone()
    return int(row[0]) if row else 0


def run_polars(folder: pathlib.Path, *, same_result: bool) -> int:
    """Runs the join with Polars, which keeps the order of rows within a group; returns the number of images."""
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    import polars

    images = polars.scan_csv(folder / "images.csv").select("ImageID")
    joined = images.unique() if same_result else images
    for number, (name, columns) in enumerate(ANNOTATIONS.items()):
        kept = columns if same_result else columns[1:]
        rows = polars.scan_csv(folder / name).select("ImageID", polars.struct(*kept).alias(f"rows_{number}"))
        joined = joined.join(rows.group_by("ImageID").agg(f"rows_{number}"), on="ImageID", how="left")
    if same_result:
        joined = joined.sort(polars.col("ImageID").hash())
    return int(joined.collect().height)


PEERS: dict[str, Callable[[pathlib.Path], int]] = {
    "DuckDB, same result": lambda folder: run_duckdb(folder, same_result=True),
    "DuckDB, any order": lambda folder: run_duckdb(folder, same_result=False),
    "Polars, same result": lambda folder: run_polars(folder, same_result=True),
    "Polars, any order": lambda folder: run_polars(folder, same_result=False),
}


def _commands(data_dir: pathlib.Path) -> dict[str, tuple[str, ...] | Mapping[str, object]]:
    """Returns the programs: flags of `convert` for ours, a command for the others."""
    from .memory import dry_run_flags, shards_of_scale

    images = data_dir / SPLIT / "images.csv"
    # A row of the generated metadata has some 360 bytes, the published split 9 million.
    num_shards = shards_of_scale(images.stat().st_size / 3.24e9)
    ours = dry_run_flags(data_dir, num_shards)
    everything = {"select": "all", "class_list": "classes.txt"}
    programs: dict[str, tuple[str, ...] | Mapping[str, object]] = {
        f"ours, {workers} worker{'s' * (workers > 1)}{', all rows' * all_rows}": {
            **ours,
            "workers": workers,
            **(everything if all_rows else {}),
        }
        for all_rows in (False, True)
        for workers in (1, 2)
    }
    return programs | {
        name: (sys.executable, "-m", "tests.benchmarks.join", f"--data_dir={data_dir}", f"--peer={name}")
        for name in PEERS
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the benchmark and prints its table in Markdown, or runs one of the peers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=pathlib.Path, required=True, help="Tables of generate_v3.")
    parser.add_argument("--work_dir", type=pathlib.Path, help="Outputs and logs go there.")
    parser.add_argument("--pairs", type=int, default=5, help="Rounds.")
    parser.add_argument("--peer", choices=list(PEERS), help="Runs only this query, once, and tells its images.")
    options = parser.parse_args(arguments)
    if options.peer:
        print(PEERS[options.peer](options.data_dir / SPLIT))
        return
    if not options.work_dir:
        parser.error("--work_dir is needed")
    _compare(options.data_dir.resolve(), options.work_dir.resolve(), options.pairs)


def _compare(data_dir: pathlib.Path, work_dir: pathlib.Path, pairs: int) -> None:
    from .memory import REPOSITORY, run_convert, run_sampled
    from .usage import run_measured

    work_dir.mkdir(parents=True, exist_ok=True)
    commands = _commands(data_dir)
    for path in (data_dir / SPLIT).iterdir():
        # Into the page cache.
        path.read_bytes()
    log = work_dir / "run.log"
    peaks = {
        name: (
            run_sampled(command, log, os.environ, REPOSITORY)
            if isinstance(command, tuple)
            else run_convert(command, work_dir)
        ).peak_bytes
        for name, command in commands.items()
    }

    def timed(command: tuple[str, ...] | Mapping[str, object]) -> float:
        if isinstance(command, tuple):
            return run_measured(command, log, os.environ, REPOSITORY).seconds
        return run_convert(command, work_dir, sample_seconds=None).seconds

    programs = {name: (lambda command=command: timed(command)) for name, command in commands.items()}
    seconds = run_in_turn(programs, pairs, lambda: None)
    size = sum(path.stat().st_size for path in (data_dir / SPLIT).iterdir())
    print(
        f"{size / 1e6:,.0f} MB of CSV, page cache warm, {os.cpu_count()} processors ({platform.machine()}), "
        f"{THREADS} threads for DuckDB and Polars, {pairs} rounds in turn\n\n"
        "| program | seconds: median (range) | peak MB | its time / DuckDB's, same result: median of pairs (range) "
        "| / DuckDB's, any order |\n|---|---|---|---|---|"
    )
    for name, values in seconds.items():
        own = spread(values)
        ratios = [spread(pair_ratios(values, seconds[other])) for other in ("DuckDB, same result", "DuckDB, any order")]
        cells = [
            name,
            f"{own.median:.2f} ({own.least:.2f} to {own.most:.2f})",
            f"{peaks[name] / 1e6:,.0f}",
            *(f"**{ratio.median:.2f}** ({ratio.least:.2f} to {ratio.most:.2f})" for ratio in ratios),
        ]
        print(f"| {' | '.join(cells)} |")
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in PACKAGES)
    print(f"\nPython {platform.python_version()}, {versions}.")


if __name__ == "__main__":
    main()
