"""The shuffle of a local run: rows grouped by shard through files.

A runner on one machine keeps grouped elements in memory, and sends them to worker processes through
sockets at some 60 MB/s. Here each block of a CSV file writes its rows, sorted by shard, to one file, with an index by
shard, and a shard reads its slices of all files. So memory holds one block or one shard at a time.

A split of V3 has 230 blocks and 3,188 shards, so that there are 700,000 slices: a slice is read by one system call into
its place among the rows of the shard, and all else is done once for a file or once for a shard.
"""

import dataclasses
import itertools
import json
import os
import threading
import weakref
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from oi_tfrecord import storage
from oi_tfrecord.errors import StorageError
from oi_tfrecord.join.batches import RowsByShard, decode_columns
from oi_tfrecord.join.shard_rows import RangeParts, ShardRows, merge_ranges
from oi_tfrecord.openimages.schema import ROW_TYPES, RangeKey, Table
from oi_tfrecord.storage.local import open_file, read_fully

_ENTRY = np.dtype([("shard", "<u4"), ("rows", "<u4"), ("text_bytes", "<u4")])
"""A piece of rows; pieces and their texts lie one after the other."""

_FOOTER = np.dtype([("entries", "<u8"), ("about_bytes", "<u8")])

_ENDING = ".rows"

_TABLES = tuple(Table)

_MOST_OPEN_FILES = 256
"""Files that stay open for the next shard; a process may have 1,024 files open by default."""


def write_rows(folder: str, rows: RowsByShard) -> int:
    """Writes the rows of one block; a retry writes the same file again.

    Args:
        folder: folder of the shuffle.
        rows: the rows.

    Returns:
        The bytes that the rows take as batches, in which a runner's shuffle would move them.
    """
    texts = rows.encoded_texts()
    entries = np.zeros(len(rows.shards), _ENTRY)
    entries["shard"] = rows.shards
    entries["rows"] = np.diff(rows.bounds)
    if texts:
        entries["text_bytes"] = [len(text) for text in texts]
    key = rows.key
    about = json.dumps([key.table, key.file, key.index, rows.sources]).encode()
    footer = np.array([(len(entries), len(about))], _FOOTER)
    name = f"{key.table}-{key.file}-{key.index}{_ENDING}"
    with storage.create(storage.join(folder, name), folder) as stream:
        for piece in (
            rows.rows.data,
            *[memoryview(text) for text in texts],
            entries.data,
            memoryview(about),
            footer.data,
        ):
            view = piece.cast("B")
            while view:
                view = view[stream.write(view) :]
    return rows.rows.nbytes + sum(map(len, texts)) + rows.header_bytes()


