"""A model of an engine that runs the functions of a conversion, without Beam, under a schedule of faults."""

import functools
import random
from collections.abc import Callable
from typing import Any, TypeVar

from oi_tfrecord.conversion.finish import finish_dataset
from oi_tfrecord.conversion.planning.plan import ConvertPlan
from oi_tfrecord.conversion.read_range import read_table_range
from oi_tfrecord.conversion.shard import convert_shard
from oi_tfrecord.conversion.write_shards import read_batches
from oi_tfrecord.dataset.accounts import AccountSum, RangeAccount, read_shard_accounts, sum_accounts
from oi_tfrecord.dataset.output_state import prepare_output
from oi_tfrecord.join.shuffle_files import read_index, write_rows
from oi_tfrecord.openimages.csv.file_ranges import needs_scan, plan_ranges, resolve_ranges, scan_range
from tests.support.fault_filesystem import Faults, WorkerKilled
from tests.support.faulty_runs import ATTEMPTS

Result = TypeVar("Result")


class JobFailed(Exception):
    """A task failed as often as it may."""


class Engine:
    """Runs the pure functions of a conversion as a runner does.

    Tasks run in any order; one that fails or whose worker is killed is tried again; one that has ended may be
    run once more, as a runner does that thinks it slow, and either result is taken, but one.
    """

    def __init__(self, faults: Faults):
        self._faults = faults
        self._chosen = random.Random(faults.seed + 1)

    def _run(self, task: Callable[[], Result]) -> Result:
        for _ in range(ATTEMPTS):
            try:
                with self._faults.worker():
                    result = task()
            except (Exception, WorkerKilled):
                continue
            if self._chosen.random() < 0.1:
                try:
                    with self._faults.worker():
                        again = task()
                except (Exception, WorkerKilled):
                    continue
                return self._chosen.choice([result, again])
            return result
        raise JobFailed

    def _shuffled(self, items: list[Any]) -> list[Any]:
        return self._chosen.sample(items, len(items))

    def run(self, plan: ConvertPlan, through_files: bool) -> None:
        """Runs a conversion from the state of its output folder to its end, or to a task that fails too often."""
        state = prepare_output(plan.target)
        if state.complete is not None:
            return
        job = plan.range_job(frozenset(state.finished))
        ranges = []
        for file in job.files.values():
            nominal = plan_ranges(file, job.block_bytes)
            scanned = [item for item in nominal if needs_scan(item)]
            scans = [self._run(lambda item=item, file=file: scan_range(file, item)) for item in scanned]
            ranges += (self._run(lambda file=file, scans=scans: resolve_ranges(file, scans)) if scans else []) + [
                item for item in nominal if not needs_scan(item)
            ]
        results: list[RangeAccount] = []
        batches: dict[int, list[bytes]] = {shard: [] for shard in range(plan.num_shards) if shard not in state.finished}
        for item in self._shuffled(ranges):
            pairs, ends = self._run(lambda item=item: self._read(job, item, plan.work.shuffle if through_files else ""))
            # Only what a task yields that ended well is taken.
            results += ends
            for shard, batch in pairs:
                batches[shard].append(batch)
        if through_files:
            index = self._run(lambda: read_index(plan.work.shuffle))
            grouped = {shard: functools.partial(index.tables, shard) for shard in batches}
        else:
            grouped = {
                shard: functools.partial(read_batches, self._shuffled(items)) for shard, items in batches.items()
            }
        label_map = plan.classes.label_map
        assert label_map is not None
        shard_job = plan.shard_job()
        for shard in self._shuffled(list(grouped)):
            self._run(lambda shard=shard: convert_shard(shard_job, shard, grouped[shard], label_map))
        shards = {*grouped, *state.finished}
        self._run(lambda: finish_dataset(plan.finish_job(), self._sum(plan, results, shards), label_map))
        plan.work.delete()

    def _sum(self, plan: Any, ranges: list[RangeAccount], shards: set[int]) -> AccountSum:
        return sum_accounts(self._shuffled(ranges), read_shard_accounts(plan.work, shards))

    def _read(self, job: Any, item: Any, folder: str) -> tuple[list[tuple[int, bytes]], list[RangeAccount]]:
        pairs, ends = [], []
        for block in read_table_range(job, item):
            if folder:
                write_rows(folder, block.rows)
            else:
                pairs += block.rows.batches()
            ends.append(block.account)
        return pairs, ends
