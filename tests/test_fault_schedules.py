"""A thousand seeded schedules of faults: no record is lost or doubled, and every rerun ends in the same bytes."""

import contextlib
import io
import pathlib
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest
import small_release
from fault_filesystem import Faults, FaultyFileSystem, WorkerKilled

from oi_tfrecord import storage
from oi_tfrecord.batches import decode
from oi_tfrecord.convert import _finish_job, convert
from oi_tfrecord.csv_input import needs_scan, plan_ranges, resolve_ranges, scan_range
from oi_tfrecord.errors import FileError, StorageError
from oi_tfrecord.finish import finish_dataset, sum_results
from oi_tfrecord.framing import read_records
from oi_tfrecord.options import parse_convert
from oi_tfrecord.output_state import prepare_output
from oi_tfrecord.parse_example import parse_example
from oi_tfrecord.plan import ConvertPlan, make_plan
from oi_tfrecord.range_job import read_table_range
from oi_tfrecord.results import RangeResult, ShardResult
from oi_tfrecord.shard_job import convert_shard
from oi_tfrecord.shuffle_files import read_index, write_batches

SCHEDULES = 1000
COMMANDS = 24
ATTEMPTS = 4
"""How often a task is tried before the job fails, as on Dataflow."""
RUNS = 5
"""How often the user runs a failing job again before the storage is mended."""
IN, OUT = "faulty://in", "faulty://out/dataset"

Result = TypeVar("Result")


class JobFailed(Exception):
    """A task failed as often as it may."""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> small_release.Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=12, seed=4)


@pytest.fixture(scope="module")
def inputs(release: small_release.Release) -> dict[str, bytes]:
    return {f"{IN}/{name}": data for name, data in small_release.dataset(release.folder).items()}


@pytest.fixture(autouse=True)
def clean(inputs: dict[str, bytes]) -> Iterator[None]:
    start(inputs, Faults(0, error_rate=0.0))
    yield
    start({}, Faults(0, error_rate=0.0))


def start(inputs: dict[str, bytes], faults: Faults) -> None:
    FaultyFileSystem.files.clear()
    FaultyFileSystem.files.update(inputs)
    FaultyFileSystem.faults = faults


def flags(release: small_release.Release, **others: object) -> list[str]:
    places = {"data_dir": IN, "images": IN + "/images/{image_id}.jpg", "num_shards": 3, "read_threads": 1}
    return release.flags(OUT, **{**places, **others})


def written() -> dict[str, bytes]:
    return {path: data for path, data in FaultyFileSystem.files.items() if path.startswith("faulty://out/")}


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
        state = prepare_output(plan)
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
        results: list[RangeResult | ShardResult] = []
        batches: dict[int, list[bytes]] = {shard: [] for shard in range(plan.num_shards) if shard not in state.finished}
        for item in self._shuffled(ranges):
            pairs, ends = self._run(lambda item=item: self._read(job, item, plan.work.shuffle if through_files else ""))
            # Only what a task yields that ended well is taken.
            results += ends
            for shard, batch in pairs:
                batches[shard].append(batch)
        if through_files:
            index = self._run(lambda: read_index(plan.work.shuffle))
            grouped = {shard: index.batches(shard) for shard in batches}
        else:
            grouped = {shard: self._shuffled(items) for shard, items in batches.items()}
        label_map = plan.classes.label_map
        assert label_map is not None
        shard_job = plan.shard_job()
        for shard in self._shuffled(list(grouped)):
            write = lambda shard=shard: convert_shard(  # noqa: E731
                shard_job, shard, [decode(batch) for batch in grouped[shard]], label_map
            )
            self._run(write)
        shards = {*grouped, *state.finished}
        self._run(
            lambda: finish_dataset(
                _finish_job(plan), sum_results(plan.work, self._shuffled(results), shards), label_map
            )
        )
        plan.work.delete()

    def _read(self, job: Any, item: Any, folder: str) -> tuple[list[tuple[int, bytes]], list[RangeResult]]:
        pairs, ends, number = [], [], 0
        for found in read_table_range(job, item):
            if isinstance(found, RangeResult):
                ends.append(found)
                if folder:
                    write_batches(folder, f"{found.table}-{found.file}-{found.index}", pairs)
                    pairs = []
                    number += 1
            else:
                pairs.append(found)
        return pairs, ends


def image_ids(files: dict[str, bytes]) -> Counter[bytes]:
    found: Counter[bytes] = Counter()
    for path, data in files.items():
        if ".tfrecord-" in path:
            for _, record in read_records(io.BytesIO(data)):
                found[bytes(parse_example(record)["image/source_id"][0])] += 1
    return found


