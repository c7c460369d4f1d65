"""The shuffle of a local run: batches grouped by shard through files.

A runner on one machine keeps grouped elements in memory, and sends them to worker processes through
sockets at some 60 MB/s. Here each CSV range writes its batches to one file, with an index by shard,
and a shard reads its slices of all files. So memory holds one range or one shard at a time.
"""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from oi_tfrecord import storage

_ENTRY = np.dtype([("shard", "<u4"), ("offset", "<u8"), ("length", "<u4")])

_FOOTER = np.dtype("<u8")

_ENDING = ".batches"


def write_batches(folder: str, name: str, batches: Sequence[tuple[int, bytes]]) -> None:
    """Writes the batches of one range.

    Args:
        folder: folder of the shuffle.
        name: name of the range; a retry writes the same file again.
        batches: (shard, batch) pairs.
    """
    entries = np.zeros(len(batches), _ENTRY)
    entries["shard"] = [shard for shard, _ in batches]
    entries["length"] = [len(batch) for _, batch in batches]
    if len(batches):
        entries["offset"][1:] = np.cumsum(entries["length"][:-1], dtype=np.uint64)
    data = b"".join([batch for _, batch in batches])
    footer = np.array([len(entries)], _FOOTER).tobytes()
    with storage.create(storage.join(folder, name + _ENDING), folder) as stream:
        for piece in (data, entries.tobytes(), footer):
            view = memoryview(piece)
            while view:
                view = view[stream.write(view) :]


@dataclasses.dataclass(frozen=True)
class ShuffleIndex:
    """Where the batches of each shard are.

    Attributes:
        paths: the files.
        bounds: int array [shards + 1]; the slices of a shard are `slices[bounds[shard]:bounds[shard + 1]]`.
        slices: array of (file, offset, length), sorted by shard.
    """

    paths: tuple[str, ...]
    bounds: np.ndarray
    slices: np.ndarray

    def batches(self, shard: int) -> "ShardBatches":
        """Returns the batches of a shard."""
        start, end = self.bounds[shard : shard + 2].tolist() if shard + 1 < len(self.bounds) else (0, 0)
        slices = self.slices[start:end]
        return ShardBatches(
            [self.paths[number] for number in slices["file"].tolist()],
            slices["offset"].tolist(),
            slices["length"].tolist(),
        )


@dataclasses.dataclass(frozen=True)
class ShardBatches:
    """The batches of one shard, read each time they are iterated over.

    This is no generator, because Beam iterates over some elements to estimate their size, which would exhaust one.
    """

    paths: list[str]
    offsets: list[int]
    lengths: list[int]

    def __iter__(self) -> Iterator[bytes]:
        for path, offset, length in zip(self.paths, self.offsets, self.lengths, strict=True):
            yield storage.read_range(path, offset, length)


def read_index(folder: str) -> ShuffleIndex:
    """Reads where the batches are, once all files of the shuffle are written.

    The index may take most of a worker's memory: about 10 bytes for each pair of a range and a shard with rows of the
    range. So files are read twice, first to count, then to fill the index in place.
    """
    files = storage.match(storage.join(storage.escape(folder), "*" + _ENDING))
    counts, last_offset = _count_slices(files)
    bounds = np.append(0, np.cumsum(counts))
    kind = [("file", np.min_scalar_type(len(files))), ("offset", np.min_scalar_type(last_offset)), ("length", "<u4")]
    slices = np.zeros(bounds[-1], kind)
    next_place = bounds[:-1].copy()
    for number, info in enumerate(files):
        entries = _read_entries(info)
        entries = entries[np.argsort(entries["shard"], kind="stable")]
        shards = entries["shard"]
        # An entry's rank among those of its shard in this file is the distance to the first of them.
        rank = np.arange(len(shards)) - np.searchsorted(shards, shards)
        places = next_place[shards] + rank
        slices["file"][places] = number
        slices["offset"][places] = entries["offset"]
        slices["length"][places] = entries["length"]
        next_place += np.bincount(shards, minlength=len(next_place))
    return ShuffleIndex(tuple(info.path for info in files), bounds, slices)


def _count_slices(files: Sequence[storage.FileInfo]) -> tuple[np.ndarray, int]:
    """Returns (int array, the number of slices of each shard; the largest offset of a slice)."""
    counts, last_offset = np.zeros(0, np.int64), 0
    for info in files:
        entries = _read_entries(info)
        in_file = np.bincount(entries["shard"], minlength=len(counts))
        in_file[: len(counts)] += counts
        counts, last_offset = in_file, max(last_offset, int(entries["offset"].max(initial=0)))
    return counts, last_offset


def _read_entries(info: storage.FileInfo) -> np.ndarray:
    count = int(
        np.frombuffer(storage.read_range(info.path, info.size - _FOOTER.itemsize, _FOOTER.itemsize), _FOOTER)[0]
    )
    size = count * _ENTRY.itemsize
    return np.frombuffer(storage.read_range(info.path, info.size - _FOOTER.itemsize - size, size), _ENTRY)
