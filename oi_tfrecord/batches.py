"""Batches: the elements of the shuffle, each the rows of one CSV range for one shard.

A batch is bytes: a fixed header, the source names, the rows as they lie in memory
(little-endian, fixed width), and an Arrow IPC stream of text columns where there are any.
"""

import dataclasses
import struct
from collections.abc import Collection, Iterator, Mapping

import numpy as np
import pyarrow as pa

from oi_tfrecord.sharding import hash_ids, shard_of
from oi_tfrecord.table_rows import TableRows
from oi_tfrecord.tables import ROW_TYPES, RangeKey, Table

MAX_BATCH_BYTES = 4 << 20
"""Keeps a batch well under the 10 MB that Flink takes in one element."""

_HEADER = struct.Struct("<BIIIIH")
_TABLES = tuple(Table)


@dataclasses.dataclass(frozen=True)
class Batch:
    """The rows of one range for one shard; `part` orders the batches of one range."""

    key: RangeKey
    part: int
    sources: tuple[str, ...]
    rows: np.ndarray
    texts: Mapping[str, pa.Array]


def encode(batch: Batch) -> bytes:
    """Returns a batch as bytes."""
    sources = "\n".join(batch.sources).encode()
    key = batch.key
    header = _HEADER.pack(_TABLES.index(key.table), key.file, key.index, batch.part, len(batch.rows), len(sources))
    texts = b""
    if batch.texts:
        table = pa.table(dict(batch.texts))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        texts = sink.getvalue().to_pybytes()
    return b"".join((header, sources, batch.rows.tobytes(), texts))


def decode(data: bytes) -> Batch:
    """Returns the batch that `encode` made into `data`; its rows share the memory of `data`."""
    table_index, file, index, part, count, source_bytes = _HEADER.unpack_from(data)
    table = _TABLES[table_index]
    start = _HEADER.size + source_bytes
    sources = data[_HEADER.size : start].decode()
    row_type = ROW_TYPES[table]
    rows = np.frombuffer(data, row_type, count, start)
    end = start + count * row_type.itemsize
    texts: dict[str, pa.Array] = {}
    if end < len(data):
        stored = pa.ipc.open_stream(pa.BufferReader(data).read_buffer()[end:]).read_all()
        texts = {name: stored[name].combine_chunks() for name in stored.column_names}
    return Batch(RangeKey(table, file, index), part, tuple(sources.split("\n")) if sources else (), rows, texts)


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
        # numpy sorts 16-bit integers by radix, which is stable and several times faster.
        shards = shards.astype(np.uint16)
    order = np.argsort(shards, kind="stable")
    rows = np.take(table_rows.rows, order)
    shards = shards[order]
    starts = np.flatnonzero(np.diff(shards, prepend=np.array([-1], np.int64)))
    ends = np.append(starts[1:], len(rows))
    texts = {name: column.take(pa.array(order)) for name, column in table_rows.texts.items()}
    row_bytes = rows.dtype.itemsize + sum(column.nbytes for column in texts.values()) // max(len(rows), 1)
    limit = max(MAX_BATCH_BYTES // row_bytes, 1)
    for shard, start, end in zip(shards[starts].tolist(), starts.tolist(), ends.tolist(), strict=True):
        if shard in skipped_shards:
            continue
        for part, begin in enumerate(range(start, end, limit)):
            stop = min(begin + limit, end)
            sliced = {name: column.slice(begin, stop - begin) for name, column in texts.items()}
            yield shard, encode(Batch(key, part, table_rows.sources, rows[begin:stop], sliced))
