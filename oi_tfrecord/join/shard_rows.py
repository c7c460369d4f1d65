"""All rows of a table in a shard, in file order, that know which line of which file they come from."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow as pa

from oi_tfrecord.join.batches import Batch
from oi_tfrecord.openimages.image_id import format_id
from oi_tfrecord.openimages.schema import Listing, RangeKey, Table
from oi_tfrecord.reasons import Reject


@dataclasses.dataclass(frozen=True)
class JoinFault:
    """A row rejected by the join: `line` counts from 0 within the range `key`."""

    key: RangeKey
    line: int
    image_id: str
    reason: Reject
    detail: str


@dataclasses.dataclass(frozen=True)
class Stacked:
    """All rows of one table in a shard, in file order.

    Attributes:
        rows: ROW_TYPES array [n].
        sources: names that the rows' `source` field indexes.
        keys: the ranges the rows come from.
        range_of: int array [n], index into `keys`.
        texts: text columns [n].
    """

    rows: np.ndarray
    sources: tuple[str, ...]
    keys: tuple[RangeKey, ...]
    range_of: np.ndarray
    texts: Mapping[str, pa.Array]

    def select(self, chosen: np.ndarray) -> "Stacked":
        """Returns the rows at `chosen` (indices or a mask)."""
        indices = np.flatnonzero(chosen) if chosen.dtype == bool else chosen
        texts = {name: column.take(pa.array(indices)) for name, column in self.texts.items()}
        return Stacked(self.rows[indices], self.sources, self.keys, self.range_of[indices], texts)

    def fault(self, index: int, reason: Reject, detail: str) -> JoinFault:
        """Returns the fault of the row at `index`."""
        row = self.rows[index]
        key = self.keys[self.range_of[index]]
        return JoinFault(key, int(row["line"]), format_id(int(row["image_id"])), reason, detail)


def stack(batches: Iterable[Batch]) -> dict[Table | Listing, Stacked]:
    """Returns the rows of each table, tables and rows in order whatever the order of the batches."""
    by_table: dict[Table | Listing, list[Batch]] = {}
    for batch in batches:
        by_table.setdefault(batch.key.table, []).append(batch)
    stacked = {}
    # The order of the tables is that of the faults in the list of rejects.
    for table in sorted(by_table, key=(*Table, *Listing).index):
        parts = by_table[table]
        parts.sort(key=lambda batch: (batch.key.file, batch.key.index, batch.part))
        names: dict[str, int] = {}
        arrays = []
        for batch in parts:
            rows = batch.rows
            has_source = "source" in (rows.dtype.names or ())
            codes = np.array([_source_code(name, names) for name in (batch.sources or ("",)) if has_source], np.uint8)
            if not np.array_equal(codes, np.arange(len(codes))):
                rows = rows.copy()
                rows["source"] = codes[rows["source"]]
            arrays.append(rows)
        keys = tuple(batch.key for batch in parts)
        range_of = np.repeat(np.arange(len(parts)), [len(batch.rows) for batch in parts])
        # Only some archives have windows.
        columns = dict.fromkeys(name for batch in parts for name in batch.texts)
        texts = {name: pa.concat_arrays([_text_of(batch, name) for batch in parts]) for name in columns}
        stacked[table] = Stacked(np.concatenate(arrays), tuple(names), keys, range_of, texts)
    return stacked


def _text_of(batch: Batch, name: str) -> pa.Array:
    return batch.texts[name] if name in batch.texts else pa.array([b""] * len(batch.rows), pa.binary())


def _source_code(name: str, names: dict[str, int]) -> int:
    # The field holds one byte; ranges of at most 256 names each may add up to more.
    kept = name if name in names or len(names) < 255 else "other"
    return names.setdefault(kept, len(names))
