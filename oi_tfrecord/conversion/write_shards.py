"""Batches of rows to shard files."""

import functools
import logging
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import apache_beam as beam

from oi_tfrecord.conversion.group_by_shard import ReadRows
from oi_tfrecord.conversion.shard import convert_shard, find_finished
from oi_tfrecord.conversion.shard_job import ShardJob
from oi_tfrecord.dataset.accounts import ShardAccount
from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.engine.step_metrics import StepMetrics
from oi_tfrecord.engine.threaded_fn import ShardFn
from oi_tfrecord.records.packed_label_map import unpack

_LOGGER = logging.getLogger(__name__)


class WriteShards(beam.PTransform):
    """Joins and writes each shard.

    Input: (key of a shard, what the shuffle grouped for the shard), as of `GroupBatches` or `GroupFiles`. Output: the
    number of each shard, whose account is in the work folder. Images are read here, after the shuffle, so no shuffle
    has their bytes.
    """

    def __init__(self, job: ShardJob, label_map: beam.pvalue.AsSingleton, threads: int, read_rows: ReadRows):
        """Writes nothing yet.

        Args:
            job: the conversion.
            label_map: side input with the packed label map.
            threads: shards that a worker process writes at once.
            read_rows: returns the rows of a shard.
        """
        super().__init__()
        self._job = job
        self._label_map = label_map
        self._thread_count = threads
        self._read_rows = read_rows

    def expand(self, grouped: beam.PCollection) -> beam.PCollection:
        """Adds the step to a pipeline."""
        # number of the shard
        return grouped | "WriteShard" >> beam.ParDo(
            _WriteShard(self._job, self._thread_count, self._read_rows), self._label_map
        )


class _WriteShard(ShardFn):
    def __init__(self, job: ShardJob, threads: int, read_rows: ReadRows):
        super().__init__(job.work, threads)
        self._job = job
        self._read_rows = read_rows

    def process(self, element: tuple[int, Any], label_map: bytes) -> Iterator[object]:
        yield from self.run(self._write, element, label_map)

    def _write(self, element: tuple[int, Any], label_map: bytes) -> list[int]:
        key, grouped = element
        shard = key % self._job.num_shards
        with relay_errors(self._job.work):
            finished = find_finished(self._job, shard)
        if finished is not None:
            # The engine runs a bundle again that had already written this shard.
            return [shard]
        began = time.monotonic()
        with relay_errors(self._job.work):
            account = convert_shard(
                self._job,
                shard,
                functools.partial(self._read_rows, grouped),
                unpack(label_map),
                self._reporter.set_shard,
            )
        self._reporter.end_shard(account.records, account.image_bytes, account.listed_rejects)
        count_account(account, self._metrics)
        self._metrics.note("shard_msec", round(1e3 * (time.monotonic() - began)))
        _LOGGER.info("%s is written: %d records, %d bytes", account.file, account.records, account.size)
        return [shard]


def count_account(account: ShardAccount, metrics: StepMetrics) -> None:
    """Counts a finished shard.

    Args:
        account: of the shard.
        metrics: takes `shards`, `records`, `image_bytes`, `rejects_REASON` and `image_read_usec` (mean of the shard).
    """
    metrics.count("shards", 1)
    metrics.count("records", account.records)
    metrics.count("image_bytes", account.image_bytes)
    rejected = Counter(account.images_rejected)
    for table in account.tables.values():
        rejected.update(table.rejected)
    for reason, number in rejected.items():
        metrics.count(f"rejects_{reason}", number)
    if images := account.records + sum(account.images_rejected.values()):
        metrics.note("image_read_usec", round(1e6 * account.read_seconds / images))
