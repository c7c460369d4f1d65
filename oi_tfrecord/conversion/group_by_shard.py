"""Batches of rows by shard, through the runner's shuffle or through files."""

import dataclasses
from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.typehints import KV

from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.join.shuffle_files import ShardBatches, ShuffleIndex, read_index


class GroupBatches(beam.PTransform):
    """Groups batches by shard; every shard is in the output, also one without rows.

    Input: `batches` and `results` of ReadTables. Output: (shard, iterable of batches).
    """

    def __init__(self, shards: Iterable[int], shuffle_folder: str, work: WorkFolder):
        """Initializes the instance.

        Args:
            shards: the shards to group for.
            shuffle_folder: folder of the files that ReadTables wrote; empty uses the runner's shuffle.
            work: where an error is told.
        """
        super().__init__()
        self._shards = tuple(shards)
        self._shuffle_folder = shuffle_folder
        self._work = work

    def expand(self, tables):  # type: ignore[no-untyped-def]
        batches, results = tables
        # shard
        shards = batches.pipeline | "CreateShards" >> beam.Create(self._shards)
        if self._shuffle_folder:
            # The count is there only when every range has written its file.
            written = beam.pvalue.AsSingleton(results | "AwaitRanges" >> beam.combiners.Count.Globally())
            return (
                shards
                | "SpreadShards" >> beam.Reshuffle()
                # (shard, batches)
                | "ReadBatches" >> beam.ParDo(_ReadBatches(self._shuffle_folder, self._work), written)
            )
        # (shard, empty batch)
        seeds = shards | "SeedShards" >> beam.Map(lambda shard: (shard, b"")).with_output_types(KV[int, bytes])
        return (
            (batches, seeds)
            # (shard, batch)
            | "FlattenSeeds" >> beam.Flatten()
            # (shard, batches)
            | "GroupByShard" >> beam.GroupByKey()
        )


class _ReadBatches(beam.DoFn):
    def __init__(self, folder: str, work: WorkFolder):
        self._folder = folder
        self._work = work
        self._index: ShuffleIndex | None = None

    def process(self, shard: int, written: int) -> Iterator[tuple[int, Iterable[bytes]]]:
        if self._index is None:
            with self._work.reported():
                self._index = read_index(self._folder)
        yield shard, _ReportedBatches(self._index.batches(shard), self._work)


@dataclasses.dataclass(frozen=True)
class _ReportedBatches:
    """Batches of which a read error is told also where Beam reads them, to learn the size of elements."""

    batches: ShardBatches
    work: WorkFolder

    def __iter__(self) -> Iterator[bytes]:
        with self.work.reported():
            yield from self.batches
