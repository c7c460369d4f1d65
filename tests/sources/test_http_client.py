import concurrent.futures
import dataclasses
import itertools
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources import http_client as fetch
from oi_tfrecord.sources.http_client import Fetcher, shared_fetcher
from oi_tfrecord.sources.http_policy import FetchRejected, FetchSettings, WrongBytes
from oi_tfrecord.storage.retry import RetryPolicy
from tests.support.image_server import (
    Answer,
    ImageServer,
    after,
    cut_off,
    cut_off_without_length,
    drips,
    garbage,
    hang_up,
    status,
)

PHOTO = bytes(range(256)) * 40
QUICK = FetchSettings(retry=RetryPolicy(attempts=3, base_delay=0.01))


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def server() -> Iterator[ImageServer]:
    with ImageServer() as running:
        running.files["/a.jpg"] = PHOTO
        yield running


def accept(data: bytes) -> bytes:
    if data != PHOTO:
        raise WrongBytes(f"{len(data)} wrong bytes")
    return data


def get(server: ImageServer, path: str, settings: FetchSettings = QUICK, size: str = "") -> bytes:
    with Fetcher(settings) as fetcher:
        return fetcher.submit(lambda: fetcher.get(server.url(path), accept, size=size)).result(60)


def rejected(server: ImageServer, path: str, settings: FetchSettings = QUICK, size: str = "") -> FetchRejected:
    with pytest.raises(FetchRejected) as raised:
        get(server, path, settings, size)
    return raised.value


def test_downloads(server: ImageServer) -> None:
    assert get(server, "/a.jpg", size=str(len(PHOTO))) == PHOTO
    assert server.counts == {"/a.jpg": 1}


@pytest.mark.parametrize(
    "fault",
    [status(503), status(429), cut_off, cut_off_without_length, hang_up, garbage],
    ids=["503", "429", "cut_off", "cut_off_without_length", "hang_up", "garbage"],
)
def test_what_may_pass_is_tried_again_until_it_did(server: ImageServer, fault: Answer) -> None:
    server.scripts["/a.jpg"] = [fault, fault]
    assert get(server, "/a.jpg") == PHOTO
    assert server.counts["/a.jpg"] == 3


@pytest.mark.parametrize(
    ("fault", "code", "most"),
    # aiohttp asks once more by itself where a connection was closed, as an idle one may be at any time.
    [(status(500), 500, 3), (status(429), 429, 3), (cut_off, 0, 3), (hang_up, 0, 6)],
    ids=["500", "429", "cut_off", "hang_up"],
)
def test_gives_up_after_the_attempts(server: ImageServer, fault: Answer, code: int, most: int) -> None:
    server.scripts["/a.jpg"] = [fault] * 9
    failure = rejected(server, "/a.jpg")
    assert (failure.reason, failure.status) == (Reject.DOWNLOAD_FAILED, code)
    assert "3 attempts" in failure.detail
    assert server.url("/a.jpg") in failure.detail
    assert 3 <= server.counts["/a.jpg"] <= most


def test_a_slow_answer_is_waited_for(server: ImageServer) -> None:
    server.scripts["/a.jpg"] = [after(0.5)]
    assert get(server, "/a.jpg", dataclasses.replace(QUICK, read_seconds=20)) == PHOTO
    assert server.counts["/a.jpg"] == 1


def test_silence_ends_an_attempt(server: ImageServer) -> None:
    server.scripts["/a.jpg"] = [after(60)]
    assert get(server, "/a.jpg", dataclasses.replace(QUICK, read_seconds=0.2)) == PHOTO
    assert server.counts["/a.jpg"] == 2


def test_an_answer_in_drips_ends(server: ImageServer) -> None:
    server.scripts["/a.jpg"] = [drips(0.05)] * 9
    failure = rejected(server, "/a.jpg", dataclasses.replace(QUICK, total_seconds=0.3))
    assert failure.reason is Reject.DOWNLOAD_FAILED
    assert "timeout" in failure.detail
    assert server.counts["/a.jpg"] == 3


@pytest.mark.parametrize(
    "url", ["", "a.jpg", "ftp://127.0.0.1/a.jpg", "file:///a.jpg", "http://", "http://[1/a", "\udcff"]
)
def test_what_is_no_url(url: str) -> None:
    with Fetcher(QUICK) as fetcher, pytest.raises(FetchRejected) as raised:
        fetcher.submit(lambda: fetcher.get(url, accept)).result(60)
    assert (raised.value.reason, raised.value.status) == (Reject.DOWNLOAD_FAILED, 0)


def test_nobody_listens(server: ImageServer) -> None:
    with ImageServer() as other:
        url = other.url("/a.jpg")
    with Fetcher(QUICK) as fetcher, pytest.raises(FetchRejected, match="3 attempts") as raised:
        fetcher.submit(lambda: fetcher.get(url, accept)).result(60)
    assert raised.value.status == 0


