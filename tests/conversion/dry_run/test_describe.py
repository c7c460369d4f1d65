import dataclasses

import pytest

from oi_tfrecord.conversion.dry_run.cost import NO_PRICES, Prices, Requests
from oi_tfrecord.conversion.dry_run.describe import describe
from oi_tfrecord.conversion.dry_run.predict import ImageTiming, ListingTiming, StorageRate, Workload
from tests.conversion.dry_run import test_predict as test_estimate

WORK = dataclasses.replace(test_estimate.WORK, file_bytes=500_000)


def lines(work: Workload, prices: Prices = NO_PRICES) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in describe(work, 2, 2, prices))


def test_a_user_reads_bytes_time_work_and_cost() -> None:
    told = lines(WORK, Prices(worker_hour=9.0, shuffle_gb=0.5))
    assert list(told) == ["output", "shuffle", "time", "cluster", "work", "cost"]
    assert told["output"] == "about 100,000 records, 25.0 GB, 25.0 MB a shard"
    assert told["shuffle"] == "2.00 GB of rows (2,000,000,000 bytes); no image goes through it"
    assert told["time"] == (
        "about 90.5 s on this machine (2 cores) with 2 workers: 10.5 s for the tables, 80.0 s for the images; "
        "bounded by images, by the cores of this machine"
    )
    assert told["cluster"].startswith("about 90.5 s with 2 workers of one such core each")
    # 50 GB and 25 GB in 80 s.
    assert "if storage reads 625 MB/s and writes 312 MB/s" in told["cluster"]
    assert told["work"].startswith("0.049 hours")
    assert told["cost"] == "1.44: 0.44 for workers, 1.00 for the shuffle"


def test_requests_are_told_and_count() -> None:
    work = dataclasses.replace(WORK, requests=Requests(100_000, 2_000))
    told = lines(work, Prices(9.0, 0.5, reads=0.1, writes=1.0))
    assert told["requests"].startswith("about 100,000 that read")
    assert told["cost"].startswith("2.64: ")


def test_lists_of_archives_are_told() -> None:
    listing = ListingTiming(archives=4, seconds=60.0, largest=0.5, shuffled_bytes=500_000_000)
    told = lines(dataclasses.replace(WORK, listing=listing), Prices(9.0, 1.0))
    assert told["shuffle"].startswith(
        "2.50 GB of rows (2,500,000,000 bytes, 500,000,000 of them for lists of archives)"
    )
    # 16 and 60 seconds for two workers, of which the tables take 8.
    assert "10.5 s for the tables, 30.0 s for the lists of archives, 80.0 s for the images" in told["time"]
    assert "2.50 for the shuffle" in told["cost"]


@pytest.mark.parametrize(
    ("storage", "told"),
    [
        (
            StorageRate(read=150e6, written=100e6, cached=0.25, buffered_bytes=20e9),
            # 37.5 GB at 150 MB/s, 5 GB at 100.
            "300 s for the images: reads 150 MB/s and writes 100 MB/s (measured), 25 % of the images are in memory, "
            "memory takes 20.0 GB of records before they are on the disk",
        ),
        (StorageRate(written=100e6), "250 s for the images: writes 100 MB/s (measured)"),
    ],
)
def test_what_is_known_of_storage_is_told(storage: StorageRate, told: str) -> None:
    found = lines(dataclasses.replace(WORK, storage=storage))
    assert found["storage"] == told
    assert found["time"].endswith("bounded by images, by the storage")
    assert "if storage reads" in found["cluster"]


def test_storage_that_is_given_is_no_condition() -> None:
    found = lines(dataclasses.replace(WORK, storage=StorageRate(100e6, 100e6, is_given=True)))
    assert found["storage"] == "750 s for the images: reads 100 MB/s and writes 100 MB/s (as given)"
    assert found["cluster"] == (
        "about 386 s with 2 workers of one such core each, once they run; bounded by images, by the storage"
    )


def test_what_is_not_counted_is_named() -> None:
    assert lines(dataclasses.replace(WORK, uncounted="masks are read"))["time"].endswith("not counted: masks are read")


def test_without_timed_images_tables_are_told_and_nothing_is_made_up() -> None:
    work = dataclasses.replace(
        WORK, timing=ImageTiming(0, 0.0, 0.0), unsampled="no image was found", requests=Requests(7, 8)
    )
    told = lines(work, Prices(1.0, 1.0))
    assert set(told) == {"output", "shuffle", "requests", "time", "work"}
    assert told["time"] == (
        "10.5 s for the tables on this machine (2 cores) with 2 workers; of the images unknown, as no image was found"
    )
    assert told["work"] == "0.004 hours of one such core, without the images"


@pytest.mark.parametrize(("best", "advice"), [(1000, False), (1200, False), (170, True), (2000, True), (0, False)])
def test_a_number_of_shards_that_does_not_fit_what_was_counted_is_told(best: int, advice: bool) -> None:
    told = lines(dataclasses.replace(WORK, best_shards=best))["output"]
    assert told.endswith(f"give --num_shards={best}") is advice
