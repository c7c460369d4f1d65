"""An HTTP client for many small files, with bounds on tasks and connections: one event loop in a thread.

The loop runs coroutines that other threads submit; at most QUEUE of them are unfinished. Open connections are reused,
and limited in total and per host. A host that says when to come back (Retry-After) gets no request until then.
"""

import asyncio
import atexit
import concurrent.futures
import functools
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from oi_tfrecord import __version__
from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.http_host import Host, UrlRequests
from oi_tfrecord.sources.http_policy import FetchRejected, FetchSettings, MayPassError
from oi_tfrecord.storage.retry import retry_async

QUEUE = 1024
"""Bound on the unfinished tasks of one client."""

_THREADS = 4

Result = TypeVar("Result")


class Fetcher:
    """The client. `get` and `run` are awaited in its loop; the other methods may be called from any thread."""

    def __init__(self, settings: FetchSettings):
        """Starts the event loop.

        Args:
            settings: bounds on connections, times and bytes.
        """
        from oi_tfrecord.sources import http_request

        self._request = http_request
        self._settings = settings
        self._free = threading.BoundedSemaphore(QUEUE)
        self._workers = concurrent.futures.ThreadPoolExecutor(_THREADS, "fetch")
        self._hosts: dict[tuple[str, str | None, int | None], Host] = {}
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
            task: makes the coroutine, which may await `get` and `run`.
        """
        self._free.acquire()
        future = asyncio.run_coroutine_threadsafe(task(), self._loop)
        future.add_done_callback(lambda _: self._free.release())
        return future

    async def run(self, function: Callable[[], Result]) -> Result:
        """Runs a function that takes time (checksums, decoding, disk) in a thread."""
        return await self._loop.run_in_executor(self._workers, function)

    async def get(
        self, url: str, accept: Callable[[bytes], bytes], *, size: str = "", mismatch: Reject = Reject.CHECKSUM_MISMATCH
    ) -> bytes:
        """Downloads one file, with retries.

        Args:
            url: of http or https.
            accept: called in a thread with the bytes; returns the bytes to use, or raises WrongBytes.
            size: bytes that the answer must have, in decimal; empty if that is not known.
            mismatch: reason for an answer that is not accepted and came without a redirect.

        Returns:
            The bytes that `accept` returns.

        Raises:
            FetchRejected: if the download failed for good, or too often.
        """

        async def accept_in_thread(data: bytes) -> bytes:
            return await self.run(lambda: accept(data))

        try:
            target = self._request.parse_url(url)
        except ValueError as error:
            raise FetchRejected(Reject.DOWNLOAD_FAILED, f"{url!r} is no URL: {error}", 0) from error
        host = self._hosts.setdefault(
            (target.scheme, target.host, target.port), Host(asyncio.Semaphore(self._settings.per_host))
        )
        request = functools.partial(
            self._request.request, self._session, self._settings, url, accept_in_thread, size, mismatch
        )
        requests = UrlRequests(host, self._slots, self._settings, url, request)
        try:
            return await retry_async(requests.send, _may_pass, self._settings.retry)
        except MayPassError as failure:
            raise requests.rejected(failure) from failure

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
        # The semaphores limit the hosts of URLs; the connector also limits the hosts that redirects lead to.
        connector = aiohttp.TCPConnector(
            limit=settings.connections,
            limit_per_host=settings.per_host,
            resolver=None if settings.private_redirects else self._request.GuardedResolver(),
        )
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=settings.connect_seconds, sock_read=settings.read_seconds
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            # Compression gains nothing for images, and without it Content-Length is the size of the file.
            headers={"User-Agent": f"oi_tfrecord/{__version__}", "Accept-Encoding": "identity"},
            trust_env=True,
        )

    async def _shut(self) -> None:
        tasks = asyncio.all_tasks(self._loop) - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()


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
