"""Writes exported tables as Parquet: `<folder>/<table>/<split>.parquet` and `<folder>/classes.parquet`."""

import bisect
import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from types import TracebackType
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oi_tfrecord import storage
from oi_tfrecord.errors import InputError
from oi_tfrecord.explore.export.rows import CLASSES, SCHEMAS, ShardRows, make_classes
from oi_tfrecord.records.label_map import LabelMap

CLASSES_FILE = "classes.parquet"

ROW_GROUP_ROWS = 1 << 17
"""Rows of a row group: what a writer holds beside one shard, and what DuckDB hands to one thread (122,880)."""

_WORK_FOLDER = ".oi_tfrecord-export"

_ORDER = ("image_id", "number")


class ParquetTarget:
    """The files of an export; they appear all at the end, and not at all if the block raises.

    Rows are sorted by ImageID and number, so that the bytes depend on the rows (and the version of pyarrow) alone,
    and a reader finds an image by the statistics of the row groups.
    """

    def __init__(self, folder: str, label_map: LabelMap | None):
        self._folder = folder
        self._label_map = label_map
        self._temporary = storage.join(folder, _WORK_FOLDER)
        self._files = contextlib.ExitStack()
        self._tables: list[_SortedTable] = []
        self._splits: set[str] = set()
        self._found: dict[str, int | None] = {}

    def __enter__(self) -> "ParquetTarget":
        storage.delete_folder(self._temporary)
        for name in (*SCHEMAS, _WORK_FOLDER):
            storage.make_folder(storage.join(self._folder, name))
        # Beside the output, where there is room for as much; remote storage cannot be sorted on.
        beside = self._temporary if storage.is_local(self._folder) else None
        self._sorting = self._files.enter_context(tempfile.TemporaryDirectory(prefix="oi_tfrecord-", dir=beside))
        return self

    def start_split(self, split: str) -> None:
        """Begins the files of a split."""
        self._end_split()
        self._splits.add(split)
        for table, schema in SCHEMAS.items():
            stream = self._files.enter_context(storage.create(self._path(table, split), self._temporary))
            runs = SortedRuns(
                os.path.join(self._sorting, table), schema, [name for name in _ORDER if name in schema.names]
            )
            self._tables.append(_SortedTable(table, schema, stream, runs))

    def add(self, rows: ShardRows) -> None:
        """Adds the rows of the next shard of the split."""
        for table in self._tables:
            table.runs.add(rows.tables[table.name])
        self._found |= {mid: class_id for mid, class_id in rows.classes.items() if self._found.get(mid) is None}

    def _end_split(self) -> None:
        tables, self._tables = self._tables, []
        for table in tables:
            table.write()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._end_split()
                stream = self._files.enter_context(
                    storage.create(storage.join(self._folder, CLASSES_FILE), self._temporary)
                )
                classes = make_classes(self._label_map, self._kept_classes() | self._found)
                pq.write_table(classes, stream, compression="zstd")
        except BaseException as late:
            self._files.__exit__(type(late), late, late.__traceback__)
            raise
        else:
            self._files.__exit__(kind, error, trace)
        finally:
            storage.delete_folder(self._temporary)

    def _kept_classes(self) -> dict[str, int | None]:
        """Returns the classes of an earlier export if splits of it stay."""
        path = storage.join(self._folder, CLASSES_FILE)
        written = {self._path("boxes", split) for split in self._splits}
        there = {info.path for info in storage.match(storage.join(storage.escape(self._folder), "boxes", "*.parquet"))}
        if there <= written or not storage.exists(path):
            return {}
        with storage.open_read(path) as stream:
            classes = pq.read_table(stream, schema=CLASSES)
        return dict(zip(classes["mid"].to_pylist(), classes["class_id"].to_pylist(), strict=True))

    def _path(self, table: str, split: str) -> str:
        return storage.join(self._folder, table, f"{split}.parquet")


