"""Applies a function to the records of many shards, in processes, and says which record is to blame."""

import concurrent.futures
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

from oi_tfrecord import storage
from oi_tfrecord.dataset.splits import read_shard
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.example_reader import ExampleError, RecordFault
from oi_tfrecord.records.tfrecord import HEADER_BYTES, FramingError

SHARDS_PER_WORKER = 4
"""A process takes longer to start than a few small shards take to read."""

Result = TypeVar("Result")

Reader: TypeAlias = Callable[[Iterable[tuple[int, bytes]], Mapping[int, str]], Result]
"""Of (byte offset of the data, serialised Example) of each record, and the MID of each label map id."""


def map_shards(
    read: "Reader[Result]", shards: Sequence[str], mid_of: Mapping[int, str], workers: int
) -> Iterator[Result]:
    """Yields what a function makes of each shard, in their order.

    Args:
        read: a function of a module, so that processes find it.
        shards: paths.
        mid_of: MID of each label map id.
        workers: processes; 0 chooses, 1 works in this one.

    Raises:
        InputError: see `read_with`.
    """
    workers = min(workers or os.cpu_count() or 1, max(1, len(shards) // SHARDS_PER_WORKER))
    if workers == 1:
        yield from (read_with(read, shard, mid_of) for shard in shards)
        return
    # A forked process would share the locks of threads that Beam's filesystems start.
    context, options = multiprocessing.get_context("spawn"), (storage.given_options(),)
    with concurrent.futures.ProcessPoolExecutor(workers, context, storage.use_options, options) as pool:
        yield from pool.map(read_with, [read] * len(shards), shards, [mid_of] * len(shards))


def read_with(read: "Reader[Result]", path: str, mid_of: Mapping[int, str]) -> Result:
    """Returns what a function makes of one shard.

    Raises:
        InputError: naming the shard and the record that cannot be read.
    """
    last = -1

    def records() -> Iterator[tuple[int, bytes]]:
        nonlocal last
        for last, (offset, data) in enumerate(read_shard(path)):  # noqa: B007
            yield offset + HEADER_BYTES, data

    remedy = "`oi-tfrecord verify` lists all faults of the records"
    try:
        return read(records(), mid_of)
    except FramingError as error:
        raise InputError(path, str(error), remedy) from error
    except (ExampleError, RecordFault) as error:
        raise InputError(path, f"record {last}: {error}", remedy) from error
    except FileNotFoundError as error:
        raise InputError(path, "the shard is gone", "Convert again: finished shards are kept") from error
