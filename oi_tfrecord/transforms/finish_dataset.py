"""Results of ranges and shards to the manifest."""

from collections.abc import Iterable

import apache_beam as beam

from oi_tfrecord.finish import FinishJob, finish_dataset
from oi_tfrecord.packed_label_map import unpack
from oi_tfrecord.results import RangeResult, ShardResult
from oi_tfrecord.totals import Totals


class FinishDataset(beam.PTransform):
    """Writes label map, rejects and manifest once all results are there.

    Input: results of ranges, of shards that are written, and of shards that an earlier run finished. Output: the
    manifest of the split.
    """

    def __init__(self, job: FinishJob, label_map: beam.pvalue.AsSingleton):
        super().__init__()
        self._job = job
        self._label_map = label_map

    def expand(self, results):  # type: ignore[no-untyped-def]
        ranges, written, kept = results
        # Each where it arises, as what is flattened first is stored first: then a runner keeps all results at once.
        # Totals
        sums = [
            ranges | "SumRanges" >> beam.CombineGlobally(SumResults()).without_defaults(),
            written | "SumShards" >> beam.CombineGlobally(SumResults()).without_defaults(),
            kept | "SumFinishedShards" >> beam.CombineGlobally(SumResults()).without_defaults(),
        ]
        return (
            ranges.pipeline
            # None
            | "CreateEnd" >> beam.Create([None], reshuffle=False)
            # dict
            | "WriteManifest" >> beam.Map(_finish, self._job, self._label_map, *map(beam.pvalue.AsIter, sums))
        )


class SumResults(beam.CombineFn):
    """Adds up results: what runners merge and send is the size of the classes, not of the results."""

    def create_accumulator(self) -> Totals:
        return Totals()

    def add_input(self, totals: Totals, result: RangeResult | ShardResult) -> Totals:
        totals.add(result)
        return totals

    def merge_accumulators(self, several: Iterable[Totals]) -> Totals:
        merged = Totals()
        for totals in several:
            merged.merge(totals)
        return merged

    def extract_output(self, totals: Totals) -> Totals:
        return totals


def _finish(_: None, job: FinishJob, label_map: bytes, *sums: Iterable[Totals]) -> dict[str, object]:
    totals = Totals()
    for part in sums:
        for item in part:
            totals.merge(item)
    with job.work.reported():
        return finish_dataset(job, totals, unpack(label_map))
