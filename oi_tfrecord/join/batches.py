"""Batches: the elements of the shuffle, each holding rows of one CSV range for one shard.

A batch is encoded as bytes: a fixed header, the source names, the rows as they lie in memory
(little-endian, fixed width), and an Arrow IPC stream of the text columns if the rows have any.
"""

import dataclasses
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
    return b"".join((header, sources, batch.rows.tobytes(), _encode_columns(batch.text_columns)))


def _encode_columns(columns: Mapping[str, pa.Array]) -> bytes:
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
    return Batch(RangeKey(table, file, index), part, names, rows, _decode_columns(data, start + rows.nbytes))


def _decode_columns(data: bytes, start: int) -> dict[str, pa.Array]:
    if start == len(data):
        return {}
    stored = pa.ipc.open_stream(pa.BufferReader(data).read_buffer()[start:]).read_all()
    return {name: stored[name].combine_chunks() for name in stored.column_names}


def partition(
    key: RangeKey, table_rows: TableRows, num_shards: int, skipped_shards: Collection[int] = ()
) -> Iterator[tuple[int, bytes]]:
    """Splits the rows of a range by shard.

    Args:
        key: names the range.
        table_rows: its usable rows.
        num_shards: number of shards of the dataset.
        skipped_shards: shards that are finished and take no rows.

    Yields:
        (shard, encoded batch of at most about MAX_BATCH_BYTES), rows in file order.
    """
    shards = shard_of(hash_ids(table_rows.rows["image_id"]), num_shards)
    if num_shards <= 1 << 16:
        # NumPy sorts 16-bit integers by radix, which is stable and several times faster.
        shards = shards.astype(np.uint16)
    order = np.argsort(shards, kind="stable")
    rows = np.take(table_rows.rows, order)
    columns = {name: column.take(pa.array(order)) for name, column in table_rows.text_columns.items()}
    row_ends = _row_ends(rows, columns)
    for shard, start, end in _runs(shards[order]):
        if shard not in skipped_shards:
            for part, (begin, stop) in enumerate(_cut(row_ends, start, end)):
                sliced = {name: column.slice(begin, stop - begin) for name, column in columns.items()}
                yield shard, encode(Batch(key, part, table_rows.sources, rows[begin:stop], sliced))


def _row_ends(rows: np.ndarray, columns: Mapping[str, pa.Array]) -> np.ndarray:
    """Returns int array [n + 1], the number of bytes before each row and after the last, texts included."""
    ends = np.arange(len(rows) + 1) * rows.dtype.itemsize
    for column in columns.values():
        ends[1:] += np.cumsum(pc.binary_length(column).fill_null(0).to_numpy(), dtype=np.int64)
    return ends


def _runs(values: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Yields (value, start, end) of each run of equal values of a sorted array."""
    starts = np.flatnonzero(np.diff(values, prepend=np.array([-1], np.int64)))
    ends = np.append(starts, len(values))[1:]
    yield from zip(values[starts].tolist(), starts.tolist(), ends.tolist(), strict=True)


def _cut(row_ends: np.ndarray, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cuts rows `start` to `end` in runs of at most MAX_BATCH_BYTES; a longer row is a run of its own."""
    while start < end:
        fitting = int(np.searchsorted(row_ends, row_ends[start] + MAX_BATCH_BYTES, side="right")) - 1
        stop = min(max(fitting, start + 1), end)
        yield start, stop
        start = stop
