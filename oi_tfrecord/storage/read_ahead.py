"""Works ahead with threads, in order, and holds a bounded number of bytes or items."""

import collections
import concurrent.futures
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

Result = TypeVar("Result")

ITEMS_PER_TASK = 4
"""Default of `map_in_order`: handing a task to a thread costs about as much as reading a small file."""

FIRST_TASKS = 2
"""Tasks under way while no result has shown its size: as many tasks as threads could hold gigabytes."""


def map_in_order(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    threads: int,
    max_bytes: int,
    size_of: Callable[[Result], int],
    items_per_task: int = ITEMS_PER_TASK,
) -> Iterator[Result]:
    """Yields `function(item)` for each item, in order, computed ahead by threads.

    Args:
        function: called from `threads` threads.
        items: its arguments.
        threads: number of threads, at least 1.
        max_bytes: bound on the bytes of results computed ahead, estimated from the mean of the results so far; at
            least one task is always under way, and two until the first result shows how large results are.
        size_of: returns the bytes that a result holds.
        items_per_task: number of items that a thread takes at once; with 1, all threads have work up to the last items.

    Yields:
        The results in the order of `items`. An exception of `function` is raised in place of its result.
    """

    def run(start: int) -> tuple[list[Result], Exception | None]:
        results = []
        for item in items[start : start + items_per_task]:
            try:
                results.append(function(item))
            except Exception as error:
                return results, error
        return results, None

    pending: collections.deque[concurrent.futures.Future[tuple[list[Result], Exception | None]]] = collections.deque()
    total_bytes = done = 0
    start = 0
    executor = concurrent.futures.ThreadPoolExecutor(threads)
    try:
        while pending or start < len(items):
            task_bytes = items_per_task * total_bytes // done if done else 0
            window = min(2 * threads, max(max_bytes // task_bytes, 1)) if task_bytes else FIRST_TASKS
            while start < len(items) and len(pending) < window:
                pending.append(executor.submit(run, start))
                start += items_per_task
            results, error = pending.popleft().result()
            for result in results:
                total_bytes += size_of(result)
                done += 1
                yield result
            del results
            if error is not None:
                raise error
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def iterate_ahead(items: Iterator[Item], count: int) -> Iterator[Item]:
    """Yields items, of which a thread makes up to `count` ahead.

    Args:
        items: never None; an exception that they raise is raised in its place.
        count: items that are held, at least 1.
    """
    executor = concurrent.futures.ThreadPoolExecutor(1, "ahead")
    try:
        pending = collections.deque(executor.submit(next, items, None) for _ in range(count))
        while (item := pending.popleft().result()) is not None:
            yield item
            pending.append(executor.submit(next, items, None))
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
