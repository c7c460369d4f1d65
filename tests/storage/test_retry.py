import asyncio
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from oi_tfrecord.storage.retry import RetryPolicy, retry, retry_async
from tests.support import small_release

POLICY = RetryPolicy(attempts=5, base_delay=0.5, max_delay=3.0)


def request(outcomes: list[Exception | str]) -> Callable[[], str]:
    """Returns a function whose calls raise or return one outcome after the other."""
    following: Iterator[Exception | str] = iter(outcomes)

    def send() -> str:
        outcome = next(following)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return send


def may_pass(error: BaseException) -> bool:
    return isinstance(error, ConnectionError)


def test_waits_stay_below_the_doubling_bound_and_the_cap() -> None:
    waits: list[float] = []
    send = request([*[ConnectionError("away")] * 4, "data"])
    assert retry(send, may_pass, POLICY, waits.append) == "data"
    assert len(waits) == 4
    assert all(0 <= wait <= bound for wait, bound in zip(waits, (0.5, 1.0, 2.0, 3.0), strict=True))


def test_waits_fill_their_range() -> None:
    waits: list[float] = []
    with pytest.raises(ConnectionError):
        retry(request([ConnectionError("away")] * 200), may_pass, RetryPolicy(200, 1.0, 1.0), waits.append)
    assert min(waits) < 0.2
    assert max(waits) > 0.8


def test_the_last_exception_is_raised_after_the_last_attempt() -> None:
    waits: list[float] = []
    with pytest.raises(ConnectionError, match="third"):
        retry(
            request([ConnectionError("first"), ConnectionError("second"), ConnectionError("third")]),
            may_pass,
            RetryPolicy(attempts=3),
            waits.append,
        )
    assert len(waits) == 2


def test_an_exception_that_will_not_pass_is_raised_at_once() -> None:
    with pytest.raises(PermissionError):
        retry(request([PermissionError(13, "closed"), "data"]), may_pass, POLICY)


def test_a_coroutine_is_tried_again_alike() -> None:
    send = request([ConnectionError("away"), "data", ConnectionError("one"), ConnectionError("two")])

    async def send_async() -> str:
        return send()

    quick = RetryPolicy(attempts=2, base_delay=0.001)
    assert asyncio.run(retry_async(send_async, may_pass, quick)) == "data"
    with pytest.raises(ConnectionError, match="two"):
        asyncio.run(retry_async(send_async, may_pass, quick))


def test_local_files_do_without_the_library() -> None:
    program = (
        "import sys; from oi_tfrecord import storage; storage.read('setup.py'); sys.exit('tenacity' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], env=small_release.environment(), cwd=small_release.ROOT)
    assert done.returncode == 0
