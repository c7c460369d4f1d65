"""Applies a function to the records of many shards, in processes, and names the record that cannot be read."""

import concurrent.futures
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias, TypeVar

from oi_tfrecord import storage
from oi_tfrecord.dataset.splits import read_shard
from oi_tfrecord.engine.threads import choose_processes
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.example_reader import ExampleError, RecordFault
from oi_tfrecord.records.tfrecord import HEADER_BYTES, FramingError

Result = TypeVar("Result")

Reader: TypeAlias = Callable[[Iterable[tuple[int, bytes]], Mapping[int, str]], Result]
"""Takes (byte offset of the data, serialised Example) of each record, and the MID of each label map id."""


def map_shards(
    read: "Reader[Result]", shards: Sequence[str], mid_of: Mapping[int, str], workers: int
) -> Iterator[Result]:
    """Yields a function's result for each shard, in their order.

    Args:
        read: a function of a module, so that processes find it.
        shards: paths.
        mid_of: MID of each label map id.
        workers: processes; 0 chooses, 1 works in this process.

    Raises:
        InputError: see `read_with`.
    """
    processes = choose_processes(len(shards), workers)
    if processes == 1:
        yield from (read_with(read, shard, mid_of) for shard in shards)
        return
    # A forked process would share the locks of threads that Beam's filesystems start.
    context, options = multiprocessing.get_context("spawn"), (storage.given_options(),)
    with concurrent.futures.ProcessPoolExecutor(processes, context, storage.use_options, options) as pool:
        yield from pool.map(read_with, [read] * len(shards), shards, [mid_of] * len(shards))


def read_with(read: "Reader[Result]", path: str, mid_of: Mapping[int, str]) -> Result:
    """Returns a function's result for one shard.

    Raises:
        InputError: naming the shard and the record that cannot be read.
    """
    records = _Records(path)
    try:
        return read(records, mid_of)
    except FramingError as error:
        raise InputError(path, str(error), _REMEDY) from error
    except (ExampleError, RecordFault) as error:
        raise InputError(path, f"record {records.last}: {error}", _REMEDY) from error
    except FileNotFoundError as error:
        raise InputError(path, "the shard is gone", "Convert again: finished shards are kept") from error


_REMEDY = "`oi-tfrecord verify` lists all faults of the records"


class _Records:
    """The records of a shard as (byte offset of the data, data).

    Attributes:
        last: number of the record that was read last, from 0; -1 before the first.
    """

    def __init__(self, path: str):
        self._path = path
        self.last = -1

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        for offset, data in read_shard(self._path):
            self.last += 1
            yield offset + HEADER_BYTES, data
