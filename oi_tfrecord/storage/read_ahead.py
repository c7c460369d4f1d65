"""Works ahead with threads, in order, and holds a bounded number of bytes or items."""

import collections
import concurrent.futures
import dataclasses
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

Item = TypeVar("Item")

Result = TypeVar("Result")

ITEMS_PER_TASK = 4
"""Default of `map_in_order`: handing a task to a thread costs about as much as reading a small file."""

FIRST_TASKS = 2
"""Tasks under way while no result has shown its size: as many tasks as threads could hold gigabytes."""

_REMEMBERED = 16
"""Results of which the largest says how large the next ones may be."""


class ByteBudget:
    """Bytes that results may hold which are computed ahead; several threads of a process may share a budget."""

    def __init__(self, max_bytes: int):
        """Holds nothing yet.

        Args:
            max_bytes: the bound.
        """
        self._max_bytes = max_bytes
        self._held = 0
        self._lock = threading.Lock()

    def add(self, size: int) -> None:
        """Adds bytes that are held now; negative for those that are not held any more."""
        with self._lock:
            self._held += size

    def has_room(self, size: int) -> bool:
        """Returns whether so many more bytes are within the bound."""
        with self._lock:
            return self._held + size <= self._max_bytes


@dataclasses.dataclass(frozen=True)
class _Task(Generic[Result]):
    """Some items that a thread works on.

    Attributes:
        start: number of the first item.
        stop: number after the last item.
        future: results of the first of these items, and what ended them early.
    """

    start: int
    stop: int
    future: "concurrent.futures.Future[tuple[list[Result], Exception | None]]"


class _Ahead(Generic[Item, Result]):
    """The items that are computed ahead, and the bytes that they hold."""

    def __init__(
        self,
        function: Callable[[Item], Result],
        items: Sequence[Item],
        size_of: Callable[[Result], int],
        budget: ByteBudget,
    ):
        self._function = function
        self._items = items
        self._size_of = size_of
        self._budget = budget
        self._sizes: collections.deque[int] = collections.deque(maxlen=_REMEMBERED)
        self._held = 0
        self._lock = threading.Lock()

    @property
    def knows_size(self) -> bool:
        """Whether a result has shown its size."""
        return bool(self._sizes)

    @property
    def expected_bytes(self) -> int:
        """Bytes that the next result may hold; 0 if unknown."""
        return max(self._sizes.copy(), default=0)

    def has_room(self, items: int) -> bool:
        """Returns whether the results of so many more items are within the budget."""
        return self._budget.has_room(items * self.expected_bytes)

    def compute(self, item: int) -> Result:
        """Returns the result of an item, whose bytes are held from now on."""
        result = self._function(self._items[item])
        size = self._size_of(result)
        self._sizes.append(size)
        self.hold(size)
        return result

    def compute_some(self, start: int, stop: int, reserved: int) -> tuple[list[Result], Exception | None]:
        """Computes items until one fails, or until the budget is used up.

        Args:
            start: number of the first item.
            stop: number after the last item.
            reserved: bytes that are held for each item until its size is known.
        """
        results: list[Result] = []
        failed: Exception | None = None
        for item in range(start, stop):
            if results and not self._budget.has_room(0):
                break
            try:
                results.append(self.compute(item))
            except Exception as error:
                failed = error
                break
            finally:
                self.hold(-reserved)
        self.hold(-reserved * (stop - start - len(results) - (failed is not None)))
        return results, failed

    def hold(self, size: int) -> None:
        """Adds bytes that are held; negative for those that are not held any more."""
        with self._lock:
            self._held += size
        self._budget.add(size)

    def release(self, result: Result) -> None:
        """Ends to hold a result."""
        self.hold(-self._size_of(result))

    def release_all(self) -> None:
        """Ends to hold what is left, once all threads have ended."""
        self.hold(-self._held)


def map_in_order(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    *,
    threads: int,
    max_bytes: int,
    size_of: Callable[[Result], int],
    items_per_task: int = ITEMS_PER_TASK,
    budget: ByteBudget | None = None,
) -> Iterator[Result]:
    """Yields `function(item)` for each item, in order, computed ahead by threads.

    Args:
        function: called from `threads` threads.
        items: its arguments.
        threads: number of threads, at least 1.
        max_bytes: bound on the bytes of results computed ahead. Results under way count as the largest of the last
            ones; at least one task is always under way, and two until the first result shows how large results are.
        size_of: returns the bytes that a result holds.
        items_per_task: number of items that a thread takes at once; with 1, all threads have work up to the last items.
        budget: bound that other calls share, in place of `max_bytes`.

    Yields:
        The results in the order of `items`. An exception of `function` is raised in place of its result.
    """
    ahead = _Ahead(function, items, size_of, budget or ByteBudget(max_bytes))
    pending: collections.deque[_Task[Result]] = collections.deque()
    start = 0
    executor = concurrent.futures.ThreadPoolExecutor(threads)
    try:
        while pending or start < len(items):
            most = 2 * threads if ahead.knows_size else FIRST_TASKS
            while start < len(items) and len(pending) < most and (not pending or ahead.has_room(items_per_task)):
                stop, reserved = min(start + items_per_task, len(items)), ahead.expected_bytes
                ahead.hold(reserved * (stop - start))
                pending.append(_Task(start, stop, executor.submit(ahead.compute_some, start, stop, reserved)))
                start = stop
            task = pending.popleft()
            results, error = task.future.result()
            done = task.start + len(results)
            # The future holds the list, too: results that stayed in it would be held beyond the bound.
            results.reverse()
            while results:
                result = results.pop()
                yield result
                ahead.release(result)
                del result
            if error is not None:
                raise error
            # The budget was used up before all items of the task were computed.
            for item in range(done, task.stop):
                result = ahead.compute(item)
                yield result
                ahead.release(result)
    finally:
        executor.shutdown(wait=True, cancel_futures=True)
        ahead.release_all()


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
