import dataclasses
import io
import math
import pathlib
import re
import tarfile
from typing import Any

import pytest

from oi_tfrecord.conversion.dry_run import measure as dry_run
from oi_tfrecord.conversion.dry_run.cost import NO_REQUESTS
from oi_tfrecord.conversion.dry_run.measure import measure_workload
from oi_tfrecord.conversion.dry_run.predict import NO_ARCHIVES, StorageRate, Workload
from oi_tfrecord.conversion.dry_run.time_storage import Extent, drop_cached, find_cached, measure_read
from oi_tfrecord.conversion.flags import parse_convert
from oi_tfrecord.conversion.plan import ConvertPlan, make_plan
from oi_tfrecord.conversion.plan_shards import ShardPlan, plan_shards
from oi_tfrecord.openimages.schema import IMAGE_FILE_ROW
from tests.support import small_release
from tests.support.small_release import Release, convert

SPLIT: dict[str, Any] = {
    "totals": {"records": 60},
    "tables": {"boxes": {"written": 180}},
    "estimate": {"ranges": 4, "shuffled_bytes": 1000, "cpu_seconds": 0.5},
}


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
    pathlib.Path(plan.config.output_dir).mkdir(parents=True, exist_ok=True)
    job = plan.shard_job()
    shard_plan = plan_shards(plan.range_job(frozenset()), job.driver, job.select, job.source, job.image_options)
    return plan, shard_plan


def measured(release: Release, folder: pathlib.Path, storage_rate: float = 0.0, **flags: object) -> Workload:
    return measure_workload(*planned(release, folder, **flags), SPLIT, (0.5, 2.0), 2, storage_rate)


def printed(*flags: str) -> dict[str, str]:
    out = io.StringIO()
    assert convert(flags, out) == 0
    return dict(line.split(maxsplit=1) for line in out.getvalue().splitlines())


