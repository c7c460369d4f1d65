"""An HTTP client for many small files: one event loop in a thread, bounded in every direction.

The loop runs coroutines that other threads submit; at most QUEUE of them are unfinished. Open
connections are reused, and limited in total and per host. A server that says when to come back
(Retry-After) is left alone by all requests until then.
"""

import asyncio
import atexit
import concurrent.futures
import contextlib
import dataclasses
import datetime
import importlib.util
import os
import random
import threading
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from oi_tfrecord import __version__
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.fetch_policy import (
    GONE,
    REDIRECTS,
    TRANSIENT,
    RetryPolicy,
    is_unavailable_picture,
    mismatch_reason,
    next_wait,
    parse_retry_after,
)
from oi_tfrecord.images import ImageRejected
from oi_tfrecord.reasons import Reject

if TYPE_CHECKING:
    import aiohttp

QUEUE = 1024
"""Unfinished tasks of one client; `submit` waits while there are so many."""

_MAX_REDIRECTS = 5
_DISCARDED_BYTES = 1 << 16
_THREADS = 4

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class FetchSettings:
    """How a client behaves.

    Attributes:
      connections: open connections in total.
      per_host: open connections to one host.
      connect_seconds: bound on opening a connection.
      read_seconds: bound on the silence between two pieces of an answer.
      total_seconds: bound on one attempt, so that an answer in drips ends.
      max_bytes: largest answer taken.
      retry: when a download is tried again.
      seed: of the jitter.
    """

    connections: int = 64
    per_host: int = 16
    connect_seconds: float = 15.0
    read_seconds: float = 30.0
    total_seconds: float = 300.0
    max_bytes: int = 64 << 20
    retry: RetryPolicy = dataclasses.field(default_factory=RetryPolicy)
    seed: int = 0


class FetchRejected(ImageRejected):
    """A download that failed for good; `status` is the last HTTP status, 0 if there was no answer."""

    def __init__(self, reason: Reject, detail: str, status: int):
        super().__init__(reason, f"HTTP {status}: {detail}" if status else detail)
        self.status = status