@pytest.fixture(scope="module")
def undisturbed(
    release: small_release.Release, inputs: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """What the command writes with no fault; its records are those of a local run, once each."""
    start(inputs, Faults(0, error_rate=0.0))
    assert convert(flags(release, workers=1), io.StringIO()) == 0
    files = written()
    local = tmp_path_factory.mktemp("local")
    assert convert(release.flags(local, num_shards=3, workers=1), io.StringIO()) == 0
    names = {path.rpartition("/")[2]: data for path, data in files.items()}
    assert {name: data for name, data in names.items() if ".tfrecord-" in name} == small_release.shards(local)
    whole = set(release.image_ids) - set(release.broken.values())
    assert image_ids(files) == Counter({image_id.encode(): 1 for image_id in whole})
    return files


def plan_of(release: small_release.Release) -> ConvertPlan:
    return make_plan(parse_convert(flags(release)).config)


@pytest.mark.parametrize("through_files", [False, True])
def test_without_faults_the_engine_does_as_the_command(
    through_files: bool, release: small_release.Release, undisturbed: dict[str, bytes]
) -> None:
    Engine(Faults(7, error_rate=0.0)).run(plan_of(release), through_files)
    assert written() == undisturbed


@pytest.mark.parametrize("block", range(10))
def test_no_schedule_loses_or_doubles_a_record(
    block: int, release: small_release.Release, inputs: dict[str, bytes], undisturbed: dict[str, bytes]
) -> None:
    plan = plan_of(release)
    injected: Counter[str] = Counter()
    runs: Counter[int] = Counter()
    for seed in range(block * SCHEDULES // 10, (block + 1) * SCHEDULES // 10):
        faults = Faults.of_seed(seed)
        start(inputs, faults)
        for run in range(RUNS + 1):
            # In the end the storage is mended; until then a job may fail, and the user runs it again.
            faults.active = run < RUNS
            try:
                with faults.worker():
                    Engine(faults).run(plan, through_files=seed % 2 == 0)
                break
            except (JobFailed, OSError, StorageError, WorkerKilled):
                assert run < RUNS, f"schedule {seed}: no end without faults"
        assert written() == undisturbed, f"schedule {seed}"
        injected += faults.injected
        runs[run] += 1
    # The schedules are none if nothing was injected, and too harsh or too mild if all jobs fail or none does.
    assert set(injected) == {"read error", "write error", "rename failed", "disk full", "worker killed"}
    assert min(injected.values()) > 5
    assert runs[0] > 0
    assert sum(runs[run] for run in runs if run) > 0


def test_the_whole_command_ends_in_the_same_bytes(
    release: small_release.Release, inputs: dict[str, bytes], undisturbed: dict[str, bytes], capfd: Any
) -> None:
    """On the FnApiRunner, which tries no task again: the command stops, says why, and is run again."""
    told: list[Exception] = []
    for seed in range(COMMANDS):
        # One process, so a killed worker is the whole command; test_resume kills processes.
        faults = Faults(seed, error_rate=0.004, rename_rate=(0.0, 0.05)[seed % 2], full_from=30 * (seed % 3), full_to=0)
        faults.full_to = faults.full_from + 3 if faults.full_from else 0
        start(inputs, faults)
        for run in range(3):
            faults.active = run < 2
            try:
                assert convert(flags(release, workers=1), io.StringIO()) == 0
                break
            except Exception as error:
                told.append(error)
        assert written() == undisturbed, f"schedule {seed}"
    assert len(told) > COMMANDS / 4
    # One line that names the file and what is wrong, not a trace of the runner.
    assert not [error for error in told if "injected: " not in str(error) or "\n" in str(error)]
    assert not [repr(error) for error in told if not isinstance(error, FileError | OSError)]
    capfd.readouterr()


def test_a_slow_store_gives_the_same_bytes(
    release: small_release.Release, undisturbed: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = random.Random(1)
    faults = Faults(0, error_rate=0.0)
    monkeypatch.setattr(FaultyFileSystem, "faults", faults)
    monkeypatch.setattr(faults, "request", lambda kind, path: time.sleep(chosen.uniform(0, 0.004)))
    assert convert(flags(release, workers=1, read_threads=4), io.StringIO()) == 0
    assert written() == undisturbed


def test_a_store_that_stays_full_is_named(release: small_release.Release) -> None:
    FaultyFileSystem.faults = Faults(0, error_rate=0.0, full_from=10, full_to=10**9)
    with pytest.raises(Exception, match="injected: disk full"):
        convert(flags(release, workers=1), io.StringIO())
    assert not [path for path in written() if path.endswith("manifest.json")]
    assert storage.exists(OUT)


def test_faults_of_a_seed_are_always_the_same(release: small_release.Release, inputs: dict[str, bytes]) -> None:
    def injected() -> Counter[str]:
        faults = Faults.of_seed(3)
        start(inputs, faults)
        with contextlib.suppress(JobFailed, OSError, StorageError, WorkerKilled):
            Engine(faults).run(plan_of_healthy(release, faults), through_files=False)
        return faults.injected

    assert injected() == injected() != Counter()


def plan_of_healthy(release: small_release.Release, faults: Faults) -> ConvertPlan:
    faults.active = False
    plan = plan_of(release)
    faults.active = True
    return plan


def test_a_local_path_is_left_alone(tmp_path: pathlib.Path) -> None:
    FaultyFileSystem.faults = Faults(0, error_rate=1.0)
    storage.write(str(tmp_path / "a"), b"x", str(tmp_path))
    with pytest.raises(OSError, match="injected"):
        storage.write(f"{OUT}/a", b"x", OUT)
