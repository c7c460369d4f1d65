"""When a failed request is sent again: one policy for HDFS, object stores and downloads.

tenacity runs the loops. It is imported with the first remote request, as local files do without it.
"""

import dataclasses
import datetime
import email.utils
import re
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

Result = TypeVar("Result")

_MAX_SECONDS = 10**9


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """How often and how soon a failed request is sent again.

    Each wait is a uniform draw from zero to a bound that doubles with each failure, which spreads clients that failed
    together. Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015 ("full jitter").

    Attributes:
        attempts: requests at most, at least 1.
        base_delay: bound on the first wait, in seconds.
        max_delay: bound on every wait, in seconds.
    """

    attempts: int = 5
    base_delay: float = 1.0
    max_delay: float = 60.0


def retry(
    function: Callable[[], Result],
    may_pass: Callable[[BaseException], bool],
    policy: RetryPolicy,
    sleep: Callable[[float], None] = time.sleep,
) -> Result:
    """Calls a function until it returns, raises an exception that will not pass, or has no attempts left.

    Args:
        function: sends a request that may be sent twice, such as a read.
        may_pass: returns whether the same request may succeed after this exception.
        policy: bounds on the attempts and the waits between them.
        sleep: waits this many seconds.

    Returns:
        What the function returns; the exception of its last call is raised unchanged.
    """
    # A loop of tenacity takes a third of the processor time of a small request, so none is made for a first success.
    try:
        return function()
    except BaseException as error:
        if not may_pass(error):
            raise
        failed = error
    from tenacity import Retrying

    for attempt in Retrying(sleep=sleep, **_rules(may_pass, policy)):
        with attempt:
            if attempt.retry_state.attempt_number == 1:
                raise failed
            return function()
    raise failed


async def retry_async(
    function: Callable[[], Awaitable[Result]], may_pass: Callable[[BaseException], bool], policy: RetryPolicy
) -> Result:
    """Awaits what a function returns; arguments and result as of `retry`."""
    import asyncio

    from tenacity import AsyncRetrying

    return await AsyncRetrying(sleep=asyncio.sleep, **_rules(may_pass, policy))(function)


def count_retries() -> int:
    """Returns how many requests this process has sent again."""
    return _process.retries


def parse_retry_after(text: str | None, now: datetime.datetime) -> float | None:
    """Parses the header Retry-After (RFC 9110, section 10.2.3).

    Args:
        text: its value: whole seconds, or an HTTP date; None if it is absent.
        now: the time, with its zone.

    Returns:
        Seconds to wait, at least 0; None if there is no usable value.
    """
    if text is None:
        return None
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,18}", text):
        return float(min(int(text), _MAX_SECONDS))
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        # "-0000" and dates of the obsolete formats have no zone; HTTP dates are always UTC.
        moment = moment.replace(tzinfo=datetime.UTC)
    return min(max((moment - now).total_seconds(), 0.0), float(_MAX_SECONDS))


def take_retries() -> int:
    """Returns how many requests this process has sent again since the last call, so that each is counted once."""
    with _process.lock:
        taken, _process.taken = _process.retries - _process.taken, _process.retries
    return taken


@dataclasses.dataclass
class _Process:
    retries: int = 0
    taken: int = 0
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)


_process = _Process()


def count_retry() -> None:
    """Counts a request that is sent again."""
    with _process.lock:
        _process.retries += 1


def _rules(may_pass: Callable[[BaseException], bool], policy: RetryPolicy) -> dict[str, Any]:
    import tenacity

    return {
        "retry": tenacity.retry_if_exception(may_pass),
        "stop": tenacity.stop_after_attempt(policy.attempts),
        "wait": tenacity.wait_random_exponential(policy.base_delay, policy.max_delay),
        "before_sleep": lambda _: count_retry(),
        "reraise": True,
    }
