import dataclasses
import io
import pathlib
import re
import tarfile
from typing import Any

import pytest

from oi_tfrecord.cli.convert_flags import parse_convert
from oi_tfrecord.conversion.dry_run import measure as measure_module
from oi_tfrecord.conversion.dry_run.measure import Workload, count_requests, make_batches, measure, time_images
from oi_tfrecord.conversion.planning.plan import ConvertPlan, make_plan
from oi_tfrecord.conversion.planning.plan_shards import ShardPlan, plan_shards
from oi_tfrecord.join.batches import decode, encode
from oi_tfrecord.openimages.schema import Table
from tests.support import small_release
from tests.support.small_release import Release, convert

SPLIT: dict[str, Any] = {
    "totals": {"records": 60},
    "tables": {"boxes": {"written": 180}},
    "estimate": {"ranges": 4, "shuffled_bytes": 1000, "cpu_seconds": 0.5},
}


@pytest.fixture(autouse=True)
def _one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure_module, "_LEAST_SECONDS", 0.0)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=60, faults=False)


@pytest.fixture(scope="module")
def archive(release: Release, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("archive") / "train.tar"
    with tarfile.open(path, "w") as tar:
        for image in sorted((release.folder / "images").iterdir()):
            tar.add(image, f"train/{image.name}")
    return path


def planned(release: Release, folder: pathlib.Path, **flags: object) -> tuple[ConvertPlan, ShardPlan]:
    plan = make_plan(parse_convert(release.flags(folder, dry_run="true", num_shards=3, **flags)).config)
    return plan, plan_shards(plan)


def measured(release: Release, folder: pathlib.Path, **flags: object) -> Workload:
    return measure(*planned(release, folder, **flags), SPLIT, seconds=2.0, workers=1)


def printed(*flags: str) -> dict[str, str]:
    out = io.StringIO()
    assert convert(flags, out) == 0
    return dict(line.split(maxsplit=1) for line in out.getvalue().splitlines())


def test_counts_are_kept_and_images_are_timed(release: Release, tmp_path: pathlib.Path) -> None:
    workload = measured(release, tmp_path)
    assert (workload.fixed_seconds, workload.table_seconds) == (1.5, 0.5)
    assert (workload.ranges, workload.shards, workload.records, workload.shuffled_bytes) == (4, 3, 60, 1000)
    assert workload.found == 1
    assert workload.output_bytes == 60 * workload.image_bytes > 0
    assert workload.timed_images == 60
    assert workload.seconds_per_image > 0
    assert workload.image_seconds == pytest.approx(60 * workload.seconds_per_image)
    assert (workload.reads, workload.writes, workload.untimed, workload.uncounted) == (0, 0, "", ())
    assert not list(tmp_path.iterdir()), "the sample is written elsewhere than to the output"


def test_images_of_archives_are_timed(release: Release, archive: pathlib.Path, tmp_path: pathlib.Path) -> None:
    workload = measured(release, tmp_path, images=None, archives=archive)
    assert workload.timed_images == 60
    assert workload.uncounted == ("finding and reading the images",)


def test_images_that_cannot_be_converted_have_no_time(release: Release, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    for image_id in release.image_ids:
        (folder / f"{image_id}.jpg").write_bytes(b"no image")
    workload = measured(release, tmp_path / "out", images=folder / "{image_id}.jpg")
    assert (workload.timed_images, workload.seconds_per_image) == (0, 0.0)
    assert workload.untimed == "no image of the sample can be converted"


def test_a_sample_leaves_out_broken_images_and_what_needs_text_columns(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=30)
    flags = release.flags(tmp_path / "out", extra_keys="attribution", select="boxed", dry_run="true")
    plan = make_plan(parse_convert(flags).config).with_shards(3)
    images, seconds = time_images(
        plan.shard_job(), plan.samples, release.image_ids, {Table.BOXES: 2.4, Table.HUMAN_LABELS: 1e9}
    )
    assert images == 30 - len(release.broken)
    assert seconds > 0
    assert time_images(plan.shard_job(), plan.samples, (), {}) == (0, 0.0)


def test_a_sample_is_converted_again_until_its_time_has_passed(
    release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, _ = planned(release, tmp_path)
    # Start, after the first pass, after the second pass, end.
    clock = iter([100.0, 100.1, 100.3, 100.4])
    monkeypatch.setattr(measure_module.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(measure_module.time, "process_time", lambda: 0.0)
    monkeypatch.setattr(measure_module, "_LEAST_SECONDS", 0.2)
    images, seconds = time_images(plan.shard_job(), plan.samples, release.image_ids[:12], {})
    assert images == 24
    assert seconds == pytest.approx(0.4 / 24)


def test_sampled_images_have_the_rows_of_an_average_record() -> None:
    means = {Table.BOXES: 6.6, Table.HUMAN_LABELS: 9.0, Table.MACHINE_LABELS: 0.4}
    batches = make_batches(["000a1249af2bc5f0", "ffffffffffffffff"], means, classes=5)
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


def test_a_dry_run_without_images_says_where_it_looked(release: Release, tmp_path: pathlib.Path) -> None:
    flags = release.flags(tmp_path / "out", images="/not/{image_id}.jpg", dry_run="true", workers=1, num_shards=None)
    lines = printed(*flags)
    place = r"/not/[0-9a-f]{16}\.jpg"
    assert re.search(rf"none of the 60 that were looked for is there, as {place}; .* another --images", lines["plan"])
    assert re.search(rf"; unknown for the images, as no image of the sample was found, as {place}$", lines["time"])
    assert "output" not in lines


def test_a_dry_run_of_images_by_url_says_what_it_would_download(release: Release, tmp_path: pathlib.Path) -> None:
    urls = {"images": None, "image_urls": "thumbnail", "image_cache": tmp_path / "cache"}
    lines = printed(*release.flags(tmp_path / "out", dry_run="true", workers=1, num_shards=None, **urls))
    # 60 thumbnails of 120 KB.
    assert lines["time"].endswith("servers and the network decide on it: 60 downloads, about 7.20 MB, unless cached")


def test_requests_are_counted_for_what_is_on_an_object_store(release: Release, tmp_path: pathlib.Path) -> None:
    plan, _ = planned(release, tmp_path)

    def of(**changes: Any) -> tuple[int, int]:
        changed = dataclasses.replace(plan, config=dataclasses.replace(plan.config, **changes))
        return count_requests(changed, images=60, ranges=4)

    assert of() == (0, 0)
    assert of(images="gs://bucket/{image_id}.jpg") == (60, 0)
    assert of(images="", archives=("s3://bucket/train.tar",)) == (60, 0)
    # A shard and its result; results are read at the end, which writes six files.
    assert of(output_dir="s3://bucket/records") == (3, 3 * 2 + 6)
    tables = tuple(dataclasses.replace(file, path=f"s3://bucket{file.path}") for file in plan.tables)
    assert count_requests(dataclasses.replace(plan, tables=tables), images=60, ranges=4) == (12, 0)
