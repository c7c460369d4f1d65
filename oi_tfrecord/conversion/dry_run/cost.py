"""What a conversion costs: workers, shuffle, requests to object stores, at the user's prices."""

import dataclasses
import math
from collections.abc import Iterator

PRICED_REQUESTS = 10_000
"""Requests that a price is of, as providers give it."""

S3_PART_BYTES = 5 << 20
"""What Beam sends to S3 in one request (`apache_beam.io.aws.s3io`); an upload takes one before and one after them."""

_READS_PER_RANGE = 3
"""Both borders of a range of a table, and its rows."""

_LISTED_BYTES_PER_READ = 8 << 20

_FILES_AT_THE_END = 6
"""Label map (twice), list of rejects, manifest, fingerprint, and the list of what is there."""

_WHOLE_CENTS = 0.1
"""Amounts from here on are told without fractions of cents."""


@dataclasses.dataclass(frozen=True)
class Prices:
    """What the user pays, in any currency; None where they did not say.

    Attributes:
        worker_hour: of one core with its memory, and its share of a disk.
        shuffle_gb: of 10^9 bytes written to the runner's shuffle.
        reads: of PRICED_REQUESTS requests that read an object (class B).
        writes: of PRICED_REQUESTS requests that write or list objects (class A).
    """

    worker_hour: float | None = None
    shuffle_gb: float | None = None
    reads: float | None = None
    writes: float | None = None


NO_PRICES = Prices()


@dataclasses.dataclass(frozen=True)
class Requests:
    """Requests to object stores: those that read (class B), and those that write or list (class A)."""

    reads: int = 0
    writes: int = 0


NO_REQUESTS = Requests()


def count_requests(
    *,
    images: float = 0,
    table_ranges: int = 0,
    archive_bytes: int = 0,
    ranges: int = 0,
    output_store: str = "",
    shards: int = 0,
    output_bytes: float = 0,
    files_per_shard: int = 1,
) -> Requests:
    """Counts the requests that a conversion sends to object stores, if none has to be sent twice.

    A table is read in ranges, an image in one request, an archive is passed over in requests of 8 MiB. Shards go out
    as they are written; each leaves a result that is read at the end, and each range and shard looks for rejects of
    an earlier run. GCS counts an upload as one request, S3 each of its parts.

    Args:
        images: that are read from an object store.
        table_ranges: of tables that are there.
        archive_bytes: of archives that are there.
        ranges: of all tables and archives.
        output_store: scheme of the store that records go to, empty for none.
        shards: number of them.
        output_bytes: of all shards.
        files_per_shard: small files that a shard leaves for the end.
    """
    reads = math.ceil(images) + _READS_PER_RANGE * table_ranges + math.ceil(archive_bytes / _LISTED_BYTES_PER_READ)
    if not output_store:
        return Requests(reads, 0)
    around_parts = 2 if output_store == "s3://" else 0
    parts = math.ceil(output_bytes / shards / S3_PART_BYTES) if around_parts else 1
    writes = shards * (parts + around_parts) + (shards * files_per_shard + _FILES_AT_THE_END) * (1 + around_parts)
    return Requests(reads + shards * (1 + files_per_shard) + ranges, writes)


def describe_requests(requests: Requests) -> Iterator[str]:
    """Yields the line that tells a user of the requests, if there are any."""
    if requests != NO_REQUESTS:
        yield f"requests   about {requests.reads:,} that read objects and {requests.writes:,} that write or list them"


def describe_cost(hours: float, shuffled_bytes: int, requests: Requests, prices: Prices) -> str:
    """Returns the line that tells a user of the cost, and what it lacks for want of a price.

    Args:
        hours: of workers.
        shuffled_bytes: written to the shuffle.
        requests: to object stores.
        prices: to count with.
    """
    parts = [
        ("workers", "worker_hour_price", hours, prices.worker_hour),
        ("the shuffle", "shuffle_gb_price", shuffled_bytes / 1e9, prices.shuffle_gb),
    ]
    if requests != NO_REQUESTS:
        parts += [
            ("reads", "read_requests_price", requests.reads / PRICED_REQUESTS, prices.reads),
            ("writes", "write_requests_price", requests.writes / PRICED_REQUESTS, prices.writes),
        ]
    priced = [(name, count * price) for name, _, count, price in parts if price is not None]
    missing = ", ".join(f"--{flag}" for _, flag, _, price in parts if price is None)
    if not priced:
        return f"cost       give {missing} to have it counted"
    told = ", ".join(f"{_money(amount)} for {name}" for name, amount in priced)
    more = f"; not all of it: give {missing}" if missing else ""
    return f"cost       {_money(sum(amount for _, amount in priced))}: {told}{more}"


def _money(amount: float) -> str:
    return f"{amount:,.2f}" if amount >= _WHOLE_CENTS else f"{amount:.4f}"
