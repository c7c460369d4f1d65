"""The join of the four tables of a V3 split as queries of DuckDB and Polars, each run in a process of its own.

    python -m tests.benchmarks.join_queries "DuckDB, all rows" --data_dir=/tmp/v3

`--data_dir` holds tables of `generate_v3`; DuckDB or Polars must be installed. Three results:

- all rows: of every class and image, with the columns that ours uses; each image's rows in file order; the images in
  the order of a hash;
- selected: the same of the images with a box of a trainable class, and rows of these classes, which is what `convert`
  selects by default;
- any order: all rows, without Source, in whatever order they come.

None checks a value. Prints the images and the rows of each annotation table, as JSON.
"""

import argparse
import csv
import functools
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

SPLIT = "train"
THREADS = 2
TRAINABLE = "classes-bbox-trainable.txt"
METADATA, BOXES = "images.csv", "annotations-human-bbox.csv"
HUMAN, MACHINE = "annotations-human.csv", "annotations-machine.csv"
COLUMNS = {
    BOXES: ("Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax"),
    HUMAN: ("Source", "LabelName", "Confidence"),
    MACHINE: ("Source", "LabelName", "Confidence"),
}
"""Columns that ours uses of each annotation table; the metadata gives the ImageID only."""

ALL_ROWS, SELECTED, ANY_ORDER = "all rows", "selected", "any order"

Counts = dict[str, int]
"""`images`, and rows by file name of each annotation table."""


def duckdb_query(data_dir: pathlib.Path, result: str) -> str:
    """Returns the SQL that joins the tables into the table `joined`, one list of rows per image and table."""
    folder = data_dir / SPLIT
    ordered, selected = result != ANY_ORDER, result == SELECTED
    trainable = f"(select column0 from read_csv('{data_dir / TRAINABLE}', header=false))"
    before, joins = "", []
    if selected:
        boxed = f"select distinct ImageID from read_csv('{folder / BOXES}', header=true) where LabelName in {trainable}"
        before = f"create temp table boxed as {boxed}; "
    for number, (name, columns) in enumerate(COLUMNS.items()):
        kept = columns if ordered else columns[1:]
        rows = f"(select ImageID, {', '.join(kept)} from read_csv('{folder / name}', header=true))"
        if ordered:
            rows = f"(select *, row_number() over () place from {rows})"
        if selected:
            rows = f"(select * from {rows} where LabelName in {trainable} and ImageID in (select ImageID from boxed))"
        struct = ", ".join(f"{column}: {column}" for column in kept)
        order = " order by place" if ordered else ""
        lists = f"select ImageID, list({{{struct}}}{order}) rows from {rows} group by ImageID"
        how = "join" if selected and name == BOXES else "left join"
        joins.append(f"{how} ({lists}) t{number} using (ImageID)")
    rows_of = ", ".join(f"t{number}.rows rows_{number}" for number in range(len(COLUMNS)))
    images = f"select{' distinct' * ordered} ImageID from read_csv('{folder / METADATA}', header=true, quote='\"')"
    return (
        f"{before}create table joined as select m.ImageID, {rows_of} from ({images}) m {' '.join(joins)}"
        + " order by hash(m.ImageID)" * ordered
    )


def run_duckdb(data_dir: pathlib.Path, result: str) -> Counts:
    """Runs the join with DuckDB."""
    import duckdb

    connection = duckdb.connect()
    connection.execute(f"set threads={THREADS}")
    connection.execute(duckdb_query(data_dir, result))
    sums = ", ".join(f"coalesce(sum(len(rows_{number})), 0)" for number in range(len(COLUMNS)))
    row = connection.execute(f"select count(*), {sums} from joined").fetchone()
    return dict(zip(("images", *COLUMNS), map(int, row or ()), strict=True))


def run_polars(data_dir: pathlib.Path, result: str) -> Counts:
    """Runs the join with Polars, whose groups keep the order of their rows."""
    os.environ["POLARS_MAX_THREADS"] = str(THREADS)
    import polars

    folder = data_dir / SPLIT
    trainable = (data_dir / TRAINABLE).read_text().split()
    is_trainable = polars.col("LabelName").is_in(trainable)
    joined = polars.scan_csv(folder / METADATA).select("ImageID")
    boxed = polars.scan_csv(folder / BOXES).filter(is_trainable).select("ImageID").unique()
    if result != ANY_ORDER:
        joined = joined.unique()
    if result == SELECTED:
        joined = joined.join(boxed, on="ImageID", how="semi")
    for number, (name, columns) in enumerate(COLUMNS.items()):
        rows = polars.scan_csv(folder / name)
        if result == SELECTED:
            rows = rows.filter(is_trainable).join(boxed, on="ImageID", how="semi", maintain_order="left")
        kept = columns[1:] if result == ANY_ORDER else columns
        rows = rows.select("ImageID", polars.struct(*kept).alias(f"rows_{number}"))
        joined = joined.join(rows.group_by("ImageID").agg(f"rows_{number}"), on="ImageID", how="left")
    if result != ANY_ORDER:
        joined = joined.sort(polars.col("ImageID").hash())
    table = joined.collect()
    lengths = [table[f"rows_{number}"].list.len().sum() for number in range(len(COLUMNS))]
    return dict(zip(("images", *COLUMNS), (table.height, *map(int, lengths)), strict=True))


@functools.cache
def count_rows(data_dir: pathlib.Path, result: str) -> Counts:
    """Counts what the joins must give, row by row with Python's csv module."""
    folder = data_dir / SPLIT
    trainable = set((data_dir / TRAINABLE).read_text().split())
    images = {row[0] for row in _rows(folder / METADATA)}
    if result == SELECTED:
        images &= {row[0] for row in _rows(folder / BOXES) if row[2] in trainable}
    counts = {"images": len(images)}
    for name in COLUMNS:
        rows = (row for row in _rows(folder / name) if row[0] in images)
        counts[name] = sum(result != SELECTED or row[2] in trainable for row in rows)
    return counts


def _rows(path: pathlib.Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))[1:]


QUERIES: Mapping[str, Callable[[pathlib.Path], Counts]] = {
    f"{name}, {result}": (lambda data_dir, run=run, result=result: run(data_dir, result))
    for result in (ALL_ROWS, SELECTED, ANY_ORDER)
    for name, run in (("DuckDB", run_duckdb), ("Polars", run_polars))
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs one of the queries and prints its counts."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("query", choices=list(QUERIES))
    parser.add_argument("--data_dir", type=pathlib.Path, required=True, help="Tables of generate_v3.")
    options = parser.parse_args(arguments)
    print(json.dumps(QUERIES[options.query](options.data_dir)))


if __name__ == "__main__":
    main()
