"""Keeps the reads that a process has in flight to what its store gives, so that many processes can share a store.

A store that has enough of a process answers 429 or 503. Then the process halves what it has in flight, and adds to it
step by step while reads succeed (additive increase, multiplicative decrease, as TCP does: Chiu and Jain, 1989). With
one read in flight, the process also leaves a gap between reads, which it widens and narrows in the same way. A refused
read is sent again after a random wait ("full jitter") whose bound grows while nothing succeeds.
"""

import contextlib
import dataclasses
import math
import random
import threading
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from oi_tfrecord.storage.retry import count_retry

PATIENCE_SECONDS = 600.0
"""A store that refuses all reads for this long has failed."""

FIRST_PATIENCE_SECONDS = 45.0
"""The same for the first requests of a command, as a user waits for their error."""

_FIRST_REFUSALS = 700
"""A burst of so many refusals passes, also where a command sends its first requests one after the other."""

_FIRST_WAIT = 0.1
"""Bound on the wait between the first requests of a command, in seconds."""

MOST_RETRY_AFTER = 60.0
"""Bound on the wait that a server asks for, in seconds."""

_GAP_WIDER, _GAP_NARROWER = 1.3, 0.96

_LEAST_GAP, _MOST_GAP = 0.01, 2.0

_REFUSED_IN_A_ROW = 8
"""Up to so many refusals in a row mean that the gap is too small; more mean that the store refuses every read now."""

_WAIT_SECONDS = 0.012
"""Bound on the wait after a refusal; the bound after n refusals in a row is the square root of n times as large."""

Result = TypeVar("Result")


@dataclasses.dataclass
class Pace:
    """When the next read may start; every method takes the time in seconds.

    Attributes:
        limit: reads in flight at most.
        gap: seconds between the starts of reads.
        next_start: earliest start of the next read.
        in_flight: reads that have started and not ended.
        refused: refusals since a read last succeeded.
        most_wait: bound on the wait after a refusal, in seconds.
    """

    limit: float = math.inf
    gap: float = 0.0
    next_start: float = 0.0
    in_flight: int = 0
    refused: int = 0
    most_wait: float = math.inf
    _last_cut: float = -math.inf

    def seconds_to_start(self, now: float) -> float:
        """Returns how long the next read has to wait; infinity until a read ends."""
        return max(self.next_start - now, 0.0) if self.in_flight + 1 <= self.limit else math.inf

    def start(self, now: float) -> None:
        """Counts a read that starts."""
        self.in_flight += 1
        self.next_start = max(now, self.next_start) + self.gap

    def end(self) -> None:
        """Counts a read that failed for another reason than the rate."""
        self.in_flight -= 1

    def succeed(self) -> None:
        """Counts a read that succeeded, and goes a step up."""
        self.in_flight -= 1
        self.refused = 0
        if self.gap:
            self.gap *= _GAP_NARROWER
            if self.gap < _LEAST_GAP / 2:
                self.gap = 0.0
        else:
            self.limit += 1 / self.limit

    def refuse(self, now: float, started: float, draw: Callable[[float, float], float] = random.uniform) -> bool:
        """Counts a read that the store refused.

        Args:
            now: time.
            started: when the read started.
            draw: returns a random number between two numbers.

        Returns:
            Whether the pace was cut: once for all reads that were in flight together.
        """
        self.in_flight -= 1
        self.refused += 1
        is_cut = started >= self._last_cut
        if is_cut:
            self._last_cut = now
            if self.limit > 1:
                self.limit = max(min(self.limit, self.in_flight + 1) / 2, 1.0)
            elif self.refused <= _REFUSED_IN_A_ROW:
                self.gap = min(max(self.gap * _GAP_WIDER, _LEAST_GAP), _MOST_GAP)
        wait = draw(0.0, max(self.gap / 3, min(_WAIT_SECONDS * math.sqrt(self.refused), self.most_wait)))
        # The refused read is sent again in the same place of the order, so its gap is not added twice.
        self.next_start = max(now, self.next_start - self.gap) + wait
        return is_cut

    def pause(self, until: float) -> None:
        """Starts nothing before a time."""
        self.next_start = max(self.next_start, until)


