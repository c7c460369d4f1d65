"""The pipeline of `verify`: from shards to one result in the work folder."""

from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.typehints import KV

from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.step_fn import StepFn
from oi_tfrecord.verification.check_duplicates import Place, find_shared, find_shared_image, locate_images
from oi_tfrecord.verification.check_shard import ShardTask
from oi_tfrecord.verification.result import pack_result, result_of
from oi_tfrecord.verification.steps import RESULTS, CheckShard, store_result


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
        step = StepFn(CheckShard(tasks, self._work, self._thread_count))
        step = step.with_output_types(KV[int, tuple[int, bytes]])
        checked = (
            root
            # number of the task
            | "CreateTasks" >> beam.Create(range(len(tasks)), reshuffle=False)
            | "SpreadTasks" >> beam.Reshuffle()
            # (bucket, (task, ids as bytes)); packed result of the shard
            | "CheckShards" >> beam.ParDo(step).with_outputs(RESULTS, main="ids")
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


def _locate_images(grouped: tuple[int, Iterable[bytes]], tasks: tuple[ShardTask, ...]) -> Iterator[tuple[bytes, Place]]:
    return locate_images(tasks[grouped[0]], grouped[1])


def _find_shared_image(grouped: tuple[bytes, Iterable[Place]], tasks: tuple[ShardTask, ...]) -> Iterator[bytes]:
    for fault in find_shared_image(grouped[0], grouped[1], tasks):
        yield pack_result(result_of(fault))


def _store_result(grouped: tuple[None, Iterable[bytes]], work: WorkFolder, max_faults: int) -> str:
    return store_result(grouped[1], work, max_faults)
