"""Shards to one JSON of what is wrong with them."""

import json
from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.typehints import KV

from oi_tfrecord import storage
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.threaded_fn import ShardFn
from oi_tfrecord.verification.check_duplicates import Place, find_shared, locate, report, split_ids
from oi_tfrecord.verification.check_shard import ShardTask, check_shard, to_json
from oi_tfrecord.verification.result import collect

CHECKS = "checks"

RESULT_FILE = "result.json"


class VerifyShards(beam.PTransform):
    """Checks each shard, finds images that are in two, and stores the result in the work folder.

    Input: the root. Output: the path of the result.
    """

    def __init__(self, tasks: tuple[ShardTask, ...], work: WorkFolder, max_faults: int, threads: int):
        """Initializes the instance.

        Args:
            tasks: the shards, in order.
            work: folder of the result.
            max_faults: how many faults are kept.
            threads: shards that a worker process checks at once.
        """
        super().__init__()
        self._tasks = tasks
        self._work = work
        self._max_faults = max_faults
        self._thread_count = threads

    def expand(self, root):  # type: ignore[no-untyped-def]
        tasks = self._tasks
        checked = (
            root
            # number of the task
            | "CreateTasks" >> beam.Create(range(len(tasks)), reshuffle=False)
            | "SpreadTasks" >> beam.Reshuffle()
            # (bucket, (task, ids as bytes)); JSON of a ShardCheck
            | "CheckShards"
            >> beam.ParDo(_CheckShard(tasks, self._work, self._thread_count)).with_outputs(CHECKS, main="ids")
        )
        shared = (
            checked.ids
            # bucket, (task, ids)
            | "GroupByBucket" >> beam.GroupByKey()
            # task, ids as bytes
            | "FindShared" >> beam.FlatMap(lambda item: find_shared(item[1])).with_output_types(KV[int, bytes])
            | "GroupByTask" >> beam.GroupByKey()
            # ImageID, place
            | "Locate" >> beam.FlatMap(_locate, tasks).with_output_types(KV[bytes, tuple[int, int, int]])
            | "GroupByImage" >> beam.GroupByKey()
            # JSON of a Fault
            | "ReportShared" >> beam.FlatMap(_report, tasks)
        )
        return (
            (checked[CHECKS], shared)
            | "FlattenChecks" >> beam.Flatten()
            | "KeyChecks" >> beam.Map(lambda check: (None, check))
            | "GroupChecks" >> beam.GroupByKey()
            # path of the result
            | "StoreResult" >> beam.Map(_store, self._work, self._max_faults)
        )


@beam.typehints.with_output_types(KV[int, tuple[int, bytes]])
class _CheckShard(ShardFn):
    def __init__(self, tasks: tuple[ShardTask, ...], work: WorkFolder, threads: int):
        super().__init__(work, threads)
        self._tasks = tasks

    def process(self, number: int) -> Iterator[object]:
        yield from self.run(self._check, number)

    def _check(self, number: int) -> list[object]:
        task = self._tasks[number]

        def progress(records: int, size: int, faults: int) -> None:
            total = (task.expected or {}).get("bytes") or 0
            self._reporter.set_shard(records, size, faults, min(size / total, 1) if total else 0)

        check, ids = check_shard(task, progress)
        self._reporter.end_shard(check.counts.records, check.size, sum(check.fault_counts.values()))
        outputs: list[object] = [beam.pvalue.TaggedOutput(CHECKS, to_json(check))]
        return outputs + [(bucket, (number, piece)) for bucket, piece in split_ids(ids)]


def _locate(grouped: tuple[int, Iterable[bytes]], tasks: tuple[ShardTask, ...]) -> Iterator[tuple[bytes, Place]]:
    return locate(tasks[grouped[0]], grouped[1])


def _report(grouped: tuple[bytes, Iterable[Place]], tasks: tuple[ShardTask, ...]) -> Iterator[bytes]:
    for fault in report(grouped[0], grouped[1], tasks):
        yield json.dumps(vars(fault)).encode()


def _store(grouped: tuple[None, Iterable[bytes]], work: WorkFolder, max_faults: int) -> str:
    path = storage.join(work.path, RESULT_FILE)
    storage.write(path, collect(grouped[1], max_faults), work.temporary)
    return path
