"""Writes exported tables as Parquet: `<folder>/<table>/<split>.parquet` and `<folder>/classes.parquet`."""

import contextlib
import dataclasses
import os
import tempfile
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import BinaryIO

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oi_tfrecord import storage
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.explore.export.sort_rows import SortedRuns
from oi_tfrecord.explore.export.tables import CLASSES, SCHEMAS, ShardTables, make_classes
from oi_tfrecord.records.label_map import LabelMap

CLASSES_FILE = "classes.parquet"

ROW_GROUP_ROWS = 1 << 17
"""Rows of a row group; DuckDB reads about as many (122,880) in one thread."""

_WORK_FOLDER = ".oi_tfrecord-export"

_ORDER = ("image_id", "number")


class ParquetTarget:
    """The files of an export. All files appear at the end of the block, and none if the block raises.

    Rows are sorted by ImageID and number, so that the bytes depend on the rows (and the version of pyarrow) alone,
    and a reader finds an image by the statistics of the row groups.
    """

    def __init__(self, folder: str, label_map: LabelMap | None):
        """Writes nothing yet.

        Args:
            folder: of the files, on any Beam filesystem.
            label_map: of the dataset.
        """
        self._folder = folder
        self._label_map = label_map
        self._temporary = storage.join(folder, _WORK_FOLDER)
        self._files = contextlib.ExitStack()
        self._tables: list[_SortedTable] = []
        self._splits: set[str] = set()
        self._found: dict[str, int | None] = {}

    def __enter__(self) -> "ParquetTarget":
        _refuse_foreign(storage.join(self._folder, CLASSES_FILE), CLASSES)
        storage.delete_folder(self._temporary)
        for name in (*SCHEMAS, _WORK_FOLDER):
            storage.make_folder(storage.join(self._folder, name))
        # Beside the output, where there is room for the rows. Remote storage cannot hold the runs.
        beside = self._temporary if storage.is_local(self._folder) else None
        self._sorting = self._files.enter_context(tempfile.TemporaryDirectory(prefix="oi_tfrecord-", dir=beside))
        return self

    def start_split(self, split: str) -> None:
        """Begins the files of a split."""
        self._end_split()
        self._splits.add(split)
        for table, schema in SCHEMAS.items():
            _refuse_foreign(self._path(table, split), schema)
            stream = self._files.enter_context(storage.create(self._path(table, split), self._temporary))
            runs = SortedRuns(
                os.path.join(self._sorting, table), schema, [name for name in _ORDER if name in schema.names]
            )
            self._tables.append(_SortedTable(table, schema, stream, runs))

    def add(self, shard: ShardTables) -> None:
        """Adds the rows of the next shard of the split."""
        for table in self._tables:
            table.runs.add(shard.tables[table.name])
        self._found |= {mid: class_id for mid, class_id in shard.classes.items() if self._found.get(mid) is None}

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
        """Returns the classes of an earlier export if any of its splits stay."""
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


def _refuse_foreign(path: str, schema: pa.Schema) -> None:
    """Refuses to replace a file that is no earlier export: one without the first column of the table."""
    storage.refuse_foreign("to", path, b"PAR1")
    if not storage.exists(path):
        return
    with storage.open_read(path) as stream:
        try:
            names = pq.read_schema(stream).names
        except (OSError, pa.ArrowException) as error:
            raise ConfigError("to", f"{path} is there already, and is no Parquet file; move it away") from error
    if schema.names[0] not in names:
        raise ConfigError("to", f"{path} is there already, and has other columns; move it away")


@dataclasses.dataclass(frozen=True)
class _SortedTable:
    """The file of one table and split, and its rows until all are added."""

    name: str
    schema: pa.Schema
    stream: BinaryIO
    runs: SortedRuns

    def write(self) -> None:
        """Writes all rows in order."""
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
    """Returns the error about an image that a split has twice; ImageIDs are the key of the table."""
    return InputError("records", f"the image {image_id} is in two records", "`oi-tfrecord verify` lists such images")


def _regroup(pieces: Iterable[pa.Table], schema: pa.Schema) -> Iterator[pa.Table]:
    """Yields the same rows in tables of ROW_GROUP_ROWS, because the bytes of a file depend on its row groups."""
    pending = schema.empty_table()
    for piece in pieces:
        pending = pa.concat_tables([pending, piece])
        while pending.num_rows >= ROW_GROUP_ROWS:
            yield pending.slice(0, ROW_GROUP_ROWS).combine_chunks()
            pending = pending.slice(ROW_GROUP_ROWS)
    if pending.num_rows:
        yield pending.combine_chunks()