def test_files_are_timed_and_their_storage_is_measured(release: Release, tmp_path: pathlib.Path) -> None:
    work = measured(release, tmp_path)
    assert (work.start_seconds, work.table_seconds, work.table_cpu_seconds) == (0.5, 2.0, 0.5)
    assert (work.shards, work.ranges, work.images, work.shuffled_bytes) == (3, 4, 60, 1000)
    assert work.timing.images > 0
    assert work.timing.lanes == 2
    assert work.file_bytes == work.image_bytes > 0
    assert work.storage.read < math.inf
    assert work.storage.written < math.inf
    assert work.listing == NO_ARCHIVES
    assert work.requests == NO_REQUESTS
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_storage_that_is_given_is_not_measured(
    release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(dry_run, "measure_storage")
    work = measured(release, tmp_path, storage_rate=120e6)
    assert work.storage == StorageRate(read=120e6, written=120e6, is_given=True)


def test_memory_holds_afterwards_what_it_held_before(release: Release, tmp_path: pathlib.Path) -> None:
    plan, shard_plan = planned(release, tmp_path)
    # The first are read to plan the shards, by every run.
    paths = [release.folder / "images" / f"{image_id}.jpg" for image_id in shard_plan.sample[32:]]
    extents = [Extent(str(path), 0, path.stat().st_size) for path in paths]
    assert len(extents) > 3
    drop_cached(extents)
    measure_read(extents[:2], threads=1)
    work = measure_workload(plan, shard_plan, SPLIT, (0.5, 2.0), 2, 0.0)
    assert find_cached(extents) == [True, True] + [False] * (len(extents) - 2)
    assert work.storage.cached == pytest.approx(2 / len(extents))


def test_archives_are_listed_and_read_where_images_lie(
    release: Release, archive: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    work = measured(release, tmp_path, images=None, archives=archive)
    assert work.listing.archives == 1
    assert work.listing.seconds > 0
    assert work.listing.largest == 1
    rows = 60 * IMAGE_FILE_ROW.itemsize
    assert rows < work.listing.shuffled_bytes < rows + 200
    assert work.timing.images > 0
    assert work.storage.read < math.inf


def test_a_dry_run_tells_of_lists_of_archives(release: Release, archive: pathlib.Path, tmp_path: pathlib.Path) -> None:
    told = printed(*release.flags(tmp_path, images=None, archives=archive, dry_run="true", workers=1))
    assert re.search(r"[\d.]+ s for the tables, [\d.]+ s for the lists of archives, [\d.]+ s for the im", told["time"])
    assert "of them for lists of archives" in told["shuffle"]


def test_a_dry_run_without_images_tells_where_it_looked(release: Release, tmp_path: pathlib.Path) -> None:
    flags = release.flags(tmp_path / "out", images="/not/{image_id}.jpg", dry_run="true", workers=1, num_shards=None)
    told = printed(*flags)
    place = r"/not/[0-9a-f]{16}\.jpg"
    assert re.search(rf"none of the 60 that were looked for is there, as {place}; .* another --images", told["plan"])
    assert re.search(
        rf"^[\d.]+ s for the tables .* unknown, as no image of the sample was found, as {place}$", told["time"]
    )
    assert "cost" not in told


def test_a_dry_run_of_images_by_url_tells_what_is_to_be_fetched(release: Release, tmp_path: pathlib.Path) -> None:
    pytest.importorskip("aiohttp", reason="pip install '.[download]'")
    cache = tmp_path / "cache"
    urls = {"images": None, "image_urls": "thumbnail", "image_cache": cache}
    told = printed(*release.flags(tmp_path / "out", dry_run="true", workers=1, num_shards=None, **urls))
    # 60 thumbnails of 120 KB.
    assert told["time"].endswith("servers and the network decide on it: 60 downloads, about 7.20 MB, unless cached")


def test_images_that_cannot_be_converted_have_no_time(release: Release, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    for image_id in release.image_ids:
        (folder / f"{image_id}.jpg").write_bytes(b"no image")
    work = measured(release, tmp_path / "out", images=folder / "{image_id}.jpg")
    assert work.timing.images == 0
    assert work.unsampled == "no image of the sample can be converted"


def test_requests_are_those_of_what_is_on_an_object_store(release: Release, tmp_path: pathlib.Path) -> None:
    plan, _ = planned(release, tmp_path)
    images = dataclasses.replace(plan, config=dataclasses.replace(plan.config, images="gs://bucket/{image_id}.jpg"))
    assert dry_run._count_requests(images, images.source, 60, 4, 10**6) == __import__(
        "oi_tfrecord.conversion.dry_run.cost", fromlist=["x"]
    ).count_requests(images=60)
    tables = dataclasses.replace(
        plan, files=tuple(dataclasses.replace(file, path=f"s3://bucket{file.path}") for file in plan.files)
    )
    assert dry_run._count_requests(tables, plan.source, 60, 4, 10**6) == __import__(
        "oi_tfrecord.conversion.dry_run.cost", fromlist=["x"]
    ).count_requests(table_ranges=4)
    config = dataclasses.replace(plan.config, output_dir="s3://bucket/records", attribution_csv=True)
    output = dataclasses.replace(plan, config=config)
    assert dry_run._count_requests(output, plan.source, 60, 4, 10**6) == __import__(
        "oi_tfrecord.conversion.dry_run.cost", fromlist=["x"]
    ).count_requests(ranges=4, output_store="s3://", shards=3, output_bytes=10**6, files_per_shard=2)
    assert dry_run._count_requests(plan, plan.source, 60, 4, 10**6) == NO_REQUESTS


def test_archives_on_an_object_store_are_passed_over(
    release: Release, archive: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    plan, _ = planned(release, tmp_path, images=None, archives=archive)
    remote = dataclasses.replace(
        plan,
        files=tuple(
            dataclasses.replace(file, path="gs://bucket/train.tar", size=100 << 20)
            if file.path == str(archive)
            else file
            for file in plan.files
        ),
    )
    expected = __import__("oi_tfrecord.conversion.dry_run.cost", fromlist=["x"]).count_requests(
        images=60, archive_bytes=100 << 20
    )
    assert dry_run._count_requests(remote, remote.source, 60, 4, 10**6) == expected
