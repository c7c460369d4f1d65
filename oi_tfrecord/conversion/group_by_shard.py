"""Rows by shard, through the runner's shuffle or through files."""

from collections.abc import Iterable, Iterator, Mapping

import apache_beam as beam
from apache_beam.typehints import KV

from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.flink_slots import spread_keys
from oi_tfrecord.join.shuffle_files import ShardSlices, ShuffleIndex, read_index


class GroupBatches(beam.PTransform):
    """Groups batches by shard through the runner's shuffle; every shard is in the output, also one without rows.

    Input: (shard, batch of rows). Output: (key of the shard, iterable of batches); the shard is the key mod
    the number of shards.
    """

    def __init__(self, shards: Iterable[int], num_shards: int, slots: int):
        """Groups nothing yet.

        Args:
            shards: the shards to group for.
            num_shards: number of all shards.
            slots: slots of the job on Flink, over which the shards are spread evenly; 0 if unknown.
        """
        super().__init__()
        self._keys = spread_keys(tuple(shards), num_shards, slots)

    def expand(self, batches: beam.PCollection) -> beam.PCollection:
        """Adds the steps to a pipeline."""
        seeds = (
            batches.pipeline
            # key of a shard
            | "CreateShards" >> beam.Create(self._keys.values())
            # (key, empty batch)
            | "SeedShards" >> beam.Map(lambda key: (key, b"")).with_output_types(KV[int, bytes])
        )
        # (key, batch)
        keyed = batches | "KeyBatches" >> beam.Map(_under_key, self._keys).with_output_types(KV[int, bytes])
        return (
            (keyed, seeds)
            # (key, batch)
            | "FlattenSeeds" >> beam.Flatten()
            # (key, batches)
            | "GroupByShard" >> beam.GroupByKey()
        )


def _under_key(element: tuple[int, bytes], keys: Mapping[int, int]) -> tuple[int, bytes]:
    shard, batch = element
    return keys[shard], batch


class GroupFiles(beam.PTransform):
    """Gives each shard its rows in the files of the shuffle; every shard is in the output, also one without rows.

    Input: the accounts of all ranges, which are there only when every range has written its file. Output: (shard,
    places of its rows).
    """

    def __init__(self, shards: Iterable[int], folder: str, work: WorkFolder):
        """Reads nothing yet.

        Args:
            shards: the shards to group for.
            folder: folder of the files.
            work: folder that takes an error.
        """
        super().__init__()
        self._shards = tuple(shards)
        self._folder = folder
        self._work = work

    def expand(self, accounts: beam.PCollection) -> beam.PCollection:
        """Adds the steps to a pipeline."""
        written = beam.pvalue.AsSingleton(accounts | "AwaitRanges" >> beam.combiners.Count.Globally())
        return (
            accounts.pipeline
            # shard
            | "CreateShards" >> beam.Create(self._shards)
            | "SpreadShards" >> beam.Reshuffle()
            # (shard, places of its rows)
            | "FindRows" >> beam.ParDo(_FindRows(self._folder, self._work), written)
        )


class _FindRows(beam.DoFn):
    def __init__(self, folder: str, work: WorkFolder):
        self._folder = folder
        self._work = work
        self._index: ShuffleIndex | None = None

    def process(self, shard: int, written: int) -> Iterator[tuple[int, ShardSlices]]:
        if self._index is None:
            with relay_errors(self._work):
                self._index = read_index(self._folder)
        yield shard, ShardSlices(self._index, shard)
