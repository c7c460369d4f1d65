import pytest

from oi_tfrecord.conversion.dry_run.cost import (
    NO_REQUESTS,
    S3_PART_BYTES,
    Prices,
    Requests,
    count_requests,
    describe_cost,
    describe_requests,
)


def lines(requests: Requests, prices: Prices) -> dict[str, str]:
    found = [*describe_requests(requests), describe_cost(176 / 3600, 2_000_000_000, requests, prices)]
    return dict(line.split(maxsplit=1) for line in found)


def test_workers_and_shuffle_add_up() -> None:
    # 176 core-seconds at 9 an hour, and 2 GB at 0.5.
    assert lines(NO_REQUESTS, Prices(worker_hour=9.0, shuffle_gb=0.5)) == {
        "cost": "1.44: 0.44 for workers, 1.00 for the shuffle"
    }


def test_requests_are_told_and_add_to_the_cost() -> None:
    told = lines(Requests(reads=50_000, writes=2_000), Prices(9.0, 0.5, reads=0.004, writes=0.05))
    assert told["requests"] == "about 50,000 that read objects and 2,000 that write or list them"
    assert told["cost"] == "1.47: 0.44 for workers, 1.00 for the shuffle, 0.0200 for reads, 0.0100 for writes"


def test_small_amounts_are_told_in_fractions_of_cents() -> None:
    told = lines(NO_REQUESTS, Prices(worker_hour=0.09, shuffle_gb=0.0005))
    assert told["cost"] == "0.0054: 0.0044 for workers, 0.0010 for the shuffle"


def test_what_has_no_price_is_named_and_not_made_up() -> None:
    assert lines(NO_REQUESTS, Prices())["cost"] == "give --worker_hour_price, --shuffle_gb_price to have it counted"
    assert lines(NO_REQUESTS, Prices(worker_hour=9.0))["cost"] == (
        "0.44: 0.44 for workers; not all of it: give --shuffle_gb_price"
    )
    told = lines(Requests(1, 1), Prices(worker_hour=9.0, shuffle_gb=0.5, writes=1.0))
    assert told["cost"].endswith("for writes; not all of it: give --read_requests_price")


def test_local_files_need_no_request() -> None:
    assert count_requests(ranges=40, shards=10, output_bytes=1e9) == NO_REQUESTS


def test_an_image_is_a_read_and_a_range_of_a_table_three() -> None:
    assert count_requests(images=1000, table_ranges=5, ranges=5) == Requests(1015, 0)
    assert count_requests(images=1000, archive_bytes=(8 << 20) + 1, ranges=1) == Requests(1002, 0)


@pytest.mark.parametrize(
    ("store", "writes"),
    [
        # A shard, its result, and six files at the end.
        ("gs://", 10 + 10 + 6),
        # Begin and end of each upload, and 30 parts of each shard.
        ("s3://", 10 * (30 + 2) + (10 + 6) * 3),
    ],
)
def test_shards_and_what_they_leave_are_written(store: str, writes: int) -> None:
    count = count_requests(ranges=40, output_store=store, shards=10, output_bytes=10 * (29 * S3_PART_BYTES + 1))
    # Results are read back, and rejects of 40 ranges and 10 shards looked for.
    assert count == Requests(10 + 50, writes)
    more = count_requests(ranges=40, output_store=store, shards=10, output_bytes=1e9, files_per_shard=2)
    assert more.reads == 10 + 60
