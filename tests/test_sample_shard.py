import pathlib

import small_release

from oi_tfrecord.options import parse_convert
from oi_tfrecord.plan import make_plan
from oi_tfrecord.sample_shard import time_sample


def test_a_sample_is_timed_and_leaves_nothing(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=30)
    flags = release.flags(tmp_path / "out", extra_keys="attribution", select="boxed", dry_run="true")
    job = make_plan(parse_convert(flags).config).with_shards(3).shard_job()
    timing = time_sample(job, release.image_ids)
    # Those without a readable file are no records.
    assert timing.images > 0
    assert timing.images % (30 - len(release.broken)) == 0
    assert timing.seconds > 0
    assert timing.cpu_seconds >= 0
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_without_a_sample_there_is_no_time(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=12)
    job = make_plan(parse_convert(release.flags(tmp_path / "out")).config).with_shards(3).shard_job()
    assert time_sample(job, ()).images == 0
