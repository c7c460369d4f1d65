import threading

import pytest

from oi_tfrecord.engine import threads as lanes_module
from oi_tfrecord.engine.threads import LANES_PER_PROCESS, Lanes, default_workers, run_on_lanes, split_workers
from tests.support.processes import HANG_SECONDS


@pytest.mark.parametrize("workers", range(1, 20))
def test_as_many_run_at_once_as_there_are_workers_and_no_process_is_idle(workers: int) -> None:
    processes, lanes = split_workers(workers, is_local=True)
    assert workers <= processes * lanes < workers + lanes
    assert 1 <= lanes <= LANES_PER_PROCESS


def test_another_runner_decides_itself() -> None:
    assert split_workers(7, is_local=False) == (1, 1)


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
    cores: int, elements: int, is_small: bool, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes_module.os, "cpu_count", lambda: cores)
    assert default_workers(elements, is_small=is_small) == workers


def collect(lanes: Lanes[int], numbers: range) -> list[int]:
    found: list[int] = []
    for number in numbers:
        found += lanes.submit(lambda value: value * value, number)
    return found + list(lanes.drain())


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("elements", [0, 1, 2, 17])
def test_every_result_comes_once(count: int, elements: int) -> None:
    lanes: Lanes[int] = Lanes(count)
    assert sorted(collect(lanes, range(elements))) == [number**2 for number in range(elements)]
    assert list(lanes.drain()) == []
    lanes.close()


def test_as_many_run_at_once_as_there_are_lanes_and_no_more() -> None:
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

    lanes: Lanes[None] = Lanes(count)
    for number in range(count * 5):
        # The first of them end only when all lanes are in use.
        list(lanes.submit(work, number < count))
    list(lanes.drain())
    lanes.close()
    assert most == count


def test_one_lane_needs_no_thread() -> None:
    lanes: Lanes[int] = Lanes(1)
    assert list(lanes.submit(threading.get_ident)) == [threading.get_ident()]
    lanes.close()


@pytest.mark.parametrize("count", [1, 2])
def test_what_a_function_raises_is_raised_and_the_others_end_before_close_does(count: int) -> None:
    lanes: Lanes[None] = Lanes(count)
    ended = []
    began = threading.Event()

    def fail() -> None:
        raise LookupError("bad shard")

    def go_on() -> None:
        began.set()
        ended.append(1)

    def run_both() -> None:
        for function in (fail, go_on):
            list(lanes.submit(function))
        list(lanes.drain())

    with pytest.raises(LookupError, match="bad shard"):
        run_both()
    lanes.close()
    assert ended == [1] * began.is_set()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lane")]


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("elements", [0, 1, 2, 17])
def test_a_function_is_run_on_all_elements(count: int, elements: int) -> None:
    assert sorted(run_on_lanes(lambda value: value * value, range(elements), count)) == [n**2 for n in range(elements)]


@pytest.mark.parametrize("count", [1, 2])
def test_no_lane_is_left_when_an_element_fails(count: int) -> None:
    def fail_at_three(value: int) -> int:
        if value == 3:
            raise LookupError("bad shard")
        return value

    with pytest.raises(LookupError, match="bad shard"):
        list(run_on_lanes(fail_at_three, range(9), count))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lane")]
