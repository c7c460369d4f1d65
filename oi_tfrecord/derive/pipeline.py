"""The two pipelines of a derived split: from input shards to indexes, and from indexes to output shards."""

from collections.abc import Sequence

import apache_beam as beam

from oi_tfrecord.derive.shard import DerivedJob
from oi_tfrecord.derive.steps import IndexShard, WriteShard
from oi_tfrecord.engine.step_fn import StepFn


class IndexShards(beam.PTransform):
    """Indexes shards of the sources, in the work folder.

    Input: the root. Output: (source, shard) of each shard.
    """

    def __init__(self, job: DerivedJob, shards: Sequence[tuple[int, int]], threads: int):
        """Prepares the step.

        Args:
            job: the derived split.
            shards: (source, shard) of the shards to index.
            threads: shards that a worker process works on at once.
        """
        super().__init__()
        self._job = job
        self._shards = tuple(shards)
        self._thread_count = threads

    def expand(self, root):  # type: ignore[no-untyped-def]
        """Adds the steps to a pipeline."""
        return (
            root
            # source, shard
            | "CreateShards" >> beam.Create(self._shards, reshuffle=False)
            | "SpreadShards" >> beam.Reshuffle()
            | "IndexShard" >> beam.ParDo(StepFn(IndexShard(self._job, self._thread_count)))
        )


class WriteDerivedShards(beam.PTransform):
    """Writes output shards; images are read here, so that their bytes never go through a shuffle.

    Input: the root. Output: the number of each shard.
    """

    def __init__(self, job: DerivedJob, shards: Sequence[int], threads: int):
        """Prepares the step.

        Args:
            job: the derived split.
            shards: numbers of the shards to write.
            threads: shards that a worker process works on at once.
        """
        super().__init__()
        self._job = job
        self._shards = tuple(shards)
        self._thread_count = threads

    def expand(self, root):  # type: ignore[no-untyped-def]
        """Adds the steps to a pipeline."""
        return (
            root
            # number of the shard
            | "CreateShards" >> beam.Create(self._shards, reshuffle=False)
            | "SpreadShards" >> beam.Reshuffle()
            | "WriteShard" >> beam.ParDo(StepFn(WriteShard(self._job, self._thread_count, len(self._shards))))
        )
