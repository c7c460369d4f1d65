"""The prices that a dry run multiplies with: the flag `--prices`."""

import dataclasses
import math
from collections.abc import Sequence

from oi_tfrecord.errors import ConfigError, nearest

PRICED_REQUESTS = 10_000
"""Number of requests that the prices `reads` and `writes` are for, as providers give them."""


@dataclasses.dataclass(frozen=True)
class Prices:
    """Prices in any currency; 0 for what has no price.

    Attributes:
        worker_hour: an hour of one core with its memory and its share of a disk.
        shuffle_gb: 10^9 bytes written to the runner's shuffle.
        reads: PRICED_REQUESTS requests that read from an object store (class B).
        writes: PRICED_REQUESTS requests that write to an object store (class A).
    """

    worker_hour: float = 0.0
    shuffle_gb: float = 0.0
    reads: float = 0.0
    writes: float = 0.0


NO_PRICES = Prices()


def parse_prices(items: Sequence[str]) -> Prices:
    """Parses the items of `--prices`.

    Args:
        items: each a name and a price of at least 0, such as `worker_hour=0.07`.

    Raises:
        ConfigError: for an unknown name, a name that is given twice, or a bad price.
    """
    known = [field.name for field in dataclasses.fields(Prices)]
    prices: dict[str, float] = {}
    for item in items:
        name, _, text = item.partition("=")
        if name not in known:
            raise ConfigError("prices", f"{name!r} is none of {', '.join(known)}{nearest(name, known)}")
        if name in prices:
            raise ConfigError("prices", f"{name} is given twice; give one price")
        try:
            prices[name] = float(text)
        except ValueError:
            prices[name] = math.nan
        if not 0 <= prices[name] < math.inf:
            raise ConfigError("prices", f"{item!r} has no price of at least 0; write {name}=0.07")
    return Prices(**prices)
