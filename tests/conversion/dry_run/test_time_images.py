import pathlib

import pytest

from oi_tfrecord.conversion.dry_run.time_images import _make_rows, time_sample
from oi_tfrecord.conversion.flags import parse_convert
from oi_tfrecord.conversion.plan import make_plan
from oi_tfrecord.join.batches import decode, encode
from oi_tfrecord.openimages.schema import Table
from tests.support import small_release


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_sample_is_timed_and_leaves_nothing(lanes: int, tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=30)
    flags = release.flags(tmp_path / "out", extra_keys="attribution", select="boxed", dry_run="true")
    job = make_plan(parse_convert(flags).config).with_shards(3).shard_job()
    timing = time_sample(job, release.image_ids, {Table.BOXES: 2.4, Table.HUMAN_LABELS: 1e9}, lanes)
    # Those without a readable file are no records.
    assert timing.images > 0
    assert timing.images % (30 - len(release.broken)) == 0
    assert timing.lanes == lanes
    # Each lane writes at least once, whatever time that takes.
    assert timing.images >= lanes * (30 - len(release.broken))
    assert timing.seconds > 0
    assert timing.cpu_seconds >= 0
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_images_may_be_read_by_another_way_than_the_source(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=12, faults=False)
    (tmp_path / "x.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    flags = release.flags(tmp_path / "out", images=None, archives=tmp_path / "x.zip")
    job = make_plan(parse_convert(flags).config).with_shards(3).shard_job()
    assert time_sample(job, release.image_ids, {}, 1).images == 0
    asked = []

    def read(image_id: str) -> bytes:
        asked.append(image_id)
        return (release.folder / "images" / f"{image_id}.jpg").read_bytes()

    timing = time_sample(job, release.image_ids, {}, 1, read)
    assert set(asked) == set(release.image_ids)
    assert timing.images % 12 == 0


def test_without_a_sample_there_is_no_time(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=12)
    job = make_plan(parse_convert(release.flags(tmp_path / "out")).config).with_shards(3).shard_job()
    assert time_sample(job, (), {}, 2).images == 0


def test_sampled_images_have_the_rows_of_an_average_record() -> None:
    means = {Table.BOXES: 6.6, Table.HUMAN_LABELS: 9.0, Table.MACHINE_LABELS: 0.4}
    batches = _make_rows(["000a1249af2bc5f0", "ffffffffffffffff"], means, classes=5)
    rows = {batch.key.table: batch.rows for batch in batches}
    assert {table: len(found) for table, found in rows.items()} == {
        Table.METADATA: 2,
        Table.BOXES: 14,
        # An image has each class once.
        Table.HUMAN_LABELS: 10,
        Table.MACHINE_LABELS: 0,
    }
    assert rows[Table.METADATA]["image_id"].tolist() == [0x000A1249AF2BC5F0, 0xFFFFFFFFFFFFFFFF]
    boxes = rows[Table.BOXES]
    assert len(set(boxes["xmax"][:7].tolist())) == 7
    assert ((boxes["xmin"] < boxes["xmax"]) & (boxes["xmax"] <= 1) & (boxes["ymax"] == 1)).all()
    assert all(decode(encode(batch)).sources == batch.sources for batch in batches)