def test_retry_after_holds_for_all_requests_to_the_host(server: ImageServer) -> None:
    server.scripts["/first.jpg"] = [status(429, **{"Retry-After": "1"})]
    server.files |= {f"/{number}.jpg": PHOTO for number in range(20)}
    server.files["/first.jpg"] = PHOTO
    with Fetcher(dataclasses.replace(QUICK, retry=RetryPolicy(attempts=1))) as fetcher:
        # One attempt is enough, as waits that the server asks for are no failures.
        first = fetcher.submit(lambda: fetcher.get(server.url("/first.jpg"), accept))
        while not server.requests:
            time.sleep(0.01)
        time.sleep(0.2)
        others = [
            fetcher.submit(lambda path=path: fetcher.get(server.url(path), accept))
            for path in server.files
            if path not in ("/first.jpg", "/a.jpg")
        ]
        assert {future.result(60) for future in [first, *others]} == {PHOTO}
    refused = server.requests[0][1]
    assert min(moment for _, moment in server.requests[1:]) - refused >= 0.95
    assert server.counts["/first.jpg"] == 2


def test_a_wait_that_is_too_long_is_not_sat_out_by_anyone(server: ImageServer) -> None:
    server.scripts["/a.jpg"] = [status(503, **{"Retry-After": "86400"})] * 2
    server.files["/b.jpg"] = PHOTO
    with Fetcher(QUICK) as fetcher:
        failures = []
        for path in ("/a.jpg", "/b.jpg"):
            with pytest.raises(FetchRejected) as raised:
                fetcher.submit(lambda path=path: fetcher.get(server.url(path), accept)).result(60)
            failures.append(raised.value)
    assert [failure.status for failure in failures] == [503, 0]
    assert all("asks to wait" in failure.detail for failure in failures)
    assert server.counts == {"/a.jpg": 1}


def test_an_answer_that_names_no_wait_is_a_failure(server: ImageServer) -> None:
    server.scripts["/a.jpg"] = [status(503, **{"Retry-After": "0"})] * 9
    failure = rejected(server, "/a.jpg")
    assert (failure.status, server.counts["/a.jpg"]) == (503, 3)


@pytest.mark.parametrize(("connections", "per_host", "allowed"), [(64, 3, 3), (2, 16, 2)])
def test_reuses_its_connections_and_keeps_to_the_limits(
    server: ImageServer, connections: int, per_host: int, allowed: int
) -> None:
    server.pause = 0.005
    server.files |= {f"/{number}.jpg": PHOTO for number in range(100)}
    server.scripts |= {f"/{number}.jpg": [status(404)] for number in range(90, 100)}
    settings = dataclasses.replace(QUICK, connections=connections, per_host=per_host)
    with Fetcher(settings) as fetcher:
        futures = [
            fetcher.submit(lambda number=number: fetcher.get(server.url(f"/{number}.jpg"), accept))
            for number in range(100)
        ]
        concurrent.futures.wait(futures, 60)
    assert sum(future.exception() is None for future in futures) == 90
    assert server.most_at_once == allowed
    assert len(server.peers) == allowed


def test_limits_hold_per_host_apart() -> None:
    # Each server is a host of its own, by its port.
    with ImageServer() as one, ImageServer() as two:
        one.pause = two.pause = 0.02
        settings = dataclasses.replace(QUICK, connections=6, per_host=4)
        for server in (one, two):
            server.files |= {f"/{number}.jpg": PHOTO for number in range(40)}
        with Fetcher(settings) as fetcher:
            urls = [server.url(f"/{number}.jpg") for number, server in itertools.product(range(40), (one, two))]
            futures = [fetcher.submit(lambda url=url: fetcher.get(url, accept)) for url in urls]
            assert {future.result(60) for future in futures} == {PHOTO}
        assert one.most_at_once <= 4
        assert two.most_at_once <= 4
        assert len(one.peers | two.peers) <= 8


def test_submit_waits_while_the_queue_is_full(server: ImageServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "QUEUE", 2)
    server.scripts["/a.jpg"] = [after(0.5), after(0.5)]
    started = []
    with Fetcher(QUICK) as fetcher:

        def submit_three() -> None:
            for _ in range(3):
                started.append(fetcher.submit(lambda: fetcher.get(server.url("/a.jpg"), accept)))

        thread = threading.Thread(target=submit_three)
        thread.start()
        time.sleep(0.2)
        assert len(started) == 2
        thread.join(30)
        assert [future.result(30) for future in started] == [PHOTO] * 3


def test_close_ends_what_is_under_way(server: ImageServer) -> None:
    server.scripts["/a.jpg"] = [after(60)]
    fetcher = Fetcher(QUICK)
    future = fetcher.submit(lambda: fetcher.get(server.url("/a.jpg"), accept))
    while not server.requests:
        time.sleep(0.01)
    fetcher.close()
    assert future.cancelled()
    fetcher.close()


def test_a_fault_of_ours_is_no_reject(server: ImageServer) -> None:
    def full(data: bytes) -> bytes:
        raise OSError(28, "No space left on device")

    with Fetcher(QUICK) as fetcher, pytest.raises(OSError, match="No space"):
        fetcher.submit(lambda: fetcher.get(server.url("/a.jpg"), full)).result(60)
    assert server.counts["/a.jpg"] == 1


def test_one_client_per_settings() -> None:
    assert shared_fetcher(QUICK) is shared_fetcher(dataclasses.replace(QUICK))
    assert shared_fetcher(QUICK) is not shared_fetcher(dataclasses.replace(QUICK, connections=7))


def test_a_fetcher_does_not_keep_the_process() -> None:
    import subprocess

    code = (
        "from oi_tfrecord.sources.http_client import FetchSettings, shared_fetcher; import asyncio\n"
        "shared_fetcher(FetchSettings()).submit(lambda: asyncio.sleep(600))\n"
        "print('end')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert ended.stdout == "end\n"
    assert ended.stderr == ""