class ShuffleIndex:
    """Where the rows of each shard are; files that are read stay open until the index is deleted."""

    def __init__(self, folder: str, files: Sequence["_ShuffleFile"], bounds: np.ndarray, slices: np.ndarray):
        """Opens no file yet.

        Args:
            folder: folder of the files.
            files: the files in the order of their rows.
            bounds: int array [shards + 1]; the slices of a shard are `slices[bounds[shard]:bounds[shard + 1]]`.
            slices: array of (file, start: first row in the file, rows), and where rows have texts (text_start: first
                byte of the texts in the file, text_bytes), by shard and file.
        """
        self._folder = folder
        self._keys = tuple(file.key for file in files)
        self._sources = tuple(file.sources for file in files)
        self._tables = np.array([_TABLES.index(file.key.table) for file in files], np.int64)
        self._bounds = bounds
        self.slices = slices
        self._files = _OpenFiles([file.path for file in files])

    def __reduce__(self) -> tuple[Callable[[str], "ShuffleIndex"], tuple[str]]:
        """Returns how to read the index again: Beam pickles some elements to learn their size."""
        return read_index, (self._folder,)

    def tables(self, shard: int) -> dict[Table, ShardRows]:
        """Reads the rows of a shard.

        Returns:
            The rows of each table that the shard has rows of, in file order; the tables in their order.

        Raises:
            OSError, StorageError: naming the file that cannot be read.
        """
        start, end = self._bounds[shard : shard + 2].tolist() if shard + 1 < len(self._bounds) else (0, 0)
        slices = self.slices[start:end]
        tables = self._tables[slices["file"]]
        return {
            _TABLES[number]: self._read_table(_TABLES[number], slices[tables == number])
            for number in np.unique(tables).tolist()
        }

    def _read_table(self, table: Table, slices: np.ndarray) -> ShardRows:
        counts = slices["rows"].astype(np.int64)
        rows = np.empty(counts.sum(), ROW_TYPES[table])
        width = rows.dtype.itemsize
        files = slices["file"].tolist()
        offsets = (slices["start"].astype(np.int64) * width).tolist()
        places = np.append(0, np.cumsum(counts * width)).tolist()
        buffer = rows.view(np.uint8).data
        for file, offset, (begin, stop) in zip(files, offsets, itertools.pairwise(places), strict=True):
            buffer[begin:stop] = self._files.read(file, offset, stop - begin)
        parts = RangeParts(
            keys=tuple([self._keys[file] for file in files]),
            sources=tuple([self._sources[file] for file in files]),
            counts=counts,
            text_columns=self._read_texts(slices),
        )
        return merge_ranges(rows, parts)

    def _read_texts(self, slices: np.ndarray) -> tuple[dict[str, pa.Array], ...]:
        """Returns the text columns of each slice; an empty tuple if no slice has any."""
        if "text_bytes" not in (slices.dtype.names or ()) or not slices["text_bytes"].any():
            return ()
        places = slices[["file", "text_start", "text_bytes"]].tolist()
        return tuple(decode_columns(memoryview(self._files.read(*place))) for place in places)


@dataclasses.dataclass(frozen=True)
class ShardSlices:
    """The rows of one shard, which are not read yet.

    Attributes:
        index: where the rows of all shards are.
        shard: number of the shard.
    """

    index: ShuffleIndex
    shard: int

    def tables(self) -> dict[Table, ShardRows]:
        """Reads the rows; returns and raises as `ShuffleIndex.tables`."""
        return self.index.tables(self.shard)


class _OpenFiles:
    """Files that threads read in pieces so small that it takes longer to open a file than to read a piece."""

    def __init__(self, paths: Sequence[str]):
        self._paths = paths
        self._lock = threading.Lock()
        self._descriptors: dict[int, int] = {}
        weakref.finalize(self, _close_all, self._descriptors)

    def read(self, file: int, offset: int, length: int) -> bytes:
        """Returns bytes of a file, by its number; raises OSError or StorageError naming the file."""
        path = self._paths[file]
        descriptor = self._descriptors.get(file)
        if descriptor is None:
            descriptor = self._open(file)
        try:
            data = (
                storage.read_range(path, offset, length) if descriptor < 0 else read_fully(descriptor, offset, length)
            )
        except OSError as error:
            error.filename = path
            raise
        if len(data) != length:
            raise StorageError(path, f"ends before byte {offset + length}", "Run the same command again")
        return data

    def _open(self, file: int) -> int:
        """Returns the descriptor of a file, -1 for a file that is opened for each piece."""
        with self._lock:
            if file not in self._descriptors:
                is_kept = storage.is_local(self._paths[file]) and len(self._descriptors) < _MOST_OPEN_FILES
                self._descriptors[file] = open_file(self._paths[file]) if is_kept else -1
            return self._descriptors[file]


def _close_all(descriptors: dict[int, int]) -> None:
    for descriptor in descriptors.values():
        if descriptor >= 0:
            os.close(descriptor)


