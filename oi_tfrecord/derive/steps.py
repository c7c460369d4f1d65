"""The steps of a derived split: indexing a shard of a source, and writing a shard."""

from collections.abc import Iterator

from oi_tfrecord import storage
from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.derive.record_index import index_shard
from oi_tfrecord.derive.shard import DerivedJob, write_derived_shard
from oi_tfrecord.engine.step import ShardStep


class IndexShard(ShardStep):
    """Indexes a shard of a source, in the work folder."""

    def __init__(self, job: DerivedJob, threads: int):
        """Indexes nothing yet.

        Args:
            job: the derived split.
            threads: shards to index at once.
        """
        super().__init__(job.work, threads)
        self._job = job

    def process(self, element: tuple[int, int]) -> Iterator[object]:
        """Yields (source, shard) of the shards that are indexed, as each element is."""
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


class WriteShard(ShardStep):
    """Writes an output shard; images are read here, so that their bytes never go through a shuffle."""

    def __init__(self, job: DerivedJob, threads: int, shards: int):
        """Writes nothing yet.

        Args:
            job: the derived split.
            threads: shards to write at once.
            shards: number of shards to write.
        """
        super().__init__(job.work, threads)
        self._job = job
        self._has_spare_cores = shards < threads

    def process(self, shard: int) -> Iterator[object]:
        """Yields the numbers of the shards that are written."""
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
