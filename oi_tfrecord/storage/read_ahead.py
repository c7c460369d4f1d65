"""Maps a function over items with threads, in order, holding a bounded number of bytes."""

import collections
import concurrent.futures
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

Result = TypeVar("Result")

CHUNK = 4
"""Items per task, unless said: handing a task to a thread costs about as much as reading a small file."""


def map_in_order(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    threads: int,
    max_bytes: int,
    size_of: Callable[[Result], int],
    chunk: int = CHUNK,
) -> Iterator[Result]:
    """Yields `function(item)` for each item, in order, computed ahead by threads.

    Args:
        function: called from `threads` threads.
        items: its arguments.
        threads: at least 1.
        max_bytes: bound on the bytes of results computed ahead, estimated from the mean of the
            results so far; at least one task is always under way.
        size_of: bytes that a result holds.
        chunk: items per task; with 1 as many items are under way as there are threads, however few remain.

    Yields:
        The results in the order of `items`. An exception of `function` is raised in its place.
    """

    def run(start: int) -> tuple[list[Result], Exception | None]:
        results = []
        for item in items[start : start + chunk]:
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
            chunk_bytes = chunk * total_bytes // done if done else 0
            window = min(2 * threads, max(max_bytes // chunk_bytes, 1)) if chunk_bytes else threads
            while start < len(items) and len(pending) < window:
                pending.append(executor.submit(run, start))
                start += chunk
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
