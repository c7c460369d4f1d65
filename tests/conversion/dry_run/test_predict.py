import dataclasses

import pytest

from oi_tfrecord.conversion.dry_run.predict import (
    ImageTiming,
    ListingTiming,
    StorageRate,
    Workload,
    image_seconds,
    predict_cluster,
    predict_here,
    storage_seconds,
    worker_hours,
)

# A table phase of 10 s by 2 workers on 2 cores, of which 2 s are start and end, after half a second in which the
# program started, and 100,000 images of 1 ms alone or 1.6 ms of all cores: one worker keeps more than one core busy,
# two keep no more than two.
WORK = Workload(
    start_seconds=0.5,
    table_seconds=10.0,
    table_workers=2,
    table_cpu_seconds=16.0,
    ranges=40,
    shards=1000,
    images=100_000,
    image_bytes=250_000,
    file_bytes=250_000,
    shuffled_bytes=2_000_000_000,
    timing=ImageTiming(images=250, seconds=0.25, cpu_seconds=0.4),
)
# 500 s for the lists of ten archives by one worker, 100 of them for the largest.
IN_ARCHIVES = dataclasses.replace(WORK, listing=ListingTiming(archives=10, seconds=500.0, largest=0.2))


def test_lanes_that_wait_for_each_other_are_not_taken_for_fast_ones() -> None:
    # 500 images in a second of two lanes that are never idle: 4 ms each.
    slow = dataclasses.replace(WORK, timing=ImageTiming(images=500, seconds=1.0, cpu_seconds=1.9, lanes=2))
    assert image_seconds(slow, 1, cores=2) == pytest.approx(100_000 * 0.004)
    assert image_seconds(slow, 2, cores=2) == pytest.approx(100_000 * 0.002)
    assert predict_cluster(slow, 2, cores=2).images == pytest.approx(100_000 * 0.002)


@pytest.mark.parametrize(("workers", "seconds"), [(1, 100.0), (2, 80.0), (4, 80.0)])
def test_processes_share_the_cores(workers: int, seconds: float) -> None:
    assert image_seconds(WORK, workers, cores=2) == pytest.approx(seconds)


def test_many_cores_are_used_by_many_processes() -> None:
    assert image_seconds(WORK, 10, cores=64) == pytest.approx(10.0)


@pytest.mark.parametrize(("workers", "tables"), [(1, 16.0), (2, 8.0), (4, 8.0)])
def test_tables_scale_but_for_start_and_end(workers: int, tables: float) -> None:
    here = predict_here(WORK, workers, cores=2)
    assert here.fixed == pytest.approx(2.5)
    assert here.tables == pytest.approx(tables)
    assert here.seconds == pytest.approx(2.5 + tables + image_seconds(WORK, workers, 2))


@pytest.mark.parametrize(
    ("workers", "shards", "images", "bottleneck"),
    [
        (1, 1000, 160.0, "images, by the number of workers"),
        (100, 1000, 1.6, "start and end"),
        # 3 shards keep 3 of 100 workers busy.
        (100, 3, 160 / 3, "images, by the number of shards"),
        # 2 workers do 3 shards in two rounds.
        (2, 3, 160 / 3 * 2, "images, by the number of workers"),
    ],
)
def test_workers_of_a_cluster_have_a_core_each(workers: int, shards: int, images: float, bottleneck: str) -> None:
    there = predict_cluster(dataclasses.replace(WORK, shards=shards), workers, cores=2)
    assert there.images == pytest.approx(images)
    assert there.tables == pytest.approx(16.0 / min(workers, 40))
    assert there.bottleneck.startswith(bottleneck)


def test_the_work_does_not_depend_on_the_workers() -> None:
    assert worker_hours(WORK) == pytest.approx((16 + 160) / 3600)