class SortedRuns:
    """A file of runs, each the sorted rows of one call of `add`.

    The runs are mapped into memory for the merge, so what they take there the system can have back.
    """

    def __init__(self, path: str, schema: pa.Schema, keys: Sequence[str]):
        """Initializes the instance.

        Args:
            path: of the file, on this machine.
            schema: of the rows.
            keys: columns to sort by; the first one is text, and rows that share it are of one run.
        """
        self._path = path
        self._order = [(key, "ascending") for key in keys]
        self._writer = pa.ipc.new_file(path, schema)

    def add(self, table: pa.Table) -> None:
        """Adds rows in any order."""
        if table.num_rows:
            self._writer.write_table(table.sort_by(self._order).combine_chunks())

    def merge(self, rows: int) -> Iterator[pa.Table]:
        """Yields all rows in order.

        Args:
            rows: least bound on the rows of a piece; a piece has at most about twice as many, unless more share a key.
        """
        self._writer.close()
        with pa.memory_map(self._path) as source, pa.ipc.open_file(source) as reader:
            runs = [reader.get_batch(index) for index in range(reader.num_record_batches)]
            for piece in merge_runs(runs, self._order[0][0], rows):
                yield piece.sort_by(self._order)


@dataclasses.dataclass(frozen=True)
class _SortedTable:
    """The file of one table and split, and its rows until all are there."""

    name: str
    schema: pa.Schema
    stream: BinaryIO
    runs: SortedRuns

    def write(self) -> None:
        with pq.ParquetWriter(self.stream, self.schema, compression="zstd") as writer:
            for rows in _regroup(self._checked(), self.schema):
                writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)

    def _checked(self) -> Iterator[pa.Table]:
        for piece in self.runs.merge(ROW_GROUP_ROWS):
            if self.name == "images":
                ids = piece["image_id"]
                repeated = ids.slice(1).filter(pc.equal(ids.slice(1), ids.slice(0, len(ids) - 1)))
                if len(repeated):
                    raise _repeated_image(repeated[0].as_py())
            yield piece


def _repeated_image(image_id: str) -> InputError:
    """Returns the error of an image that a split has twice, which no key allows."""
    return InputError("records", f"the image {image_id} is there twice", "`oi-tfrecord verify` lists such images")


def _regroup(pieces: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yields the same rows in tables of ROW_GROUP_ROWS, as the bytes depend on how rows are grouped."""
    pending = schema.empty_table()
    for piece in pieces:
        pending = pa.concat_tables([pending, piece])
        while pending.num_rows >= ROW_GROUP_ROWS:
            yield pending.slice(0, ROW_GROUP_ROWS).combine_chunks()
            pending = pending.slice(ROW_GROUP_ROWS)
    if pending.num_rows:
        yield pending.combine_chunks()


def merge_runs(runs: Sequence[pa.RecordBatch], key: str, rows: int) -> Iterator[pa.Table]:
    """Cuts sorted runs at the same keys.

    Args:
        runs: each sorted by `key`.
        key: name of a text column.
        rows: about how many rows a piece has.

    Yields:
        The rows of all runs between two cuts, unsorted; the keys of a piece are below those of the next.
    """
    # Every step-th key of each run stands for step rows, so that cuts among these keys make pieces of like size.
    step = max(rows // max(len(runs), 1), 1)
    sampled = sorted(value for run in runs for value in run[key].take(pa.array(range(0, len(run), step))).to_pylist())
    cuts = sorted(set(sampled[max(rows // step, 1) :: max(rows // step, 1)]))
    ends = [_find(run[key].to_pylist(), cuts) for run in runs]
    starts = [0] * len(runs)
    for piece in range(len(cuts) + 1):
        parts = [run.slice(start, end[piece] - start) for run, start, end in zip(runs, starts, ends, strict=True)]
        starts = [end[piece] for end in ends]
        if any(len(part) for part in parts):
            yield pa.Table.from_batches([part for part in parts if len(part)])


def _find(keys: list[str], cuts: Sequence[str]) -> list[int]:
    return [*(bisect.bisect_left(keys, cut) for cut in cuts), len(keys)]
