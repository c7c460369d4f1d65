import pathlib
from collections.abc import Iterable

import pytest

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion import run_plan as run_plan_module
from oi_tfrecord.conversion.planning.plan import make_plan
from oi_tfrecord.engine.threads import Work
from tests.support import small_release
from tests.support.small_release import Release


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("clean") / "data", images=10, faults=False)


@pytest.mark.parametrize(
    ("flags", "work", "tables"),
    [
        ({}, Work.COPY_IMAGES, ["metadata"]),
        ({"driver": "boxes"}, Work.COPY_IMAGES, ["boxes"]),
        ({"image_mode": "verify"}, Work.DECODE_IMAGES, ["metadata"]),
    ],
)
def test_workers_are_chosen_by_the_work_and_the_size_of_its_tables(
    flags: dict[str, str],
    work: Work,
    tables: list[str],
    clean: Release,
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run_plan_module, "choose_workers", lambda *given: given)
    plan = make_plan(parse_convert(clean.flags(tmp_path, num_shards=3, **flags)).config)
    assert run_plan_module.choose_conversion_workers(plan) == (work, size_of(clean, tables), 3)


def size_of(release: Release, tables: Iterable[str]) -> int:
    return sum((release.folder / "train" / small_release.TABLES[table]).stat().st_size for table in tables)


def test_a_dry_run_takes_the_workers_of_this_machine(
    clean: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_plan_module, "choose_workers", lambda *given: given)
    monkeypatch.setattr(run_plan_module.os, "cpu_count", lambda: 3)
    plan = make_plan(parse_convert(clean.flags(tmp_path, num_shards=3)).config)
    size = size_of(clean, small_release.TABLES)
    assert run_plan_module.count_dry_run_workers(plan, 0) == (Work.COUNT_ROWS, size, 3)
    assert [run_plan_module.count_dry_run_workers(plan, workers) for workers in (1, 6, 7, 900)] == [1, 6, 3, 3]
