"""Batches: the elements of the shuffle, each the rows of one CSV range for one shard.

A batch is bytes: a fixed header, the source names, the rows as they lie in memory
(little-endian, fixed width), and an Arrow IPC stream of text columns where there are any.
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
"""Keeps a batch well under the 10 MB that Flink takes in one element."""

_HEADER = struct.Struct("<BIIIII")

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
    rows = np.frombuffer(data, ROW_TYPES[table], count, start)
    end = start + count * rows.itemsize
    names = tuple(sources.split("\n")) if "source" in (rows.dtype.names or ()) else ()
    texts: dict[str, pa.Array] = {}
    if end < len(data):
        stored = pa.ipc.open_stream(pa.BufferReader(data).read_buffer()[end:]).read_all()
        texts = {name: stored[name].combine_chunks() for name in stored.column_names}
    return Batch(RangeKey(table, file, index), part, names, rows, texts)


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
    ends = np.append(starts, len(rows))[1:]
    texts = {name: column.take(pa.array(order)) for name, column in table_rows.texts.items()}
    row_ends = np.arange(len(rows) + 1) * rows.dtype.itemsize
    for column in texts.values():
        row_ends[1:] += np.cumsum(pc.binary_length(column).fill_null(0).to_numpy(), dtype=np.int64)
    for shard, start, end in zip(shards[starts].tolist(), starts.tolist(), ends.tolist(), strict=True):
        if shard in skipped_shards:
            continue
        for part, (begin, stop) in enumerate(_cut(row_ends, start, end)):
            sliced = {name: column.slice(begin, stop - begin) for name, column in texts.items()}
            yield shard, encode(Batch(key, part, table_rows.sources, rows[begin:stop], sliced))


def _cut(row_ends: np.ndarray, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Cuts rows `start` to `end` in runs of at most MAX_BATCH_BYTES; a longer row is a run of its own."""
    while start < end:
        fitting = int(np.searchsorted(row_ends, row_ends[start] + MAX_BATCH_BYTES, side="right")) - 1
        stop = min(max(fitting, start + 1), end)
        yield start, stop
        start = stop