class _MayPassError(Exception):
    """A failure after which the request is worth another try."""

    def __init__(self, detail: str, status: int = 0, retry_after: float | None = None, reason: Reject | None = None):
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.retry_after = retry_after
        self.reason = reason or Reject.DOWNLOAD_FAILED


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
        import aiohttp

        self._aiohttp = aiohttp
        self._settings = settings
        self._random = random.Random(settings.seed)
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
        loop, policy = self._loop, self._settings.retry
        try:
            target = self._url(url)
        except ValueError as error:
            raise FetchRejected(Reject.DOWNLOAD_FAILED, f"{url!r} is no URL: {error}", 0) from error
        host = self._hosts.setdefault(
            (target.scheme, target.host, target.port), _Host(asyncio.Semaphore(self._settings.per_host))
        )
        requests = failures = 0
        waited = 0.0
        while True:
            waited += await self._wait_for(host, waited, url)
            # The host first: whoever waits for a busy host must not hold a place that others could use.
            async with host.slots, self._slots:
                if host.resume_at > loop.time():
                    continue
                requests += 1
                try:
                    return await self._attempt(url, accept, size, mismatch)
                except _MayPassError as error:
                    failure = error
            failures += failure.retry_after is None
            wait = next_wait(policy, failures, waited, failure.retry_after, self._random)
            if failure.retry_after is not None:
                host.resume_at = max(host.resume_at, loop.time() + failure.retry_after)
            if wait is None:
                again = f", which asks to wait {failure.retry_after:,.0f} s" if failure.retry_after is not None else ""
                times = f"{requests} attempt{'s' * (requests > 1)}"
                raise FetchRejected(failure.reason, f"{failure.detail} ({times}{again}): {url}", failure.status)
            await asyncio.sleep(wait)
            waited += wait

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
        aiohttp, settings = self._aiohttp, self._settings
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

    def _url(self, url: str) -> Any:
        import yarl

        target = yarl.URL(url)
        if target.scheme not in ("http", "https") or not target.host:
            raise ValueError("neither http:// nor https:// with a host")
        return target

    async def _wait_for(self, host: _Host, waited: float, url: str) -> float:
        """Waits until a host wants to be asked again; returns for how long it did."""
        total = 0.0
        while (pause := host.resume_at - self._loop.time()) > 0:
            if waited + total + pause > self._settings.retry.max_wait:
                raise FetchRejected(
                    Reject.DOWNLOAD_FAILED, f"not asked, as its host asks to wait {pause:,.0f} s: {url}", 0
                )
            await asyncio.sleep(pause)
            total += pause
        return total

    async def _attempt(self, url: str, accept: Callable[[bytes], str], size: str, mismatch: Reject) -> bytes:
        """Makes one request and follows its redirects; raises _MayPassError or FetchRejected."""
        aiohttp, settings = self._aiohttp, self._settings
        try:
            async with asyncio.timeout(settings.total_seconds):
                target = url
                for hops in range(_MAX_REDIRECTS + 1):
                    async with self._session.get(target, allow_redirects=False) as response:
                        if response.status in REDIRECTS:
                            target = self._redirected(response)
                            await _discard(response)
                            continue
                        reason = mismatch_reason(True) if hops else mismatch
                        return await self._read(response, target, accept, size, reason)
                raise FetchRejected(Reject.DOWNLOAD_FAILED, f"more than {_MAX_REDIRECTS} redirects: {url}", 302)
        except TimeoutError as error:
            raise _MayPassError(f"timeout: {error or f'no whole answer in {settings.total_seconds:g} s'}") from error
        except (aiohttp.ClientConnectorCertificateError, aiohttp.InvalidURL) as error:
            raise FetchRejected(Reject.DOWNLOAD_FAILED, f"{error}: {url}", 0) from error
        except (aiohttp.ClientError, ConnectionError, asyncio.IncompleteReadError) as error:
            raise _MayPassError(f"{type(error).__name__}: {error}") from error

    def _redirected(self, response: "aiohttp.ClientResponse") -> str:
        """Returns where a redirect leads."""
        location = response.headers.get("Location", "")
        try:
            target = str(self._url(str(response.url.join(type(response.url)(location)))))
        except ValueError as error:
            raise FetchRejected(
                Reject.DOWNLOAD_FAILED, f"redirected to {location!r}: {response.url}", response.status
            ) from error
        if is_unavailable_picture(target):
            raise FetchRejected(Reject.IMAGE_UNAVAILABLE, f"redirected to {target}: {response.url}", response.status)
        return target

    async def _read(
        self,
        response: "aiohttp.ClientResponse",
        url: str,
        accept: Callable[[bytes], str],
        size: str,
        mismatch: Reject,
    ) -> bytes:
        status, headers, max_bytes = response.status, response.headers, self._settings.max_bytes
        if status != 200:
            await _discard(response)
            self._fail(status, headers.get("Retry-After"), url)
        length = response.content_length if "Content-Encoding" not in headers else None
        if length is not None and size and str(length) != size:
            # Not worth reading: a placeholder, or another version of the photo.
            raise FetchRejected(mismatch, f"{length} bytes, OriginalSize is {size}: {url}", status)
        if length is not None and length > max_bytes:
            raise FetchRejected(Reject.IMAGE_TOO_LARGE, f"{length} bytes, more than {max_bytes}: {url}", status)
        pieces, received = [], 0
        async for piece in response.content.iter_any():
            pieces.append(piece)
            received += len(piece)
            if received > max_bytes:
                raise FetchRejected(Reject.IMAGE_TOO_LARGE, f"more than {max_bytes} bytes: {url}", status)
        data = b"".join(pieces)
        if fault := await self.run(lambda: accept(data)):
            # Where only the end of the connection ends the answer, a broken one looks like a whole one.
            if length is None and "Transfer-Encoding" not in headers:
                raise _MayPassError(fault, status, reason=mismatch)
            raise FetchRejected(mismatch, f"{fault}: {url}", status)
        return data

    def _fail(self, status: int, retry_after: str | None, url: str) -> NoReturn:
        if status in GONE:
            raise FetchRejected(Reject.IMAGE_UNAVAILABLE, url, status)
        if status in TRANSIENT:
            raise _MayPassError("no image", status, parse_retry_after(retry_after, datetime.datetime.now(datetime.UTC)))
        raise FetchRejected(Reject.DOWNLOAD_FAILED, url, status)


async def _discard(response: "aiohttp.ClientResponse") -> None:
    """Reads a short answer to its end, as only then its connection can be used again."""
    length = response.content_length
    if length is not None and length <= _DISCARDED_BYTES:
        # What matters is known already: a fault of the body is none of the answer.
        with contextlib.suppress(Exception):
            await response.read()


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
