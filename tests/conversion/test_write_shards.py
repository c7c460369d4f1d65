"""What an engine that tries bundles again, or a job that nobody cancelled, does to shards that are written."""

import functools
import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion import shard as shard_module
from oi_tfrecord.conversion.pipeline import build_pipeline
from oi_tfrecord.conversion.planning.plan import ConvertPlan, make_plan
from oi_tfrecord.conversion.shard import convert_shard, find_finished
from oi_tfrecord.conversion.shard_job import ShardJob
from oi_tfrecord.dataset.accounts import ShardAccount
from oi_tfrecord.dataset.output_state import prepare_output
from oi_tfrecord.errors import EngineError
from oi_tfrecord.join.batches import Batch
from oi_tfrecord.join.shard_rows import collect_tables
from tests.support import small_release
from tests.support.small_release import Release

SHARDS = 4


def convert_batches(job: ShardJob, shard: int, batches: Sequence[Batch], *rest: Any) -> ShardAccount:
    """Converts a shard with the rows of some batches."""
    return convert_shard(job, shard, functools.partial(collect_tables, batches), *rest)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=12, faults=False)


def plan_of(release: Release, output_dir: pathlib.Path, **flags: object) -> ConvertPlan:
    return make_plan(parse_convert(release.flags(output_dir, **{"num_shards": SHARDS, **flags})).config)


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Counts how often each shard is written."""
    counts: Counter[str] = Counter()
    write = shard_module.write_shard

    def count(path: str, *arguments: object, **options: object) -> object:
        counts[pathlib.Path(path).name] += 1
        return write(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(shard_module, "write_shard", count)
    return counts


def test_a_bundle_that_is_tried_again_writes_no_finished_shard(
    release: Release, tmp_path: pathlib.Path, written: Counter[str]
) -> None:
    plan = plan_of(release, tmp_path)
    state = prepare_output(plan.target)
    with beam.Pipeline(runner=FnApiRunner(bundle_repeat=1)) as pipeline:
        build_pipeline(pipeline, plan, state.finished)
    assert len(written) == SHARDS
    assert set(written.values()) == {1}


def test_a_shard_whose_file_is_cut_is_written_again(release: Release, tmp_path: pathlib.Path) -> None:
    plan = plan_of(release, tmp_path)
    prepare_output(plan.target)
    job = plan.shard_job()
    account = convert_batches(job, 0, [], plan.classes.make_label_map({}))
    assert find_finished(job, 0) == account
    assert find_finished(job, 1) is None
    path = tmp_path / account.file
    path.write_bytes(path.read_bytes() + b"more")
    assert find_finished(job, 0) is None


def test_a_job_of_an_earlier_configuration_replaces_no_shard(release: Release, tmp_path: pathlib.Path) -> None:
    old, new = plan_of(release, tmp_path), plan_of(release, tmp_path, overwrite="true", select="boxed")
    prepare_output(old.target)
    prepare_output(new.target)
    label_map = new.classes.make_label_map({})
    account = convert_batches(new.shard_job(), 0, [], label_map)
    path = tmp_path / account.file
    before = path.stat().st_ino
    with pytest.raises(EngineError, match="another conversion of 'train' was started"):
        convert_batches(old.shard_job(), 0, [], label_map)
    assert path.stat().st_ino == before
    # What the new conversion wrote is not taken for the old one's.
    assert find_finished(old.shard_job(), 0) is None
