"""The pace of reads, in a simulated store with a rate, and the governor's threads."""

import concurrent.futures
import contextlib
import heapq
import math
import random
import threading

import pytest

from oi_tfrecord.storage import governor
from oi_tfrecord.storage.governor import Governor, Pace

READERS = 64


class Refused(Exception):
    pass


def _simulate(reads: int, *, rate: float, seconds: float = 0.01, first_refused: int = 0) -> tuple[float, int, int]:
    """Runs reads against a store that gives `rate` a second; returns (seconds, refusals, most in flight).

    `first_refused` requests are refused whatever their rate.
    """
    draw = random.Random(5)
    pace, now, waiting, done, refusals, most = Pace(), 0.0, reads, 0, 0, 0
    tokens, filled = 1.0, 0.0
    ends: list[tuple[float, bool, float]] = []
    while done < reads:
        wait = pace.seconds_to_start(now) if waiting and pace.in_flight < READERS else math.inf
        if ends and now + wait > ends[0][0]:
            now, given, started = heapq.heappop(ends)
            if given:
                pace.succeed()
                done += 1
            else:
                pace.refuse(now, started, draw.uniform)
                refusals, waiting = refusals + 1, waiting + 1
            continue
        now += wait
        pace.start(now)
        waiting -= 1
        most = max(most, pace.in_flight)
        tokens, filled = min(tokens + (now - filled) * rate, max(rate / 10, 1.0)), now
        given = tokens >= 1 and not first_refused
        tokens -= given
        first_refused = max(first_refused - 1, 0)
        heapq.heappush(ends, (now + seconds, given, now))
    return now, refusals, most


@pytest.mark.parametrize("rate", [0.5, 2.5, 25.0, 400.0])
@pytest.mark.parametrize("seconds", [0.005, 0.05])
def test_a_process_gets_most_of_the_rate_of_its_store(rate: float, seconds: float) -> None:
    reads = int(rate * 60) + 20
    took, refusals, _ = _simulate(reads, rate=rate, seconds=seconds)
    assert reads / took >= 0.8 * rate
    assert refusals < 6 * reads


@pytest.mark.parametrize("burst", [64, 640])
def test_a_burst_of_refusals_passes(burst: int) -> None:
    took, refusals, most = _simulate(2000, rate=1e9, seconds=0.05, first_refused=burst)
    assert refusals == burst
    assert most == READERS
    assert took < 180


def test_reads_that_were_refused_together_cut_the_pace_once() -> None:
    pace = Pace()
    for _ in range(8):
        pace.start(0.0)
    assert [pace.refuse(1.0, 0.0, lambda low, high: low) for _ in range(8)] == [True] + [False] * 7
    assert pace.limit == 4
    pace.start(2.0)
    assert pace.refuse(3.0, 2.0, lambda low, high: low)


def test_nothing_starts_while_the_store_asks_to_wait() -> None:
    pace = Pace()
    pace.pause(7.0)
    assert pace.seconds_to_start(5.0) == 2.0
    assert pace.seconds_to_start(8.0) == 0.0


def test_threads_read_again_what_is_refused() -> None:
    made = Governor()
    lock, answers = threading.Lock(), iter([False] * 20 + [True] * 100)

    def request() -> int:
        with lock:
            if not next(answers):
                raise Refused
        return 1

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        results = pool.map(lambda _: made.read(request, lambda e: isinstance(e, Refused), lambda _: 0.0), range(100))
        assert sum(results) == 100
    assert made._pace.in_flight == 0


def test_another_error_is_raised_and_frees_its_place() -> None:
    made = Governor()

    def fail() -> None:
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        made.read(fail, lambda e: isinstance(e, Refused), lambda _: 0.0)
    assert made._pace.in_flight == 0


def test_a_store_that_refuses_everything_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(governor, "PATIENCE_SECONDS", -1.0)
    monkeypatch.setattr(governor, "_FIRST_REFUSALS", 1)

    def refuse() -> None:
        raise Refused

    with pytest.raises(Refused):
        Governor(first_patience=-1.0).read(refuse, lambda e: isinstance(e, Refused), lambda _: 0.0)
    later = Governor()
    assert later.read(lambda: 1, lambda e: isinstance(e, Refused), lambda _: 0.0) == 1
    with pytest.raises(Refused):
        later.read(refuse, lambda e: isinstance(e, Refused), lambda _: 0.0)


@pytest.mark.parametrize(("burst", "is_outlasted"), [(640, True), (6400, False)])
def test_a_burst_of_refusals_of_the_first_requests_passes(
    burst: int, is_outlasted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(governor, "_FIRST_WAIT", 0.0)
    now, left = 0.0, burst

    def clock() -> float:
        nonlocal now
        now += 0.05
        return now

    def request() -> int:
        nonlocal left
        if left:
            left -= 1
            raise Refused
        return 1

    made = Governor(clock, first_patience=governor.FIRST_PATIENCE_SECONDS)
    with contextlib.nullcontext() if is_outlasted else pytest.raises(Refused):
        assert made.read(request, lambda e: isinstance(e, Refused), lambda _: 0.0) == 1


@pytest.mark.parametrize(
    ("gives_first", "outage", "is_outlasted"), [(False, 40.0, True), (False, 60.0, False), (True, 500.0, True)]
)
def test_a_store_that_gave_something_gets_more_patience(
    gives_first: bool, outage: float, is_outlasted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(governor, "_FIRST_REFUSALS", 5)
    now = 0.0

    def clock() -> float:
        # Each look at the clock takes longer than the pause between two requests.
        nonlocal now
        now += 1.0
        return now

    made = Governor(clock, first_patience=governor.FIRST_PATIENCE_SECONDS)
    if gives_first:
        made.read(lambda: 1, lambda e: False, lambda _: 0.0)
    # Nobody asks for an hour.
    now = begin = 3600.0

    def request() -> int:
        nonlocal now
        now += outage / 10
        if now - begin < outage:
            raise Refused
        return 1

    if is_outlasted:
        assert made.read(request, lambda e: isinstance(e, Refused), lambda _: 0.0) == 1
    else:
        with pytest.raises(Refused):
            made.read(request, lambda e: isinstance(e, Refused), lambda _: 0.0)
        assert now - begin < outage
