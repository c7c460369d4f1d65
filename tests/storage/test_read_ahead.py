import concurrent.futures
import gc
import threading
import time
import weakref

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord.storage.read_ahead import FIRST_TASKS, ITEMS_PER_TASK, ByteBudget, iterate_ahead, map_in_order


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 60), threads=st.integers(1, 5), max_bytes=st.sampled_from([1, 100, 1 << 30]))
def test_results_come_in_the_order_of_the_items(count: int, threads: int, max_bytes: int) -> None:
    results = map_in_order(lambda item: item * 7, range(count), threads=threads, max_bytes=max_bytes, size_of=int)
    assert list(results) == [item * 7 for item in range(count)]


def test_a_slow_first_item_is_waited_for() -> None:
    later_done = threading.Event()

    def function(item: int) -> int:
        if item == 0:
            assert later_done.wait(60)
        elif item == ITEMS_PER_TASK:
            later_done.set()
        return item

    results = map_in_order(function, range(3 * ITEMS_PER_TASK), threads=2, max_bytes=1 << 20, size_of=lambda _: 1)
    assert list(results) == list(range(3 * ITEMS_PER_TASK))


def test_results_without_size_do_not_stop_the_threads() -> None:
    assert list(map_in_order(int, range(100), threads=2, max_bytes=1, size_of=lambda _: 0)) == list(range(100))


def test_all_threads_are_used() -> None:
    together = threading.Barrier(3)
    first = FIRST_TASKS * ITEMS_PER_TASK

    def function(item: int) -> int:
        if item >= first and item % ITEMS_PER_TASK == 0:
            together.wait(60)
        return item

    items = range(first + 6 * ITEMS_PER_TASK)
    results = map_in_order(function, items, threads=3, max_bytes=1 << 20, size_of=lambda _: 1)
    assert list(results) == list(items)


@settings(max_examples=40, deadline=None)
@given(bad=st.integers(0, 30), threads=st.integers(1, 3))
def test_an_exception_comes_in_the_place_of_its_item(bad: int, threads: int) -> None:
    def function(item: int) -> int:
        if item == bad:
            raise LookupError(item)
        return item

    before = set(threading.enumerate())
    got: list[int] = []
    with pytest.raises(LookupError) as raised:
        got.extend(map_in_order(function, range(31), threads=threads, max_bytes=1 << 20, size_of=lambda _: 1))
    assert raised.value.args == (bad,)
    # extend() keeps what it took before the exception.
    assert got == list(range(bad))
    assert set(threading.enumerate()) <= before


class Blob:
    """A result that can be counted while anything holds it."""


def most_held(items: int, threads: int, max_bytes: int, size: int) -> tuple[int, int]:
    """Returns the most results alive at once, at any time and after the first `threads` tasks were consumed."""
    held: weakref.WeakSet[Blob] = weakref.WeakSet()
    lock = threading.Lock()
    most = most_later = 0
    consumed = 0

    def function(item: int) -> Blob:
        nonlocal most, most_later
        blob = Blob()
        with lock:
            held.add(blob)
            most = max(most, len(held))
            if consumed > threads * ITEMS_PER_TASK:
                most_later = max(most_later, len(held))
        return blob

    results = map_in_order(function, range(items), threads=threads, max_bytes=max_bytes, size_of=lambda _: size)
    for blob in results:
        del blob
        consumed += 1
        # Lets the threads run as far ahead as they may.
        time.sleep(0.001)
    return most, most_later


def test_bytes_held_are_bounded() -> None:
    size, threads, max_bytes = 1000, 4, 2 * ITEMS_PER_TASK * 1000
    most, most_later = most_held(200, threads, max_bytes, size)
    # Until a size is known each thread has a task; then only the bound counts, and the result
    # that the consumer just took.
    assert most <= threads * ITEMS_PER_TASK + 1
    assert most_later * size <= max_bytes + size


def test_a_bound_below_one_task_leaves_one_task() -> None:
    _, most_later = most_held(100, 3, 1, 1000)
    assert most_later <= ITEMS_PER_TASK + 1


def test_tasks_are_bounded_whatever_the_bytes() -> None:
    most, _ = most_held(200, 2, 1 << 40, 1)
    assert most <= 2 * 2 * ITEMS_PER_TASK + 1


def test_threads_end_when_the_consumer_stops_early() -> None:
    before = set(threading.enumerate())
    results = map_in_order(int, range(10_000), threads=3, max_bytes=1 << 20, size_of=lambda _: 1)
    assert next(results) == 0
    assert set(threading.enumerate()) > before
    results.close()  # type: ignore[attr-defined]
    assert set(threading.enumerate()) <= before


