"""How many processes and threads work on the ranges or shards of a run, and the threads themselves."""

import concurrent.futures
import enum
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

from oi_tfrecord.errors import ConfigError

_MOST_WORKERS, _MOST_WORKERS_PER_CORE = 64, 8
"""A process takes some 200 MB before it works on anything."""

THREADS_PER_PROCESS = 2
"""Reading, parsing, hashing and writing release the interpreter lock most of the time; more threads would wait for
it."""

_SHARDS_PER_PROCESS = 4
"""A process takes longer to start than a few small shards take to read."""

_SWITCH_SECONDS = 0.0005
"""Switch interval of the interpreter lock; the default of 5 ms is as long as ten images take."""

Element = TypeVar("Element")

Result = TypeVar("Result")


class Work(enum.Enum):
    """Kinds of work, each with the bytes of input below which a second process costs more time than it saves.

    Starting a process takes some seconds. The bounds were measured on two cores.
    """

    COPY_IMAGES = 8 << 20
    """Bytes of the table that names the images; some 20,000 images."""

    DECODE_IMAGES = 256 << 10
    """The same where each image is decoded; some 600 images."""

    COUNT_ROWS = 1 << 30
    """Bytes of all tables, of a dry run that reads no images."""

    CHECK_RECORDS = 4 << 30
    """Bytes of the shards whose records are parsed and whose JPEG headers are read."""

    DECODE_RECORDS = (4 << 30) // 20
    """Bytes of the shards whose images are decoded, too."""

    COPY_RECORDS = 2 << 30
    """Bytes of the shards whose records are copied."""


def choose_workers(work: Work, size: int, elements: int) -> int:
    """Returns how many ranges or shards to work on at once on this machine.

    Args:
        work: kind of the work.
        size: bytes of its input, as the kind counts them.
        elements: shards to work on.

    Returns:
        A worker for each core, but no more than there are elements, and only those of one process where a second
        process is not worth its start.
    """
    cores = os.cpu_count() or 1
    if size < work.value:
        return min(cores, THREADS_PER_PROCESS)
    return min(cores, max(elements, THREADS_PER_PROCESS))


def choose_processes(shards: int, workers: int = 0) -> int:
    """Returns how many processes read the records of so many shards, where no pipeline is run.

    Args:
        shards: number of shards.
        workers: processes that the user wants; 0 for a process for each core.
    """
    _check_workers(workers)
    return min(workers or os.cpu_count() or 1, max(1, shards // _SHARDS_PER_PROCESS))


def split_workers(workers: int, *, is_local: bool) -> tuple[int, int]:
    """Returns the number of processes, and the threads of each, that make up so many workers.

    Args:
        workers: elements to work on at once, at least 1.
        is_local: whether this program starts the processes; other runners start a process for each core themselves.
    """
    if not is_local:
        return 1, 1
    _check_workers(workers)
    threads = min(workers, THREADS_PER_PROCESS)
    return -(-workers // threads), threads


def _check_workers(workers: int) -> None:
    """Raises a ConfigError for more workers than a machine has the memory to start."""
    cores = os.cpu_count() or 1
    most = max(_MOST_WORKERS, cores * _MOST_WORKERS_PER_CORE)
    if workers > most:
        raise ConfigError("workers", f"{workers} is too many for this machine of {cores} cores; give at most {most}")


class ThreadPool(Generic[Result]):
    """Runs functions on a bounded number of threads.

    Threads use as many cores as processes would, and cost neither their start nor their memory.
    """

    def __init__(self, count: int):
        """Starts no thread yet.

        Args:
            count: functions that run at once, at least 1; with 1 each runs where it is submitted.
        """
        self._count = count
        self._executor = concurrent.futures.ThreadPoolExecutor(count, "pool-thread") if count > 1 else None
        self._started: list[concurrent.futures.Future[Result]] = []
        if self._executor is not None:
            sys.setswitchinterval(_SWITCH_SECONDS)

    def submit(self, function: Callable[..., Result], *arguments: object) -> Iterator[Result]:
        """Starts a function, and waits until a thread is free for the next one.

        Args:
            function: may run beside itself.
            arguments: of the function.

        Yields:
            Results of functions that have ended, in any order. An exception of a function is raised here.
        """
        if self._executor is None:
            yield function(*arguments)
            return
        self._started.append(self._executor.submit(function, *arguments))
        if len(self._started) == self._count:
            yield from self._await_one()

    def drain(self) -> Iterator[Result]:
        """Yields the results of the functions that still run, when they have ended."""
        while self._started:
            yield from self._await_one()

    def close(self) -> None:
        """Waits for running functions, and ends the threads."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def _await_one(self) -> Iterator[Result]:
        ended = concurrent.futures.wait(self._started, return_when=concurrent.futures.FIRST_COMPLETED).done
        self._started = [future for future in self._started if future not in ended]
        for future in ended:
            yield future.result()


def run_on_threads(function: Callable[[Element], Result], elements: Iterable[Element], count: int) -> Iterator[Result]:
    """Yields a function's result for each element, in any order, and ends the threads even if one fails.

    Args:
        function: may run beside itself.
        elements: its arguments.
        count: how many run at once.
    """
    pool: ThreadPool[Result] = ThreadPool(count)
    try:
        for element in elements:
            yield from pool.submit(function, element)
        yield from pool.drain()
    finally:
        pool.close()
