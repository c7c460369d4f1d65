import asyncio
from collections.abc import Sequence

import pytest

from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.http_host import Host, UrlRequests
from oi_tfrecord.sources.http_policy import FetchRejected, FetchSettings, MayPassError

SETTINGS = FetchSettings(max_wait=10.0)


def refusal(seconds: float) -> MayPassError:
    return MayPassError("no image", 503, retry_after=seconds)


def requests_of(host: Host, outcomes: Sequence[bytes | Exception]) -> UrlRequests:
    """Returns requests whose answers are given, one after the other."""
    following = iter(outcomes)

    async def request() -> bytes:
        outcome = next(following)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return UrlRequests(host, asyncio.Semaphore(4), SETTINGS, "http://host/a.jpg", request)


def test_the_request_is_sent_again_after_the_wait_that_the_host_asks_for() -> None:
    async def run() -> UrlRequests:
        requests = requests_of(Host(asyncio.Semaphore(1)), [refusal(0.01), refusal(0.02), b"data"])
        assert await requests.send() == b"data"
        return requests

    requests = asyncio.run(run())
    assert requests.count == 3
    assert requests.waited >= 0.03


def test_all_requests_to_the_host_wait() -> None:
    async def run() -> UrlRequests:
        host = Host(asyncio.Semaphore(1))
        assert await requests_of(host, [refusal(0.01), b"one"]).send() == b"one"
        host.resume_at = asyncio.get_running_loop().time() + 0.02
        second = requests_of(host, [b"two"])
        assert await second.send() == b"two"
        return second

    requests = asyncio.run(run())
    assert requests.count == 1
    assert requests.waited >= 0.02


@pytest.mark.parametrize("failure", [MayPassError("broken"), refusal(0.0)])
def test_a_failure_without_a_wait_is_left_to_the_retry_policy(failure: MayPassError) -> None:
    async def run() -> None:
        await requests_of(Host(asyncio.Semaphore(1)), [failure, b"data"]).send()

    with pytest.raises(MayPassError) as raised:
        asyncio.run(run())
    assert raised.value is failure


def test_a_wait_that_is_too_long_is_not_begun() -> None:
    async def rejected(host: Host, outcomes: Sequence[bytes | Exception]) -> FetchRejected:
        with pytest.raises(FetchRejected) as raised:
            await requests_of(host, outcomes).send()
        return raised.value

    async def run() -> tuple[FetchRejected, FetchRejected]:
        host = Host(asyncio.Semaphore(1))
        return await rejected(host, [refusal(86_400.0)]), await rejected(host, [])

    first, second = asyncio.run(run())
    assert (first.reason, first.status) == (Reject.DOWNLOAD_FAILED, 503)
    assert first.detail == "HTTP 503: no image (1 attempt; its host asks to wait 86,400 s): http://host/a.jpg"
    assert (second.reason, second.status) == (Reject.DOWNLOAD_FAILED, 0)
    assert second.detail == "not requested, as its host asks to wait 86,400 s: http://host/a.jpg"
