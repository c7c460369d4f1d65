import dataclasses
import pathlib

import pytest

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.planning.plan import ConvertPlan, make_plan
from oi_tfrecord.openimages.schema import Table
from tests.support import small_release
from tests.support.small_release import Release


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=12)


def plan_of(release: Release, output_dir: pathlib.Path, **flags: object) -> ConvertPlan:
    return make_plan(parse_convert(release.flags(output_dir, **flags)).config)


def test_one_shard_may_use_the_cores_that_no_other_needs(release: Release, tmp_path: pathlib.Path) -> None:
    for num_shards, threads, expected in ((1, 2, True), (2, 2, False), (5, 2, False), (1, 1, False)):
        plan = dataclasses.replace(plan_of(release, tmp_path, num_shards=num_shards), threads=threads)
        assert plan.shard_job().has_spare_cores is expected


def test_label_ids_are_0_for_classes_outside_the_label_map(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path)
    job = plan.shard_job()
    ids = dict(zip(job.mids, job.label_ids(plan.classes.make_label_map({})).tolist(), strict=True))
    assert ids == {mid: number for number, mid in enumerate(small_release.MIDS, 1)} | {small_release.UNLISTED: 0}
    assert job.driver is Table.METADATA


def test_label_ids_follow_the_label_map_that_is_given(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path)
    job = plan.shard_job()
    whole = plan.classes.make_label_map({})
    last = dataclasses.replace(whole, items=whole.items[-1:])
    for label_map in (whole, last, whole):
        ids = dict(zip(job.mids, job.label_ids(label_map).tolist(), strict=True))
        assert {mid: number for mid, number in ids.items() if number} == {
            item.name: item.id for item in label_map.items
        }


def test_the_rotation_is_used_to_turn_images_or_for_its_key(release: Release, tmp_path: pathlib.Path) -> None:
    job = plan_of(release, tmp_path).shard_job()
    assert not job.uses_rotation
    assert dataclasses.replace(job, turn_images=True).uses_rotation
    assert plan_of(release, tmp_path, extra_keys="rotation").shard_job().uses_rotation
