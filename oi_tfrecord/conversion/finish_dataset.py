"""Accounts of ranges and shards to the manifest."""

from collections.abc import Collection, Iterable
from typing import TypedDict

import apache_beam as beam

from oi_tfrecord.conversion.finish import FinishJob, finish_dataset
from oi_tfrecord.dataset.accounts import RangeAccount, read_shard_accounts, sum_accounts
from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.records.packed_label_map import unpack


class Finished(TypedDict):
    """What is there when all ranges are read and all shards are written."""

    accounts: Iterable[RangeAccount]
    shards: Iterable[int]


class FinishDataset(beam.PTransform):
    """Writes label map, rejects and manifest once all ranges and shards are done.

    Input: (accounts of ranges, numbers of the shards that are written). The accounts of shards, which hold counts of
    each class, are in the work folder, so that no runner has to keep them. Output: the manifest of the split.
    """

    def __init__(self, job: FinishJob, label_map: beam.pvalue.AsSingleton, finished: Iterable[int]):
        """Writes nothing yet.

        Args:
            job: the end of the conversion.
            label_map: side input with the packed label map.
            finished: shards that an earlier run finished.
        """
        super().__init__()
        self._job = job
        self._label_map = label_map
        self._finished = frozenset(finished)

    def expand(self, inputs):  # type: ignore[no-untyped-def]
        """Adds the steps to a pipeline."""
        accounts, shards = inputs
        return (
            {
                # (None, RangeAccount)
                "accounts": accounts | "KeyAccounts" >> beam.Map(_under_one_key),
                # (None, number of a shard)
                "shards": shards | "KeyShards" >> beam.Map(_under_one_key),
            }
            # (None, Finished)
            | "GroupResults" >> beam.CoGroupByKey()
            # manifest of the split
            | "WriteManifest" >> beam.Map(_finish, self._job, self._label_map, self._finished)
        )


def _under_one_key(value: object) -> tuple[None, object]:
    return None, value


def _finish(
    grouped: tuple[None, Finished], job: FinishJob, label_map: bytes, finished: Collection[int]
) -> dict[str, object]:
    results = grouped[1]
    with relay_errors(job.work):
        shards = read_shard_accounts(job.work, {*results["shards"], *finished})
        return finish_dataset(job, sum_accounts(results["accounts"], shards), unpack(label_map))
