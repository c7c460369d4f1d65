"""Works on several elements at once, each on a thread of its own."""

import concurrent.futures
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

LANES_PER_PROCESS = 2
"""What reads, parses, hashes and writes leaves the interpreter lock alone most of the time; more than these would wait
for it."""

_SWITCH_SECONDS = 0.0005
"""Who needs the interpreter lock asks for it after this time; Python's 5 ms are as long as ten images take."""

Element = TypeVar("Element")

Result = TypeVar("Result")


def split_workers(workers: int, *, is_local: bool) -> tuple[int, int]:
    """Returns how many processes, with how many lanes each, do the work of so many workers.

    Args:
        workers: elements to work on at once, at least 1.
        is_local: whether they are this program's; other runners start processes as they see fit, a core for each.
    """
    if not is_local:
        return 1, 1
    lanes = min(workers, LANES_PER_PROCESS)
    return -(-workers // lanes), lanes


def default_workers(elements: int, *, is_small: bool) -> int:
    """Returns how many workers suit this machine.

    Args:
        elements: shards there are to work on.
        is_small: whether a second process would take longer to start than it saves.
    """
    cores = os.cpu_count() or 1
    return min(cores, LANES_PER_PROCESS if is_small else max(elements, LANES_PER_PROCESS))


class Lanes(Generic[Result]):
    """Runs functions on a bounded number of threads.

    They use as many cores as processes would, and cost neither their start nor their memory.
    """

    def __init__(self, count: int):
        """Initializes the instance.

        Args:
            count: functions that run at once, at least 1; with 1 each runs where it is submitted.
        """
        self._count = count
        self._executor = concurrent.futures.ThreadPoolExecutor(count, "lane") if count > 1 else None
        self._started: list[concurrent.futures.Future[Result]] = []
        if self._executor is not None:
            sys.setswitchinterval(_SWITCH_SECONDS)

    def submit(self, function: Callable[..., Result], *arguments: object) -> Iterator[Result]:
        """Starts a function, and waits until a lane is free for the next one.

        Args:
            function: may run beside itself.
            arguments: of the function.

        Yields:
            Results of functions that have ended, in whatever order. What one raised is raised here.
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
        """Waits for what still runs, and ends the threads."""
        if self._executor is not None:
            self._executor.shutdown(cancel_futures=True)

    def _await_one(self) -> Iterator[Result]:
        ended = concurrent.futures.wait(self._started, return_when=concurrent.futures.FIRST_COMPLETED).done
        self._started = [future for future in self._started if future not in ended]
        for future in ended:
            yield future.result()


def run_on_lanes(function: Callable[[Element], Result], elements: Iterable[Element], count: int) -> Iterator[Result]:
    """Yields what a function makes of each element, in whatever order, and ends the lanes however that goes.

    Args:
        function: may run beside itself.
        elements: its arguments.
        count: how many at once.
    """
    lanes: Lanes[Result] = Lanes(count)
    try:
        for element in elements:
            yield from lanes.submit(function, element)
        yield from lanes.drain()
    finally:
        lanes.close()
