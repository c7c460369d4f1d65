"""The pipeline of `verify`: from shards to one result in the work folder."""

from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.typehints import KV

from oi_tfrecord import storage
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.threaded_fn import ShardFn
from oi_tfrecord.verification.check_duplicates import Place, find_shared, find_shared_image, locate_images, split_ids
from oi_tfrecord.verification.check_shard import ShardTask, check_shard
from oi_tfrecord.verification.result import merge_results, pack_result, result_of, unpack_result

RESULTS = "results"

RESULT_FILE = "result.json"


class VerifyShards(beam.PTransform):
    """Checks each shard, finds images that are in two shards, and stores the result in the work folder.

    Input: the root. Output: the path of the result.
    """

    def __init__(self, tasks: tuple[ShardTask, ...], work: WorkFolder, max_faults: int, threads: int):
        """Prepares the steps.

        Args:
            tasks: the shards, in order.
            work: folder of the result.
            max_faults: number of faults that are kept.
            threads: shards that a worker process checks at once.
        """
        super().__init__()
        self._tasks = tasks
        self._work = work
        self._max_faults = max_faults
        self._thread_count = threads

    def expand(self, root):  # type: ignore[no-untyped-def]
        """Adds the steps to a pipeline."""
        tasks = self._tasks
        checked = (
            root
            # number of the task
            | "CreateTasks" >> beam.Create(range(len(tasks)), reshuffle=False)
            | "SpreadTasks" >> beam.Reshuffle()
            # (bucket, (task, ids as bytes)); packed result of the shard
            | "CheckShards"
            >> beam.ParDo(_CheckShard(tasks, self._work, self._thread_count)).with_outputs(RESULTS, main="ids")
        )
        shared = (
            checked.ids
            # bucket, (task, ids)
            | "GroupByBucket" >> beam.GroupByKey()
            # task, ids as bytes
            | "FindShared" >> beam.FlatMap(lambda item: find_shared(item[1])).with_output_types(KV[int, bytes])
            | "GroupByTask" >> beam.GroupByKey()
            # ImageID, place
            | "LocateImages" >> beam.FlatMap(_locate_images, tasks).with_output_types(KV[bytes, tuple[int, int, int]])
            | "GroupByImage" >> beam.GroupByKey()
            # packed result that is one fault
            | "ReportShared" >> beam.FlatMap(_find_shared_image, tasks)
        )
        return (
            (checked[RESULTS], shared)
            | "FlattenResults" >> beam.Flatten()
            | "KeyResults" >> beam.Map(lambda packed: (None, packed))
            | "GroupResults" >> beam.GroupByKey()
            # path of the result
            | "StoreResult" >> beam.Map(_store_result, self._work, self._max_faults)
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

        result, ids = check_shard(task, progress)
        summary = result.splits[task.split]
        self._reporter.end_shard(summary.counts.records, summary.size, result.fault_count)
        outputs: list[object] = [beam.pvalue.TaggedOutput(RESULTS, pack_result(result))]
        return outputs + [(bucket, (number, piece)) for bucket, piece in split_ids(ids)]


def _locate_images(grouped: tuple[int, Iterable[bytes]], tasks: tuple[ShardTask, ...]) -> Iterator[tuple[bytes, Place]]:
    return locate_images(tasks[grouped[0]], grouped[1])


def _find_shared_image(grouped: tuple[bytes, Iterable[Place]], tasks: tuple[ShardTask, ...]) -> Iterator[bytes]:
    for fault in find_shared_image(grouped[0], grouped[1], tasks):
        yield pack_result(result_of(fault))


def _store_result(grouped: tuple[None, Iterable[bytes]], work: WorkFolder, max_faults: int) -> str:
    path = storage.join(work.path, RESULT_FILE)
    merged = merge_results(map(unpack_result, grouped[1]), max_faults)
    storage.write(path, pack_result(merged), work.temporary)
    return path
