"""The rows of a shard by table, in file order; each row knows its file and line."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from oi_tfrecord.join.batches import Batch
from oi_tfrecord.join.join_account import JoinFault
from oi_tfrecord.openimages.csv.fill_rows import OTHER_SOURCE, limit_sources
from oi_tfrecord.openimages.image_id import id_text
from oi_tfrecord.openimages.schema import ROW_TYPES, RangeKey, Table
from oi_tfrecord.reasons import Reject


@dataclasses.dataclass(frozen=True)
class ShardRows:
    """All rows of one table in a shard, in file order.

    Attributes:
        rows: array [n] of the table's ROW_TYPES dtype.
        sources: names that the rows' `source` field indexes.
        keys: the ranges that the rows come from.
        range_of: int array [n], index into `keys`.
        text_columns: text columns [n] by name.
    """

    rows: np.ndarray
    sources: tuple[str, ...]
    keys: tuple[RangeKey, ...]
    range_of: np.ndarray
    text_columns: Mapping[str, pa.Array]

    @classmethod
    def empty(cls, table: Table, names: Sequence[str] = ()) -> "ShardRows":
        """Returns no rows of a table, with empty text columns of the given names."""
        columns = {name: pa.array([], pa.binary()) for name in names}
        return cls(np.zeros(0, ROW_TYPES[table]), (), (), np.zeros(0, np.int64), columns)

    @property
    def file_of(self) -> np.ndarray:
        """Int array [n], the number of each row's file among the files of the table."""
        return np.array([key.file for key in self.keys], np.int64)[self.range_of]

    def take(self, indices: np.ndarray) -> "ShardRows":
        """Returns the rows at `indices`, in their order."""
        columns = {name: column.take(pa.array(indices)) for name, column in self.text_columns.items()}
        return ShardRows(self.rows[indices], self.sources, self.keys, self.range_of[indices], columns)

    def filter(self, keep_mask: np.ndarray) -> "ShardRows":
        """Returns the rows where `keep_mask` (bool [n]) is true."""
        return self.take(np.flatnonzero(keep_mask))

    def fault(self, index: int, reason: Reject, detail: str) -> JoinFault:
        """Returns the fault of the row at `index`."""
        row = self.rows[index]
        key = self.keys[self.range_of[index]]
        image_id = id_text(int(row["image_id"]), self.text_columns, index)
        return JoinFault(key, int(row["line"]), image_id, reason, detail)

    def faults(self, indices: np.ndarray, reason: Reject, detail: str) -> tuple[JoinFault, ...]:
        """Returns the faults of the rows at `indices`, in their order."""
        return tuple(self.fault(index, reason, detail) for index in indices.tolist())


@dataclasses.dataclass(frozen=True)
class RowsByImage:
    """Rows of one table in the order of their images; the rows of an image keep their order.

    Attributes:
        table: the rows [n].
        image_of: int array [n], ascending, the index of each row's image in the shard.
    """

    table: ShardRows
    image_of: np.ndarray

    @classmethod
    def empty(cls, table: Table, names: Sequence[str] = ()) -> "RowsByImage":
        """Returns no rows of a table, with empty text columns of the given names."""
        return cls(ShardRows.empty(table, names), np.zeros(0, np.int64))

    def filter(self, keep_mask: np.ndarray) -> "RowsByImage":
        """Returns the rows where `keep_mask` (bool [n]) is true."""
        return RowsByImage(self.table.filter(keep_mask), self.image_of[keep_mask])

    def count_per_image(self, image_count: int) -> np.ndarray:
        """Returns the number of rows of each image, int array [image_count]."""
        return np.bincount(self.image_of, minlength=image_count)


def collect_tables(batches: Iterable[Batch]) -> dict[Table, ShardRows]:
    """Collects the rows of each table.

    Args:
        batches: all batches of a shard, in any order.

    Returns:
        The rows of each table that has a batch. Tables, and the rows of each, are in a fixed order.
    """
    by_table: dict[Table, list[Batch]] = {}
    for batch in batches:
        by_table.setdefault(batch.key.table, []).append(batch)
    # The rejected rows of a shard are listed in this order of tables.
    ordered = sorted(by_table, key=tuple(Table).index)
    return {table: _concatenate(sorted(by_table[table], key=_place)) for table in ordered}


def _place(batch: Batch) -> tuple[int, int, int]:
    return batch.key.file, batch.key.index, batch.part


def _concatenate(batches: Sequence[Batch]) -> ShardRows:
    codes = _merge_sources(batches)
    # Only some archives have windows.
    columns = dict.fromkeys(name for batch in batches for name in batch.text_columns)
    return ShardRows(
        np.concatenate([_recode_sources(batch, codes) for batch in batches]),
        tuple(codes),
        tuple(batch.key for batch in batches),
        np.repeat(np.arange(len(batches)), [len(batch.rows) for batch in batches]),
        {name: pa.concat_arrays([_text_column(batch, name) for batch in batches]) for name in columns},
    )


def _merge_sources(batches: Sequence[Batch]) -> dict[str, int]:
    """Returns each source name with its code, in order of first occurrence; empty for tables without sources."""
    names = dict.fromkeys(name for batch in batches for name in _source_names(batch))
    # The field `source` holds one byte; ranges of at most 256 names each may add up to more.
    return {name: code for code, name in enumerate(limit_sources(list(names)))}


def _recode_sources(batch: Batch, codes: Mapping[str, int]) -> np.ndarray:
    """Returns the rows of a batch with `source` as index into the merged names."""
    new_codes = np.array([codes.get(name, codes.get(OTHER_SOURCE, 0)) for name in _source_names(batch)], np.uint8)
    if np.array_equal(new_codes, np.arange(len(new_codes))):
        return batch.rows
    rows = batch.rows.copy()
    rows["source"] = new_codes[rows["source"]]
    return rows


def _source_names(batch: Batch) -> tuple[str, ...]:
    has_source = "source" in (batch.rows.dtype.names or ())
    return (batch.sources or ("",)) if has_source else ()


def _text_column(batch: Batch, name: str) -> pa.Array:
    if name in batch.text_columns:
        return batch.text_columns[name]
    return pa.array([b""] * len(batch.rows), pa.binary())
