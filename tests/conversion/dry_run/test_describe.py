import dataclasses

import pytest

from oi_tfrecord.conversion.dry_run.describe import describe, predict
from oi_tfrecord.conversion.dry_run.measure import Workload
from oi_tfrecord.settings.prices import NO_PRICES, Prices

WORKLOAD = Workload(
    fixed_seconds=2.5,
    table_seconds=16.0,
    ranges=40,
    shards=160,
    records=100_000,
    found=1.0,
    image_bytes=250_000,
    shuffled_bytes=2_000_000_000,
    timed_images=1000,
    seconds_per_image=0.0016,
)
UNTIMED = dataclasses.replace(WORKLOAD, timed_images=0, seconds_per_image=0.0, untimed="no image was found")


def lines(workload: Workload, prices: Prices = NO_PRICES) -> dict[str, str]:
    return dict(line.split(maxsplit=1) for line in describe(workload, 2, prices))


@pytest.mark.parametrize(
    ("workers", "shards", "tables", "images"),
    [
        (1, 160, 16.0, 160.0),
        (2, 160, 8.0, 80.0),
        # There are 40 ranges, so 100 workers read tables as fast as 40.
        (100, 200, 0.4, 1.6),
        # 3 shards keep 3 of 40 workers busy.
        (40, 3, 0.4, 160 / 3),
        # 2 workers write 3 shards in two rounds.
        (2, 3, 8.0, 160 / 3 * 2),
    ],
)
def test_the_time_is_divided_among_workers_by_ranges_and_shards(
    workers: int, shards: int, tables: float, images: float
) -> None:
    prediction = predict(dataclasses.replace(WORKLOAD, shards=shards), workers)
    assert prediction == pytest.approx((2.5, tables, images))


def test_each_line_says_what_is_counted_measured_or_estimated() -> None:
    assert lines(WORKLOAD) == {
        "output": (
            "about 25.0 GB, 156 MB a shard (estimated): 100,000 records (counted), 100 % of the images found, 250 KB "
            "each (sampled)"
        ),
        "shuffle": "2.00 GB of rows (counted: 2,000,000,000 bytes); no image passes through it",
        "time": (
            "about 90.5 s with 2 workers of one core each (estimated): 2.5 s for start and end, 8.0 s for the tables, "
            "80.0 s for the images"
        ),
        "work": (
            "about 0.049 core-hours: 16.0 s for the tables (measured), about 160 s for the images (estimated from a "
            "sample)"
        ),
    }


def test_images_that_are_missing_lower_size_and_time() -> None:
    printed = lines(dataclasses.replace(WORKLOAD, found=0.5))
    assert printed["output"].startswith("about 12.5 GB, 78.1 MB a shard (estimated): 100,000 records (counted)")
    assert "50 % of the images found" in printed["output"]
    assert printed["time"].endswith("40.0 s for the images")


def test_what_is_not_counted_is_named() -> None:
    printed = lines(dataclasses.replace(WORKLOAD, uncounted=("masks", "keys of inside")))
    assert printed["time"].endswith("; not counted: masks, keys of inside")


def test_without_timed_images_their_time_is_unknown() -> None:
    printed = lines(UNTIMED, Prices(worker_hour=1.0))
    assert printed["time"] == (
        "2.5 s for start and end, 8.0 s for the tables with 2 workers of one core each (estimated); unknown for the "
        "images, as no image was found"
    )
    assert printed["work"] == "0.004 core-hours: 16.0 s for the tables (measured); unknown for the images"
    assert "cost" not in printed


def test_the_cost_is_the_sum_of_what_has_a_price() -> None:
    # 176 core-seconds at 9 an hour, and 2 GB at 0.5.
    printed = lines(WORKLOAD, Prices(worker_hour=9.0, shuffle_gb=0.5))
    assert printed["cost"] == "about 1.44 (estimated): 0.44 for the workers, 1.00 for the shuffle"


def test_requests_are_printed_and_add_to_the_cost() -> None:
    workload = dataclasses.replace(WORKLOAD, reads=50_000, writes=2_000)
    printed = lines(workload, Prices(shuffle_gb=0.5, reads=0.004, writes=0.05))
    assert printed["requests"] == "about 50,000 reads and 2,000 writes of object stores (estimated)"
    assert printed["cost"] == "about 1.03 (estimated): 1.00 for the shuffle, 0.0200 for reads, 0.0100 for writes"


@pytest.mark.parametrize(("shards", "has_advice"), [(170, False), (130, False), (1000, True), (20, True)])
def test_a_number_of_shards_that_does_not_suit_the_counted_size_is_named(shards: int, has_advice: bool) -> None:
    printed = lines(dataclasses.replace(WORKLOAD, shards=shards))["output"]
    assert ("; for shards of 100 to 200 MB give --num_shards=" in printed) is has_advice


def test_a_bucket_feeds_as_many_workers_as_its_rate_allows() -> None:
    assert "bucket" not in lines(WORKLOAD)
    stored = dataclasses.replace(WORKLOAD, reads=100_000, image_reads=100_000)
    assert lines(stored)["bucket"].startswith("feeds about 8 workers of one core and 625 images/s each: a new bucket ")
    untimed = dataclasses.replace(UNTIMED, reads=100_000, image_reads=100_000)
    assert lines(untimed)["bucket"].startswith("feeds about 10 workers of one core and 500 images/s each")
