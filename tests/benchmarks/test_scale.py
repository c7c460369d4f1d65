from oi_tfrecord.settings.prices import PRICED_REQUESTS, Prices
from tests.benchmarks.scale import Input, Paper, Stages, compute

STAGES = Stages(
    start_seconds=10.0, table_seconds_per_mb=0.01, seconds_per_image=0.002, latency_seconds=0.05, readers=64,
    bucket_reads=5000.0, bucket_writes=1000.0,
)  # fmt: skip
GIVEN = Input("x", images=1_000_000, image_bytes=150_000, table_mb=3200, shuffled_gb=2.0)


def paper(workers: int, prices: Prices = Prices()) -> Paper:  # noqa: B008
    return compute(GIVEN, STAGES, workers, prices)


def test_few_workers_wait_for_their_processors_and_many_for_the_bucket() -> None:
    assert paper(4).bottleneck == "processors"
    assert paper(4).seconds >= 10 + 8 + 1_000_000 * 0.002 / 4
    assert paper(100).bottleneck == "reads of the bucket"
    assert paper(100).seconds == paper(500).seconds == 10 + 0.32 + 200


def test_requests_do_not_depend_on_the_workers() -> None:
    assert (paper(4).reads, paper(4).writes) == (paper(500).reads, paper(500).writes)
    assert paper(4).reads > 1_000_000


def test_the_cost_is_the_sum_of_counts_times_prices() -> None:
    free = paper(10)
    assert free.cost == 0
    assert paper(10, Prices(worker_hour=2.0)).cost == 2 * free.core_hours
    assert paper(10, Prices(shuffle_gb=3.0)).cost == 6
    assert paper(10, Prices(reads=PRICED_REQUESTS)).cost == free.reads
    assert paper(10, Prices(writes=PRICED_REQUESTS)).cost == free.writes
