"""Batches: the elements of the shuffle, each holding rows of one CSV range for one shard.

A batch is encoded as bytes: a fixed header, the source names, the rows as they lie in memory
(little-endian, fixed width), and an Arrow IPC stream of the text columns if the rows have any.
"""

import dataclasses
import itertools
import struct
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oi_tfrecord.openimages.csv.check_rows import TableRows
from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.openimages.schema import ROW_TYPES, RangeKey, Table
from oi_tfrecord.records.sharding import shard_of

MAX_BATCH_BYTES = 4 << 20
"""Largest size of a batch, well below the 10 MB that Flink takes in one element."""

_HEADER = struct.Struct("<BIIIII")

_TABLES = tuple(Table)


@dataclasses.dataclass(frozen=True)
class Batch:
    """Rows of one range for one shard.

    Attributes:
        key: the range.
        part: number of the batch among those of the range for the shard.
        sources: names that the rows' `source` field indexes.
        rows: array [n] of the table's ROW_TYPES dtype, in file order.
        text_columns: text columns [n] beside the rows, by name.
    """

    key: RangeKey
    part: int
    sources: tuple[str, ...]
    rows: np.ndarray
    text_columns: Mapping[str, pa.Array]


def encode(batch: Batch) -> bytes:
    """Returns a batch as bytes."""
    sources = "\n".join(batch.sources).encode()
    key = batch.key
    header = _HEADER.pack(_TABLES.index(key.table), key.file, key.index, batch.part, len(batch.rows), len(sources))
    return b"".join((header, sources, batch.rows.tobytes(), encode_columns(batch.text_columns)))


def encode_columns(columns: Mapping[str, pa.Array]) -> bytes:
    """Returns text columns as an Arrow IPC stream; no bytes for no columns."""
    if not columns:
        return b""
    table = pa.table(dict(columns))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def decode(data: bytes) -> Batch:
    """Returns the batch of which `encode` made `data`; its rows share the memory of `data`."""
    table_index, file, index, part, count, source_bytes = _HEADER.unpack_from(data)
    table = _TABLES[table_index]
    start = _HEADER.size + source_bytes
    rows = np.frombuffer(data, ROW_TYPES[table], count, start)
    sources = data[_HEADER.size : start].decode()
    names = tuple(sources.split("\n")) if "source" in (rows.dtype.names or ()) else ()
    texts = memoryview(data)[start + rows.nbytes :]
    return Batch(RangeKey(table, file, index), part, names, rows, decode_columns(texts))


def decode_columns(data: memoryview) -> dict[str, pa.Array]:
    """Returns the text columns of which `encode_columns` made `data`, whose memory they share."""
    if not data:
        return {}
    stored = pa.ipc.open_stream(pa.py_buffer(data)).read_all()
    return {name: stored[name].combine_chunks() for name in stored.column_names}


@dataclasses.dataclass(frozen=True)
class RowsByShard:
    """The rows of one range in the order of their shards, cut in pieces of at most about MAX_BATCH_BYTES.

    Attributes:
        key: the range.
        sources: names that the rows' `source` field indexes.
        rows: array [n] of the table's ROW_TYPES dtype; the rows of a shard are in file order.
        text_columns: text columns [n] beside the rows, by name.
        shards: int array [pieces], ascending, the shard of each piece.
        bounds: int array [pieces + 1]; piece `i` is `rows[bounds[i]:bounds[i + 1]]`.
    """

    key: RangeKey
    sources: tuple[str, ...]
    rows: np.ndarray
    text_columns: Mapping[str, pa.Array]
    shards: np.ndarray
    bounds: np.ndarray

    def batches(self) -> Iterator[tuple[int, bytes]]:
        """Yields (shard, encoded batch) of each piece."""
        # A piece's number among those of its shard is the distance to the first of them.
        parts = np.arange(len(self.shards)) - np.searchsorted(self.shards, self.shards)
        bounds = self.bounds.tolist()
        for piece, (shard, part) in enumerate(zip(self.shards.tolist(), parts.tolist(), strict=True)):
            start, stop = bounds[piece : piece + 2]
            batch = Batch(self.key, part, self.sources, self.rows[start:stop], self._cut_columns(start, stop))
            yield shard, encode(batch)

    def encoded_texts(self) -> list[bytes]:
        """Returns the text columns of each piece as an Arrow IPC stream; an empty list without text columns."""
        if not self.text_columns:
            return []
        bounds = self.bounds.tolist()
        return [encode_columns(self._cut_columns(*piece)) for piece in itertools.pairwise(bounds)]

    def header_bytes(self) -> int:
        """Returns the bytes that the batches take beside their rows and texts."""
        return len(self.shards) * (_HEADER.size + len("\n".join(self.sources).encode()))

    def _cut_columns(self, start: int, stop: int) -> dict[str, pa.Array]:
        return {name: column.slice(start, stop - start) for name, column in self.text_columns.items()}


def sort_by_shard(
    key: RangeKey, table_rows: TableRows, num_shards: int, skipped_shards: Collection[int] = ()
) -> RowsByShard:
    """Sorts the rows of a range by shard.

    Args:
        key: names the range.
        table_rows: its usable rows.
        num_shards: number of shards of the dataset.
        skipped_shards: shards that are finished and take no rows.
    """
    shards = shard_of(hash_ids(table_rows.rows["image_id"]), num_shards)
    if num_shards <= 1 << 16:
        # NumPy sorts 16-bit integers by radix, which is stable and several times faster.
        shards = shards.astype(np.uint16)
    order = np.argsort(shards, kind="stable")
    if skipped_shards:
        order = order[~np.isin(shards[order], list(skipped_shards))]
    rows = np.take(table_rows.rows, order)
    columns = {name: column.take(pa.array(order)) for name, column in table_rows.text_columns.items()}
    in_order = shards[order]
    starts = np.append(0, np.flatnonzero(in_order[1:] != in_order[:-1]) + 1)[: len(rows)]
    bounds = _cut_long(_row_ends(rows, columns), np.append(starts, len(rows)))
    return RowsByShard(key, table_rows.sources, rows, columns, in_order[bounds[:-1]], bounds)


def _row_ends(rows: np.ndarray, columns: Mapping[str, pa.Array]) -> np.ndarray:
    """Returns int array [n + 1], the number of bytes before each row and after the last, texts included."""
    ends = np.arange(len(rows) + 1) * rows.dtype.itemsize
    for column in columns.values():
        ends[1:] += np.cumsum(pc.binary_length(column).fill_null(0).to_numpy(), dtype=np.int64)
    return ends


def _cut_long(row_ends: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Cuts pieces of more than MAX_BATCH_BYTES again; a longer row is a piece of its own.

    Args:
        row_ends: int array [rows + 1], the bytes before each row and after the last.
        bounds: int array [pieces + 1], the rows at which pieces start, and the number of rows.

    Returns:
        The bounds with those of the further pieces.
    """
    cuts = []
    for piece in np.flatnonzero(np.diff(row_ends[bounds]) > MAX_BATCH_BYTES).tolist():
        start, end = bounds[piece : piece + 2].tolist()
        while row_ends[end] - row_ends[start] > MAX_BATCH_BYTES:
            fitting = int(np.searchsorted(row_ends, row_ends[start] + MAX_BATCH_BYTES, side="right")) - 1
            start = max(fitting, start + 1)
            cuts.append(start)
    return np.union1d(bounds, np.array(cuts, bounds.dtype))
