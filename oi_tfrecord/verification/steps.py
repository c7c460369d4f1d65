"""The steps of `verify`, and a run of all steps in one process without Beam."""

from collections import defaultdict
from collections.abc import Iterable, Iterator

from oi_tfrecord import storage
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.engine.step import ShardStep, Tagged, run_step
from oi_tfrecord.verification.check_duplicates import Place, find_shared, find_shared_image, locate_images, split_ids
from oi_tfrecord.verification.check_shard import ShardTask, check_shard
from oi_tfrecord.verification.result import merge_results, pack_result, result_of, unpack_result

RESULTS = "results"

RESULT_FILE = "result.json"


class CheckShard(ShardStep):
    """Checks a shard."""

    def __init__(self, tasks: tuple[ShardTask, ...], work: WorkFolder, threads: int):
        """Checks nothing yet.

        Args:
            tasks: the shards.
            work: folder of the reports.
            threads: shards to check at once.
        """
        super().__init__(work, threads)
        self._tasks = tasks

    def process(self, number: int) -> Iterator[object]:
        """Yields (bucket, (task, ids as bytes)), and to RESULTS the packed result of the shard.

        Args:
            number: of the task.
        """
        yield from self.run(self._check, number)

    def _check(self, number: int) -> list[object]:
        task = self._tasks[number]

        def progress(records: int, size: int, faults: int) -> None:
            total = (task.expected or {}).get("bytes") or 0
            self._reporter.set_shard(records, size, faults, min(size / total, 1) if total else 0)

        result, ids = check_shard(task, progress)
        summary = result.splits[task.split]
        self._reporter.end_shard(summary.counts.records, summary.size, result.fault_count)
        outputs: list[object] = [Tagged(RESULTS, pack_result(result))]
        return outputs + [(bucket, (number, piece)) for bucket, piece in split_ids(ids)]


def store_result(results: Iterable[bytes], work: WorkFolder, max_faults: int) -> str:
    """Stores the merged result; returns the path of the file.

    Args:
        results: packed results of shards, and of faults.
        work: folder of the result.
        max_faults: number of faults that are kept.
    """
    path = storage.join(work.path, RESULT_FILE)
    merged = merge_results(map(unpack_result, results), max_faults)
    storage.write(path, pack_result(merged), work.temporary)
    return path


def verify_here(tasks: tuple[ShardTask, ...], work: WorkFolder, max_faults: int, threads: int) -> None:
    """Does what the pipeline of `VerifyShards` does, whose arguments these are."""
    results: list[bytes] = []
    by_bucket: defaultdict[int, list[tuple[int, bytes]]] = defaultdict(list)
    for output in run_step(CheckShard(tasks, work, threads), range(len(tasks))):
        if isinstance(output, Tagged):
            results.append(output.value)
        else:
            bucket, ids_of_task = output
            by_bucket[bucket].append(ids_of_task)
    by_task: defaultdict[int, list[bytes]] = defaultdict(list)
    while by_bucket:
        for task, ids in find_shared(by_bucket.popitem()[1]):
            by_task[task].append(ids)
    by_image: defaultdict[bytes, list[Place]] = defaultdict(list)
    for task, pieces in by_task.items():
        for image_id, place in locate_images(tasks[task], pieces):
            by_image[image_id].append(place)
    faults = (fault for image_id, places in by_image.items() for fault in find_shared_image(image_id, places, tasks))
    store_result([*results, *(pack_result(result_of(fault)) for fault in faults)], work, max_faults)
