"""Writes exported tables as Parquet: `<folder>/<table>/<split>.parquet` and `<folder>/classes.parquet`."""

import contextlib
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from oi_tfrecord import storage
from oi_tfrecord.export_rows import CLASSES, SCHEMAS, ShardRows, make_classes
from oi_tfrecord.label_map import LabelMap

CLASSES_FILE = "classes.parquet"
ROW_GROUP_ROWS = 1 << 17
"""Rows of a row group: what a writer holds beside one shard, and what DuckDB hands to one thread (122,880)."""

_WORK_FOLDER = ".oi_tfrecord-export"


class ParquetTarget:
    """The files of an export; they appear all at the end, and not at all if the block raises.

    Rows are in the order they are given, whatever the shards, so that the bytes depend on the rows (and the version
    of pyarrow) alone.
    """

    def __init__(self, folder: str, label_map: LabelMap | None):
        self._folder = folder
        self._label_map = label_map
        self._temporary = storage.join(folder, _WORK_FOLDER)
        self._files = contextlib.ExitStack()
        self._writers: dict[str, _TableWriter] = {}
        self._splits: set[str] = set()
        self._found: dict[str, int | None] = {}

    def __enter__(self) -> "ParquetTarget":
        storage.delete_folder(self._temporary)
        for name in (*SCHEMAS, _WORK_FOLDER):
            storage.make_folder(storage.join(self._folder, name))
        return self

    def start_split(self, split: str) -> None:
        """Begins the files of a split."""
        self._end_split()
        self._splits.add(split)
        for table, schema in SCHEMAS.items():
            stream = self._files.enter_context(storage.create(self._path(table, split), self._temporary))
            self._writers[table] = _TableWriter(pq.ParquetWriter(stream, schema, compression="zstd"), schema)

    def add(self, rows: ShardRows) -> None:
        """Adds the rows of the next shard of the split."""
        for table, writer in self._writers.items():
            writer.add(rows.tables[table])
        self._found |= {mid: class_id for mid, class_id in rows.classes.items() if self._found.get(mid) is None}

    def _end_split(self) -> None:
        for writer in self._writers.values():
            writer.close()
        self._writers = {}

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


class _TableWriter:
    """Writes row groups of ROW_GROUP_ROWS rows, from tables of any length."""

    def __init__(self, writer: pq.ParquetWriter, schema: pa.Schema):
        self._writer = writer
        self._pending = schema.empty_table()

    def add(self, table: pa.Table) -> None:
        self._pending = pa.concat_tables([self._pending, table])
        while self._pending.num_rows >= ROW_GROUP_ROWS:
            self._write(ROW_GROUP_ROWS)

    def _write(self, count: int) -> None:
        # Joined to one piece, as the pages would begin where the pieces of the shards do.
        self._writer.write_table(self._pending.slice(0, count).combine_chunks(), row_group_size=ROW_GROUP_ROWS)
        self._pending = self._pending.slice(count)

    def close(self) -> None:
        if self._pending.num_rows:
            self._write(self._pending.num_rows)
        self._writer.close()
