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
_SLICE = np.dtype([("file", "<u4"), *_ENTRY.descr])
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
      slices: array of (file, shard, offset, length), sorted by shard.
    """

    paths: tuple[str, ...]
    slices: np.ndarray

    def batches(self, shard: int) -> "ShardBatches":
        """Returns the batches of a shard."""
        start, end = np.searchsorted(self.slices["shard"], [shard, shard + 1])
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
    """Reads where the batches are, once all files of the shuffle are written."""
    files = storage.match(storage.join(storage.escape(folder), "*" + _ENDING))
    indexes = []
    for number, info in enumerate(files):
        count = int(np.frombuffer(storage.read_range(info.path, info.size - 8, 8), _FOOTER)[0])
        start = info.size - 8 - count * _ENTRY.itemsize
        entries = np.frombuffer(storage.read_range(info.path, start, count * _ENTRY.itemsize), _ENTRY)
        slices = np.zeros(count, _SLICE)
        slices["file"] = number
        for field in _ENTRY.names or ():
            slices[field] = entries[field]
        indexes.append(slices)
    slices = np.concatenate(indexes) if indexes else np.zeros(0, _SLICE)
    return ShuffleIndex(tuple(info.path for info in files), slices[np.argsort(slices["shard"], kind="stable")])
