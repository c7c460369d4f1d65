"""An HTTP client for many small files: one event loop in a thread, bounded in every direction.

The loop runs coroutines that other threads submit; at most QUEUE of them are unfinished. Open
connections are reused, and limited in total and per host. A server that says when to come back
(Retry-After) is left alone by all requests until then.
"""

import asyncio
import atexit
import concurrent.futures
import dataclasses
import functools
import importlib.util
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from oi_tfrecord import __version__
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.http_policy import FetchRejected, FetchSettings, MayPassError, next_wait
from oi_tfrecord.storage.retry import retry_async

QUEUE = 1024
"""Unfinished tasks of one client; `submit` waits while there are so many."""

_THREADS = 4

Result = TypeVar("Result")


@dataclasses.dataclass
class _Host:
    slots: asyncio.Semaphore
    resume_at: float = 0.0


def check_installed() -> None:
    """Checks that the HTTP library is installed.

    Raises:
        ConfigError: if it is not.
    """
    if importlib.util.find_spec("aiohttp") is None:
        raise ConfigError("image_urls", "downloads need aiohttp; install it with: pip install 'oi_tfrecord[download]'")


class Fetcher:
    """The client; every method but `get` and `run` may be called from any thread."""

    def __init__(self, settings: FetchSettings):
        """Raises ConfigError if the HTTP library is not installed."""
        check_installed()
        from oi_tfrecord.sources import http_request

        self._request = http_request
        self._settings = settings
        self._free = threading.BoundedSemaphore(QUEUE)
        self._workers = concurrent.futures.ThreadPoolExecutor(_THREADS, "fetch")
        self._hosts: dict[tuple[str, str | None, int | None], _Host] = {}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, daemon=True, name="fetch")
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result()

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def submit(self, task: Callable[[], Coroutine[Any, Any, Result]]) -> concurrent.futures.Future[Result]:
        """Starts a coroutine in the loop; waits while QUEUE of them are unfinished.

        Args:
            task: makes the coroutine; in it, `get` and `run` may be awaited.
        """
        self._free.acquire()
        future = asyncio.run_coroutine_threadsafe(task(), self._loop)
        future.add_done_callback(lambda _: self._free.release())
        return future

    async def run(self, function: Callable[[], Result]) -> Result:
        """Runs what takes time (checksums, decoding, disk) in a thread."""
        return await self._loop.run_in_executor(self._workers, function)

    async def get(
        self, url: str, accept: Callable[[bytes], str], *, size: str = "", mismatch: Reject = Reject.CHECKSUM_MISMATCH
    ) -> bytes:
        """Downloads one file, with retries.

        Args:
            url: of http or https.
            accept: called in a thread with the bytes; returns what is wrong with them, empty if nothing.
            size: bytes that the answer must have, in decimal; empty if that is not known.
            mismatch: reason for an answer that is not accepted and came without a redirect.

        Raises:
            FetchRejected: when it failed for good, or too often.
        """

        async def judge(data: bytes) -> str:
            return await self.run(lambda: accept(data))

        try:
            target = self._request.parse_url(url)
        except ValueError as error:
            raise FetchRejected(Reject.DOWNLOAD_FAILED, f"{url!r} is no URL: {error}", 0) from error
        host = self._hosts.setdefault(
            (target.scheme, target.host, target.port), _Host(asyncio.Semaphore(self._settings.per_host))
        )
        request = functools.partial(self._request.request, self._session, self._settings, url, judge, size, mismatch)
        turns = _Turns(host, self._slots, self._settings, url, request)
        try:
            return await retry_async(turns.send, _may_pass, self._settings.retry)
        except MayPassError as failure:
            raise turns.rejected(failure) from failure

    def close(self) -> None:
        """Ends all tasks and connections."""
        if self._loop.is_closed():
            return
        asyncio.run_coroutine_threadsafe(self._shut(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._workers.shutdown(wait=True, cancel_futures=True)
        self._loop.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _open(self) -> None:
        import aiohttp

        settings = self._settings
        self._slots = asyncio.Semaphore(settings.connections)
        # The semaphores keep to the limits per URL; the connector also where redirects lead.
        connector = aiohttp.TCPConnector(limit=settings.connections, limit_per_host=settings.per_host)
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=settings.connect_seconds, sock_read=settings.read_seconds
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            # Images do not shrink, and Content-Length is then the size of the file.
            headers={"User-Agent": f"oi_tfrecord/{__version__}", "Accept-Encoding": "identity"},
            trust_env=True,
        )

    async def _shut(self) -> None:
        tasks = asyncio.all_tasks(self._loop) - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()


@dataclasses.dataclass
class _Turns:
    """The requests for one URL, each sent when its host accepts requests.

    Attributes:
        host: the host of the URL.
        slots: bound on the open connections of the client.
        settings: those of the client.
        url: the URL.
        request: sends the request once.
        requests: how many were sent.
        waited: seconds waited because the host asked to.
        refusal: the last answer in which the host asked to wait.
    """

    host: _Host
    slots: asyncio.Semaphore
    settings: FetchSettings
    url: str
    request: Callable[[], Coroutine[Any, Any, bytes]]
    requests: int = 0
    waited: float = 0.0
    refusal: MayPassError | None = None

    async def send(self) -> bytes:
        """Sends the request when the host accepts it, and again as often as the host only asks to wait.

        Raises:
            MayPassError: if the request failed, and the host did not say when to come back.
            FetchRejected: if it failed for good, or the host asks to wait too long.
        """
        loop = asyncio.get_running_loop()
        while True:
            await self._wait_for_host()
            # The host first: a request that waits for a busy host must not hold a place that others could use.
            async with self.host.slots, self.slots:
                if self.host.resume_at > loop.time():
                    continue
                self.requests += 1
                try:
                    return await self.request()
                except MayPassError as failure:
                    if not failure.retry_after:
                        raise
                    self.refusal = failure
                    self.host.resume_at = max(self.host.resume_at, loop.time() + failure.retry_after)

    def rejected(self, failure: MayPassError, pause: str = "") -> FetchRejected:
        """Returns the final error for the last failure."""
        times = f"{self.requests} attempt{'s' * (self.requests > 1)}"
        return FetchRejected(failure.reason, f"{failure.detail} ({times}{pause}): {self.url}", failure.status)

    async def _wait_for_host(self) -> None:
        loop = asyncio.get_running_loop()
        while (pause := self.host.resume_at - loop.time()) > 0:
            wait = next_wait(pause, self.waited, self.settings)
            if wait is None and self.refusal is not None:
                raise self.rejected(self.refusal, f"; its host asks to wait {pause:,.0f} s")
            if wait is None:
                detail = f"not requested, as its host asks to wait {pause:,.0f} s: {self.url}"
                raise FetchRejected(Reject.DOWNLOAD_FAILED, detail, 0)
            await asyncio.sleep(wait)
            self.waited += wait


def _may_pass(error: BaseException) -> bool:
    return isinstance(error, MayPassError)


_shared: dict[tuple[int, FetchSettings], Fetcher] = {}

_shared_lock = threading.Lock()


def shared_fetcher(settings: FetchSettings) -> Fetcher:
    """Returns this process's client with these settings, so that its limits hold for all shards at once."""
    with _shared_lock:
        key = (os.getpid(), settings)
        if key not in _shared:
            _shared[key] = Fetcher(settings)
            atexit.register(_shared[key].close)
        return _shared[key]
