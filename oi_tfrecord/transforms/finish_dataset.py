"""Results of ranges and shards to the manifest."""

from collections.abc import Iterable

import apache_beam as beam

from oi_tfrecord.finish import FinishJob, finish_dataset
from oi_tfrecord.packed_label_map import unpack


class FinishDataset(beam.PTransform):
    """Writes label map, rejects and manifest once all results are there.

    Input: JSON of results. Output: the manifest of the split.
    """

    def __init__(self, job: FinishJob, label_map: beam.pvalue.AsSingleton):
        super().__init__()
        self._job = job
        self._label_map = label_map

    def expand(self, results: beam.PCollection) -> beam.PCollection:
        return (
            results
            # (None, JSON of a result)
            | "KeyResults" >> beam.Map(lambda result: (None, result))
            | "GroupResults" >> beam.GroupByKey()
            # dict
            | "WriteManifest" >> beam.Map(_finish, self._job, self._label_map)
        )


def _finish(grouped: tuple[None, Iterable[bytes]], job: FinishJob, label_map: bytes) -> dict[str, object]:
    with job.work.reported():
        return finish_dataset(job, grouped[1], unpack(label_map))
