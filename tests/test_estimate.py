import dataclasses

import pytest

from oi_tfrecord.estimate import (
    ImageTiming,
    Prices,
    Workload,
    describe,
    image_seconds,
    predict_cluster,
    predict_here,
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
    shuffled_bytes=2_000_000_000,
    timing=ImageTiming(images=250, seconds=0.25, cpu_seconds=0.4),
)
NO_IMAGES = dataclasses.replace(WORK, timing=ImageTiming(0, 0.0, 0.0))


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


def lines(work: Workload, prices: Prices) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in describe(work, 2, 2, prices))


def test_a_user_reads_bytes_time_work_and_cost() -> None:
    told = lines(WORK, Prices(worker_hour=9.0, shuffle_gb=0.5))
    assert told["shuffle"].startswith("2.000 GB of rows (2,000,000,000 bytes)")
    assert told["time"].startswith("about 90.5 s on this machine (2 cores) with 2 workers: 10.5 s for the tables")
    assert told["cluster"].startswith("about 90.5 s with 2 workers of one such core each")
    # 25 GB in 80 s.
    assert "312 MB/s" in told["cluster"]
    assert told["work"].startswith("0.049 hours")
    # 176 core-seconds at 9 an hour, and 2 GB at 0.5.
    assert told["cost"] == "1.44: 0.44 for workers, 1.00 for the shuffle"


def test_small_amounts_are_told_in_fractions_of_cents() -> None:
    told = lines(WORK, Prices(worker_hour=0.09, shuffle_gb=0.0005))
    assert told["cost"] == "0.0054: 0.0044 for workers, 0.0010 for the shuffle"


def test_without_prices_or_images_nothing_is_made_up() -> None:
    assert "--worker_hour_price" in lines(WORK, Prices())["cost"]
    assert "--worker_hour_price" in lines(WORK, Prices(worker_hour=1.0))["cost"]
    told = lines(NO_IMAGES, Prices(1.0, 1.0))
    assert set(told) == {"shuffle", "time"}
    assert not any(character.isdigit() for character in told["time"])