class Governor:
    """Lets the threads of a process read from one store at its pace."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, first_patience: float = PATIENCE_SECONDS):
        """Holds nothing back yet.

        Args:
            clock: seconds.
            first_patience: seconds after which a store that has given nothing yet has failed; PATIENCE_SECONDS is that
                of a store that gave a read before.
        """
        self._clock = clock
        self._patience = first_patience
        self._is_first = first_patience < PATIENCE_SECONDS
        self._pace = Pace(most_wait=_FIRST_WAIT if self._is_first else math.inf)
        self._may_start = threading.Condition()
        self._refused_since = math.inf

    def read(
        self,
        request: Callable[[], Result],
        is_refusal: Callable[[BaseException], bool],
        retry_after: Callable[[BaseException], float],
    ) -> Result:
        """Sends a read when its turn comes, and again while the store refuses it.

        Args:
            request: sends it.
            is_refusal: whether an exception says that there are too many requests.
            retry_after: returns the seconds that the store asks to wait, from a refusal; called once for each cut of
                the pace.

        Returns:
            What the request returns; any other exception is raised unchanged, and a refusal when the store has
            refused all reads for as long as its patience.
        """
        while True:
            started = self._start()
            try:
                result = request()
            except BaseException as error:
                if not is_refusal(error):
                    self._end()
                    raise
                if self._refuse(started):
                    self._pause(min(retry_after(error), MOST_RETRY_AFTER))
                if self._has_failed():
                    raise
                count_retry()
            else:
                self._succeed()
                return result

    def _has_failed(self) -> bool:
        """Returns whether the store has refused all reads for as long as its patience."""
        is_burst = self._is_first and self._pace.refused < _FIRST_REFUSALS
        return self._clock() - self._refused_since > self._patience and not is_burst

    def _start(self) -> float:
        with self._may_start:
            wait = self._pace.seconds_to_start(self._clock())
            with count_throttled() if wait else contextlib.nullcontext():
                while wait:
                    self._may_start.wait(None if wait == math.inf else wait)
                    wait = self._pace.seconds_to_start(self._clock())
            now = self._clock()
            self._pace.start(now)
            return now

    def _end(self) -> None:
        with self._may_start:
            self._pace.end()
            self._may_start.notify()

    def _succeed(self) -> None:
        with self._may_start:
            self._pace.succeed()
            self._refused_since, self._patience = math.inf, PATIENCE_SECONDS
            self._is_first, self._pace.most_wait = False, math.inf
            self._may_start.notify(2)

    def _refuse(self, started: float) -> bool:
        with self._may_start:
            # A store that was not asked for a while, as no image was needed, has not refused in that time.
            self._refused_since = min(self._refused_since, started)
            is_cut = self._pace.refuse(self._clock(), started)
            self._may_start.notify()
            return is_cut

    def _pause(self, seconds: float) -> None:
        with self._may_start:
            self._pace.pause(self._clock() + seconds)


@dataclasses.dataclass
class _Throttled:
    """Seconds in which a read of this process was held back."""

    seconds: float = 0.0
    waiting: int = 0
    taken: int = 0
    since: float = 0.0
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)


_throttled = _Throttled()


def throttled_seconds() -> float:
    """Returns for how long reads of this process have been held back, however many at a time."""
    with _throttled.lock:
        waited = time.monotonic() - _throttled.since if _throttled.waiting else 0.0
        return _throttled.seconds + waited


def take_throttled_seconds() -> int:
    """Returns the whole seconds of `throttled_seconds` that were not taken before, so that each is counted once."""
    seconds = throttled_seconds()
    with _throttled.lock:
        taken = int(seconds - _throttled.taken)
        _throttled.taken += taken
    return taken


@contextlib.contextmanager
def count_throttled() -> Iterator[None]:
    """Counts the time of the block as time in which a read was held back."""
    with _throttled.lock:
        if not _throttled.waiting:
            _throttled.since = time.monotonic()
        _throttled.waiting += 1
    try:
        yield
    finally:
        with _throttled.lock:
            _throttled.waiting -= 1
            if not _throttled.waiting:
                _throttled.seconds += time.monotonic() - _throttled.since