def with_storage(**rates: float | bool) -> Workload:
    return dataclasses.replace(WORK, storage=StorageRate(**rates))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rates", "seconds"),
    [
        # 25 GB to read and 25 to write.
        ({}, 0.0),
        ({"read": 100e6}, 250.0),
        ({"read": 100e6, "cached": 0.8}, 50.0),
        ({"read": 100e6, "written": 50e6}, 750.0),
        ({"read": 100e6, "written": 50e6, "is_shared": False}, 500.0),
        ({"written": 50e6, "buffered_bytes": 20e9}, 100.0),
        ({"written": 50e6, "buffered_bytes": 26e9}, 0.0),
    ],
)
def test_storage_takes_what_is_read_and_written(rates: dict[str, float | bool], seconds: float) -> None:
    assert storage_seconds(with_storage(**rates)) == pytest.approx(seconds)


def test_files_may_be_larger_than_what_is_written_of_them() -> None:
    resized = dataclasses.replace(with_storage(read=100e6, written=100e6), file_bytes=1_000_000)
    assert storage_seconds(resized) == pytest.approx(1000 + 250)


def test_the_slower_of_cores_and_storage_bounds_the_images() -> None:
    fast = predict_here(with_storage(read=1e9, written=1e9), 1, cores=2)
    assert (fast.images, fast.bottleneck) == (pytest.approx(100), "images, by the number of workers")
    slow = predict_here(with_storage(read=250e6, written=250e6), 1, cores=2)
    assert (slow.images, slow.bottleneck) == (pytest.approx(200), "images, by the storage")
    # No worker makes a disk faster.
    assert predict_here(with_storage(read=250e6, written=250e6), 4, cores=2).images == pytest.approx(200)


def test_workers_of_a_cluster_have_storage_that_keeps_up_or_that_is_given_for_each() -> None:
    measured = with_storage(read=1e6, written=1e6)
    assert predict_cluster(measured, 10, cores=2) == predict_cluster(WORK, 10, cores=2)
    given = with_storage(read=100e6, written=100e6, is_given=True)
    there = predict_cluster(given, 10, cores=2)
    assert (there.images, there.bottleneck) == (pytest.approx(50), "images, by the storage")
    # 3 shards are written by 3 machines.
    few = predict_cluster(dataclasses.replace(given, shards=3), 10, cores=2)
    assert few.images == pytest.approx(500 / 3)


@pytest.mark.parametrize(
    ("workers", "listing", "bottleneck"),
    [
        # One worker reads the tables (16 s) and lists all archives.
        (1, 500.0, "lists of the archives, by the number of workers"),
        # Five share them.
        (5, (16 + 500) / 5 - 16 / 5, "lists of the archives, by the number of workers"),
        # The largest archive takes 100 s, whoever lists the others.
        (20, 100 - 16 / 20, "lists of the archives, by the number of archives"),
    ],
)
def test_archives_are_listed_by_one_worker_each(workers: int, listing: float, bottleneck: str) -> None:
    there = predict_cluster(IN_ARCHIVES, workers, cores=2)
    assert there.listing == pytest.approx(listing)
    assert there.bottleneck == bottleneck
    here = predict_here(IN_ARCHIVES, workers, cores=64)
    assert here.seconds == pytest.approx(here.fixed + here.tables + here.listing + here.images)
    assert here.listing == pytest.approx(max((16 + 500) / min(workers, 50), 100) - 16 / workers)


def test_without_archives_nothing_is_listed() -> None:
    assert predict_here(WORK, 2, cores=2).listing == predict_cluster(WORK, 2, cores=2).listing == 0


def test_lists_of_archives_are_work() -> None:
    assert worker_hours(IN_ARCHIVES) == pytest.approx((16 + 160 + 500) / 3600)


def test_fewer_ranges_than_workers_take_as_long_as_they_took() -> None:
    work = dataclasses.replace(WORK, table_workers=2, ranges=1, table_cpu_seconds=1.0, table_seconds=1.5)
    here = predict_here(work, workers=2, cores=2)
    assert here.fixed + here.tables == pytest.approx(work.start_seconds + work.table_seconds)