def test_tasks_that_wait_are_not_begun_when_the_consumer_stops_early(monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = threading.Event()
    shutdown = concurrent.futures.ThreadPoolExecutor.shutdown

    def shutdown_and_set(
        self: concurrent.futures.ThreadPoolExecutor, wait: bool = True, *, cancel_futures: bool = False
    ) -> None:
        shutdown(self, wait=False, cancel_futures=cancel_futures)
        stopped.set()
        shutdown(self, wait=wait)

    monkeypatch.setattr(concurrent.futures.ThreadPoolExecutor, "shutdown", shutdown_and_set)
    calls = []

    def function(item: int) -> int:
        calls.append(item)
        if item >= 2 * ITEMS_PER_TASK:
            assert stopped.wait(60)
        return item

    results = map_in_order(function, range(1000), threads=3, max_bytes=1 << 20, size_of=lambda _: 1)
    # The second task's first result: from here on more tasks are handed out than there are threads.
    assert [next(results) for _ in range(ITEMS_PER_TASK + 1)][-1] == ITEMS_PER_TASK
    results.close()  # type: ignore[attr-defined]
    # Two tasks are done, and each of the three threads was in one more.
    assert max(calls) < (2 + 3) * ITEMS_PER_TASK


def test_threads_end_when_the_consumer_forgets_the_iterator() -> None:
    before = set(threading.enumerate())
    for item in map_in_order(int, range(1000), threads=2, max_bytes=1 << 20, size_of=lambda _: 1):
        if item == 5:
            break
    gc.collect()
    assert set(threading.enumerate()) <= before


def test_with_one_item_per_task_few_items_take_all_threads() -> None:
    together = threading.Barrier(6)
    results = map_in_order(
        lambda item: item < FIRST_TASKS or together.wait(60) >= 0,
        range(FIRST_TASKS + 6),
        threads=6,
        max_bytes=6,
        size_of=lambda _: 1,
        items_per_task=1,
    )
    assert list(results) == [True] * (FIRST_TASKS + 6)


@pytest.mark.parametrize("size", [1 << 18, 3 << 20, 60 << 20])
def test_bytes_are_bounded_from_the_first_result_on(size: int) -> None:
    lock = threading.Lock()
    held = most = 0

    def read(item: int) -> int:
        nonlocal held, most
        with lock:
            held += size
            most = max(most, held)
        return size

    for _ in map_in_order(read, range(200), threads=64, max_bytes=64 << 20, size_of=int, items_per_task=1):
        with lock:
            held -= size
    assert most <= max(FIRST_TASKS * size, (64 << 20) + size)


def test_a_large_result_after_small_ones_stops_the_threads_from_starting_more() -> None:
    large, bound = 30 << 20, 64 << 20
    lock = threading.Lock()
    held = most = 0
    sizes = [1000] * 100 + [large] * 60

    def read(item: int) -> int:
        nonlocal held, most
        with lock:
            held += sizes[item]
            most = max(most, held)
        return sizes[item]

    for size in map_in_order(read, range(160), threads=2, max_bytes=bound, size_of=int, items_per_task=1):
        with lock:
            held -= size
    # Two tasks were under way and two waited for a thread when the first large result came.
    assert most <= bound + 4 * large


def test_calls_share_a_budget() -> None:
    budget = ByteBudget(10)
    both = [
        map_in_order(int, range(1, 9), threads=4, max_bytes=0, size_of=lambda _: 4, items_per_task=1, budget=budget)
        for _ in range(2)
    ]
    assert [next(results) for results in both] == [1, 1]
    assert not budget.has_room(0)
    assert [list(results) for results in both] == [list(range(2, 9))] * 2
    assert budget.has_room(10)


def test_a_call_that_fails_leaves_nothing_in_the_budget() -> None:
    def fail(item: int) -> int:
        if item == 5:
            raise LookupError(item)
        return item

    budget = ByteBudget(10)
    with pytest.raises(LookupError):
        list(map_in_order(fail, range(9), threads=3, max_bytes=0, size_of=lambda _: 3, budget=budget))
    assert budget.has_room(10)


def test_a_task_ends_early_when_its_results_are_large() -> None:
    lock = threading.Lock()
    held = most = 0

    def read(item: int) -> int:
        nonlocal held, most
        with lock:
            held += 1
            most = max(most, held)
        return item

    for item, result in enumerate(map_in_order(read, range(40), threads=2, max_bytes=3, size_of=lambda _: 2)):
        assert result == item
        with lock:
            held -= 1
    assert most <= 1 + FIRST_TASKS * 2


@pytest.mark.parametrize("count", [1, 3, 100])
def test_items_that_are_made_ahead_come_in_order(count: int) -> None:
    assert list(iterate_ahead(iter(range(50)), count)) == list(range(50))
    assert list(iterate_ahead(iter([]), count)) == []


def test_no_more_items_are_made_ahead_than_asked_for() -> None:
    made: list[int] = []
    items = iterate_ahead((made.append(item) or item for item in range(100)), 3)
    for item in range(10):
        assert next(items) == item
        assert len(made) <= item + 4
    items.close()  # type: ignore[attr-defined]
    assert len(made) < 20


def test_an_exception_of_items_that_are_made_ahead_comes_after_them() -> None:
    def make():  # type: ignore[no-untyped-def]
        yield from range(5)
        raise ConnectionError("storage is away")

    items = iterate_ahead(make(), 8)
    assert [next(items) for _ in range(5)] == list(range(5))
    with pytest.raises(ConnectionError, match="storage is away"):
        next(items)
