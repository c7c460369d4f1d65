"""The two pipelines of a derived split: from input shards to indexes, and from indexes to output shards."""

from collections.abc import Iterator, Sequence

import apache_beam as beam

from oi_tfrecord import storage
from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.derive.record_index import index_shard
from oi_tfrecord.derive.shard import DerivedJob, write_derived_shard
from oi_tfrecord.engine.threaded_fn import ShardFn


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
            | "IndexShard" >> beam.ParDo(_IndexShard(self._job, self._thread_count))
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
            | "WriteShard" >> beam.ParDo(_WriteShard(self._job, self._thread_count, len(self._shards)))
        )


class _IndexShard(ShardFn):
    def __init__(self, job: DerivedJob, threads: int):
        super().__init__(job.work, threads)
        self._job = job

    def process(self, element: tuple[int, int]) -> Iterator[object]:
        yield from self.run(self._index, element)

    def _index(self, element: tuple[int, int]) -> list[tuple[int, int]]:
        source, shard = element
        path = self._job.sources[source][shard]
        with relay_errors(self._job.work):
            index, counts = index_shard(
                path, self._job.by, lambda records, size: self._reporter.set_shard(records, size, 0, 0)
            )
        self._job.index.write(source, shard, index, counts)
        size = sum(info.size for info in storage.match(storage.escape(path)))
        self._reporter.end_shard(counts.records, size, 0)
        return [element]


class _WriteShard(ShardFn):
    def __init__(self, job: DerivedJob, threads: int, shards: int):
        super().__init__(job.work, threads)
        self._job = job
        self._has_spare_cores = shards < threads

    def process(self, shard: int) -> Iterator[object]:
        yield from self.run(self._write, shard)

    def _write(self, shard: int) -> list[int]:
        with relay_errors(self._job.work):
            result = write_derived_shard(
                self._job,
                shard,
                lambda records, size, share: self._reporter.set_shard(records, size, 0, share),
                has_spare_cores=self._has_spare_cores,
            )
        self._reporter.end_shard(result.records, result.size, 0)
        return [shard]
