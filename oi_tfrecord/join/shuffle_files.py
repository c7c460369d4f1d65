"""The shuffle of a local run: batches grouped by shard through files.

A runner on one machine keeps what it groups in memory, and with worker processes sends it through
sockets at some 60 MB/s. Here each CSV range writes its batches to one file, with an index by shard,
and a shard reads its slices of all files. Memory stays that of one range and one shard.
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
        folder: of the shuffle.
        name: of the range; a retry writes the same file again.
        batches: (shard, batch).
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
        bounds: int array, where the slices of each shard begin, and where the last one's end.
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
    """The batches of one shard, read whenever they are iterated over.

    Not a generator: Beam looks into some elements to learn their size, which would use one up.
    """

    paths: list[str]
    offsets: list[int]
    lengths: list[int]

    def __iter__(self) -> Iterator[bytes]:
        for path, offset, length in zip(self.paths, self.offsets, self.lengths, strict=True):
            yield storage.read_range(path, offset, length)


def read_index(folder: str) -> ShuffleIndex:
    """Reads where the batches are, once all files of the shuffle are written.

    It takes about 10 bytes for each range that has rows of a shard, and hardly more while it is read, as it may be the
    largest part of a worker.
    """
    files = storage.match(storage.join(storage.escape(folder), "*" + _ENDING))
    counts, last_offset = np.zeros(0, np.int64), 0
    for info in files:
        entries = _read_entries(info)
        found = np.bincount(entries["shard"], minlength=len(counts))
        found[: len(counts)] += counts
        counts, last_offset = found, max(last_offset, int(entries["offset"].max(initial=0)))
    bounds = np.append(0, np.cumsum(counts))
    place = bounds[:-1].copy()
    kind = [("file", np.min_scalar_type(len(files))), ("offset", np.min_scalar_type(last_offset)), ("length", "<u4")]
    slices = np.zeros(bounds[-1], kind)
    for number, info in enumerate(files):
        entries = _read_entries(info)
        entries = entries[np.argsort(entries["shard"], kind="stable")]
        shards = entries["shard"]
        at = place[shards] + np.arange(len(shards)) - np.searchsorted(shards, shards)
        slices["file"][at] = number
        slices["offset"][at] = entries["offset"]
        slices["length"][at] = entries["length"]
        place += np.bincount(shards, minlength=len(place))
    return ShuffleIndex(tuple(info.path for info in files), bounds, slices)


def _read_entries(info: storage.FileInfo) -> np.ndarray:
    count = int(
        np.frombuffer(storage.read_range(info.path, info.size - _FOOTER.itemsize, _FOOTER.itemsize), _FOOTER)[0]
    )
    size = count * _ENTRY.itemsize
    return np.frombuffer(storage.read_range(info.path, info.size - _FOOTER.itemsize - size, size), _ENTRY)