@dataclasses.dataclass(frozen=True)
class _ShuffleFile:
    """One file of the shuffle.

    Attributes:
        path: its path.
        key: the block of its rows.
        sources: names that the rows' `source` field indexes.
        entry_count: number of pieces.
        entries_start: first byte of the entries.
    """

    path: str
    key: RangeKey
    sources: tuple[str, ...]
    entry_count: int
    entries_start: int

    @classmethod
    def of(cls, info: storage.FileInfo) -> "_ShuffleFile":
        """Reads the end of a file."""
        footer_start = info.size - _FOOTER.itemsize
        [(count, about_bytes)] = np.frombuffer(
            storage.read_range(info.path, footer_start, _FOOTER.itemsize), _FOOTER
        ).tolist()
        about_start = footer_start - about_bytes
        table, file, index, sources = json.loads(storage.read_range(info.path, about_start, about_bytes))
        key = RangeKey(Table(table), file, index)
        return cls(info.path, key, tuple(sources), count, about_start - count * _ENTRY.itemsize)

    @property
    def order(self) -> tuple[int, int, int]:
        """The place of the file's rows among those of a shard."""
        return _TABLES.index(self.key.table), self.key.file, self.key.index

    def entries(self) -> np.ndarray:
        """Reads the _ENTRY array [pieces]."""
        length = self.entry_count * _ENTRY.itemsize
        return np.frombuffer(storage.read_range(self.path, self.entries_start, length), _ENTRY)


def read_index(folder: str) -> ShuffleIndex:
    """Reads where the rows are, once all files of the shuffle are written.

    The index may take most of a worker's memory: about 10 bytes for each pair of a block and a shard with rows of the
    block. So files are read twice, first to count, then to fill the index in place.
    """
    infos = storage.match(storage.join(storage.escape(folder), "*" + _ENDING))
    files = sorted(map(_ShuffleFile.of, infos), key=lambda file: file.order)
    counts, most_rows, with_texts = _count_slices(files)
    bounds = np.append(0, np.cumsum(counts))
    kind = [("file", np.min_scalar_type(len(files))), ("start", np.min_scalar_type(most_rows)), ("rows", "<u4")]
    slices = np.zeros(bounds[-1], kind + ([("text_start", "<u8"), ("text_bytes", "<u4")] if with_texts else []))
    next_place = bounds[:-1].copy()
    for number, file in enumerate(files):
        entries = file.entries()
        shards = entries["shard"]
        # The entries of a file are in the order of shards: the rank of one in its shard is its distance to the first.
        places = next_place[shards] + np.arange(len(shards)) - np.searchsorted(shards, shards)
        slices["file"][places] = number
        slices["start"][places] = _starts(entries["rows"])
        slices["rows"][places] = entries["rows"]
        if with_texts:
            rows_bytes = int(entries["rows"].sum()) * ROW_TYPES[file.key.table].itemsize
            slices["text_start"][places] = rows_bytes + _starts(entries["text_bytes"])
            slices["text_bytes"][places] = entries["text_bytes"]
        next_place += np.bincount(shards, minlength=len(next_place))
    return ShuffleIndex(folder, files, bounds, slices)


def _starts(lengths: np.ndarray) -> np.ndarray:
    """Returns where each of some pieces starts that lie one after the other, int array [pieces]."""
    return np.append(0, np.cumsum(lengths, dtype=np.int64))[:-1]


def _count_slices(files: Sequence[_ShuffleFile]) -> tuple[np.ndarray, int, bool]:
    """Returns (int array, the number of slices of each shard; the most rows of a file; whether any rows have texts)."""
    counts, most_rows, with_texts = np.zeros(0, np.int64), 0, False
    for file in files:
        entries = file.entries()
        in_file = np.bincount(entries["shard"], minlength=len(counts))
        in_file[: len(counts)] += counts
        counts, most_rows = in_file, max(most_rows, int(entries["rows"].sum()))
        with_texts |= bool(entries["text_bytes"].any())
    return counts, most_rows, with_texts
