"""Seeded schedules of faults on the model of an engine, whose tasks run in any order: no record is lost or doubled."""

from collections import Counter
from collections.abc import Iterator

import pytest

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.planning.plan import ConvertPlan, make_plan
from oi_tfrecord.errors import StorageError
from tests.support.fault_engine import Engine, JobFailed
from tests.support.fault_filesystem import Faults, WorkerKilled
from tests.support.faulty_runs import RUNS, Conversion, few_images, kinds_of, written

FIRST, SCHEDULES = 150, 850
"""The seeds follow those of test_fault_schedules."""
BLOCKS = 10


@pytest.fixture(scope="module")
def conversion(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Conversion]:
    with few_images(tmp_path_factory.mktemp("release") / "data") as made:
        yield made


def plan_of(conversion: Conversion) -> ConvertPlan:
    conversion.start(Faults(0, error_rate=0.0))
    return make_plan(parse_convert(conversion.flags()).config)


@pytest.mark.parametrize("through_files", [False, True])
def test_without_faults_the_engine_does_as_the_command(conversion: Conversion, through_files: bool) -> None:
    Engine(Faults(7, error_rate=0.0)).run(plan_of(conversion), through_files)
    assert written() == conversion.undisturbed


@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_schedule_loses_or_doubles_a_record(conversion: Conversion, block: int) -> None:
    plan = plan_of(conversion)
    injected: Counter[str] = Counter()
    failed: Counter[int] = Counter()
    for seed in range(FIRST + block, FIRST + SCHEDULES, BLOCKS):
        faults = Faults.of_seed(seed)
        conversion.start(faults)
        for run in range(RUNS + 1):
            # In the end the storage works again; until then a job may fail, and the user runs it again.
            faults.active = run < RUNS
            try:
                with faults.worker():
                    Engine(faults).run(plan, through_files=seed % 4 < 2)
                break
            except (JobFailed, OSError, StorageError, WorkerKilled):
                assert run < RUNS, f"schedule {seed}: no end without faults"
        assert written() == conversion.undisturbed, f"schedule {seed}"
        injected += faults.injected
        failed[run] += 1
    assert kinds_of(range(FIRST + block, FIRST + SCHEDULES, BLOCKS)) <= set(injected)
    # Too harsh or too mild if all jobs fail or none does.
    assert 0 < failed[0] < sum(failed.values())
