"""Results of ranges and shards to the manifest."""

from collections.abc import Iterable

import apache_beam as beam

from oi_tfrecord.conversion.finish import FinishJob, finish_dataset
from oi_tfrecord.conversion.label_map_side_input import unpack
from oi_tfrecord.dataset.accounts import RangeAccount, read_shard_accounts, sum_accounts


class FinishDataset(beam.PTransform):
    """Writes label map, rejects and manifest once all results are there.

    Input: results of ranges, and numbers of the shards that are written. Their results, which hold counts of each
    class, are in the work folder: no runner has to keep them. Output: the manifest of the split.
    """

    def __init__(self, job: FinishJob, label_map: beam.pvalue.AsSingleton, finished: Iterable[int]):
        """Initializes the instance.

        Args:
            job: the conversion.
            label_map: side input with the packed label map.
            finished: shards that an earlier run finished.
        """
        super().__init__()
        self._job = job
        self._label_map = label_map
        self._finished = frozenset(finished)

    def expand(self, results):  # type: ignore[no-untyped-def]
        return (
            results
            # RangeAccount or number of a shard
            | "FlattenResults" >> beam.Flatten()
            # (None, the same)
            | "KeyResults" >> beam.Map(lambda result: (None, result))
            | "GroupResults" >> beam.GroupByKey()
            # dict
            | "WriteManifest" >> beam.Map(_finish, self._job, self._label_map, self._finished)
        )


def _finish(
    grouped: tuple[None, Iterable[RangeAccount | int]], job: FinishJob, label_map: bytes, finished: frozenset[int]
) -> dict[str, object]:
    results = list(grouped[1])
    ranges = [result for result in results if isinstance(result, RangeAccount)]
    written = {result for result in results if not isinstance(result, RangeAccount)}
    with job.work.reported():
        sums = sum_accounts(ranges, read_shard_accounts(job.work, written | finished))
        return finish_dataset(job, sums, unpack(label_map))
