import os
import threading

import pytest

from oi_tfrecord.engine import threads as threads_module
from oi_tfrecord.engine.threads import (
    THREADS_PER_PROCESS,
    ThreadPool,
    Work,
    choose_processes,
    choose_workers,
    run_on_threads,
    split_workers,
)
from oi_tfrecord.errors import ConfigError
from tests.support.processes import HANG_SECONDS


@pytest.mark.parametrize("workers", range(1, 20))
def test_as_many_run_at_once_as_there_are_workers_and_no_process_is_idle(workers: int) -> None:
    processes, threads = split_workers(workers, is_local=True)
    assert workers <= processes * threads < workers + threads
    assert 1 <= threads <= THREADS_PER_PROCESS


def test_another_runner_decides_itself() -> None:
    assert split_workers(7, is_local=False) == (1, 1)


@pytest.mark.parametrize("work", Work)
@pytest.mark.parametrize(
    ("cores", "elements", "is_small", "workers"),
    [
        (1, 9, False, 1),
        (2, 9, False, 2),
        (8, 9, False, 8),
        (8, 5, False, 5),
        (8, 1, False, 2),
        (8, 9, True, 2),
        (1, 9, True, 1),
    ],
)
def test_a_small_input_takes_one_process(
    work: Work, cores: int, elements: int, is_small: bool, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads_module.os, "cpu_count", lambda: cores)
    assert choose_workers(work, work.value - is_small, elements) == workers


@pytest.mark.parametrize(
    ("shards", "workers", "processes"), [(3, 0, 1), (8, 0, 2), (100, 0, 3), (100, 5, 5), (8, 5, 2)]
)
def test_a_process_reads_several_shards(
    shards: int, workers: int, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads_module.os, "cpu_count", lambda: 3)
    assert choose_processes(shards, workers) == processes


def collect(pool: ThreadPool[int], numbers: range) -> list[int]:
    found: list[int] = []
    for number in numbers:
        found += pool.submit(lambda value: value * value, number)
    return found + list(pool.drain())


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("elements", [0, 1, 2, 17])
def test_every_result_comes_once(count: int, elements: int) -> None:
    pool: ThreadPool[int] = ThreadPool(count)
    assert sorted(collect(pool, range(elements))) == [number**2 for number in range(elements)]
    assert list(pool.drain()) == []
    pool.close()


def test_as_many_run_at_once_as_there_are_threads_and_no_more() -> None:
    count, running, most = 3, 0, 0
    lock, all_there = threading.Lock(), threading.Barrier(count)

    def work(wait: bool) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        if wait:
            all_there.wait(HANG_SECONDS)
        with lock:
            running -= 1

    pool: ThreadPool[None] = ThreadPool(count)
    for number in range(count * 5):
        # The first of them end only when all threads are in use.
        list(pool.submit(work, number < count))
    list(pool.drain())
    pool.close()
    assert most == count


def test_one_at_a_time_needs_no_thread() -> None:
    pool: ThreadPool[int] = ThreadPool(1)
    assert list(pool.submit(threading.get_ident)) == [threading.get_ident()]
    pool.close()


@pytest.mark.parametrize("count", [1, 2])
def test_an_error_of_a_function_is_raised_and_the_other_functions_end_before_close_does(count: int) -> None:
    pool: ThreadPool[None] = ThreadPool(count)
    ended = []
    began = threading.Event()

    def fail() -> None:
        raise LookupError("bad shard")

    def succeed() -> None:
        began.set()
        ended.append(1)

    def run_both() -> None:
        for function in (fail, succeed):
            list(pool.submit(function))
        list(pool.drain())

    with pytest.raises(LookupError, match="bad shard"):
        run_both()
    pool.close()
    assert ended == [1] * began.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pool-thread")]


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("elements", [0, 1, 2, 17])
def test_a_function_is_run_on_all_elements(count: int, elements: int) -> None:
    assert sorted(run_on_threads(lambda value: value * value, range(elements), count)) == [
        n**2 for n in range(elements)
    ]


@pytest.mark.parametrize("count", [1, 2])
def test_no_thread_is_left_when_an_element_fails(count: int) -> None:
    def fail_at_three(value: int) -> int:
        if value == 3:
            raise LookupError("bad shard")
        return value

    with pytest.raises(LookupError, match="bad shard"):
        list(run_on_threads(fail_at_three, range(9), count))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("pool-thread")]


@pytest.mark.parametrize("workers", [1000, 1 << 20])
def test_more_workers_than_a_machine_can_start_are_refused(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    with pytest.raises(
        ConfigError, match=f"workers: {workers} is too many for this machine of 2 cores; give at most 64"
    ):
        split_workers(workers, is_local=True)
    with pytest.raises(ConfigError, match="workers"):
        choose_processes(8, workers)
    assert split_workers(workers, is_local=False) == (1, 1)
