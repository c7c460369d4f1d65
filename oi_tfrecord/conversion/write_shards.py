"""Rows of a shard to its file."""

import functools
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from oi_tfrecord.conversion.shard import convert_shard, find_finished
from oi_tfrecord.conversion.shard_job import ShardJob
from oi_tfrecord.dataset.accounts import ShardAccount
from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.engine.step import ShardStep
from oi_tfrecord.engine.step_metrics import StepMetrics
from oi_tfrecord.join.batches import decode
from oi_tfrecord.join.shard_rows import ShardRows, collect_tables
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.packed_label_map import unpack

_LOGGER = logging.getLogger(__name__)

ReadRows = Callable[[Any], dict[Table, ShardRows]]
"""Returns the rows of a shard by table, from what a shuffle grouped for the shard."""


def read_batches(batches: Iterable[bytes]) -> dict[Table, ShardRows]:
    """Returns the rows in the batches of a shard; empty ones only name the shard."""
    return collect_tables(decode(batch) for batch in batches if batch)


class WriteShard(ShardStep):
    """Joins and writes a shard; images are read here, after the shuffle, so that no shuffle has their bytes."""

    def __init__(self, job: ShardJob, threads: int, read_rows: ReadRows):
        """Writes nothing yet.

        Args:
            job: the conversion.
            threads: shards to write at once.
            read_rows: returns the rows of a shard.
        """
        super().__init__(job.work, threads)
        self._job = job
        self._read_rows = read_rows

    def process(self, element: tuple[int, Any], label_map: bytes) -> Iterator[object]:
        """Yields the numbers of the shards that are written, whose accounts are in the work folder.

        Args:
            element: the key of the shard, which is the shard mod the number of shards, and
                what the shuffle grouped for the shard.
            label_map: packed.
        """
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
        count_account(account, self.metrics)
        self.metrics.note("shard_msec", round(1e3 * (time.monotonic() - began)))
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
