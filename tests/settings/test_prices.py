import pytest

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.settings.prices import NO_PRICES, Prices, parse_prices


def test_prices_are_parsed_by_name() -> None:
    assert parse_prices(["worker_hour=0.07", "shuffle_gb=0", "writes=1e-3"]) == Prices(worker_hour=0.07, writes=0.001)
    assert parse_prices([]) == NO_PRICES


@pytest.mark.parametrize(
    ("items", "problem"),
    [
        (["worker_hours=1"], "none of worker_hour, shuffle_gb, reads, writes; did you mean 'worker_hour'?"),
        (["=1"], "none of worker_hour, shuffle_gb, reads, writes"),
        (["reads=1", "reads=2"], "reads is given twice"),
        (["reads"], "'reads' has no price of at least 0; write reads=0.07"),
        (["reads=cheap"], "'reads=cheap' has no price"),
        (["reads=-1"], "'reads=-1' has no price"),
        (["reads=nan"], "'reads=nan' has no price"),
        (["reads=inf"], "'reads=inf' has no price"),
    ],
)
def test_a_bad_price_names_the_item_and_the_flag(items: list[str], problem: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_prices(items)
    assert raised.value.field == "prices"
    assert problem in raised.value.problem
