"""An HTTP server on the loopback that serves files well or badly, as a test scripts it."""

import asyncio
import collections
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

Answer = Callable[[web.Request, bytes], Awaitable[web.StreamResponse]]


def status(code: int, **headers: str) -> Answer:
    """Answers with a status and a short body."""

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        return web.Response(status=code, text="no image here", headers=headers)

    return answer


def redirect(location: str, code: int = 302) -> Answer:
    return status(code, Location=location)


def body(data: bytes) -> Answer:
    """Answers 200 with other bytes than those of the file."""

    async def answer(request: web.Request, _: bytes) -> web.StreamResponse:
        return web.Response(body=data)

    return answer


def after(seconds: float) -> Answer:
    """Answers well, but late."""

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        await asyncio.sleep(seconds)
        return web.Response(body=data)

    return answer


def drips(pause: float) -> Answer:
    """Sends a byte at a time."""

    async def answer(request: web.Request, data: bytes) -> web.StreamResponse:
        response = web.StreamResponse()
        response.content_length = len(data)
        await response.prepare(request)
        for byte in data:
            await response.write(bytes([byte]))
            await asyncio.sleep(pause)
        return response

    return answer


async def cut_off(request: web.Request, data: bytes) -> web.StreamResponse:
    """Promises the whole file, sends half of it and hangs up."""
    response = web.StreamResponse()
    response.content_length = len(data)
    await response.prepare(request)
    await response.write(data[: len(data) // 2])
    assert request.transport is not None
    request.transport.close()
    return response


async def cut_off_without_length(request: web.Request, data: bytes) -> web.StreamResponse:
    """Sends half of the file as an answer of HTTP/1.0, which only the end of the connection ends."""
    assert request.transport is not None
    request.transport.write(b"HTTP/1.0 200 OK\r\nContent-Type: image/jpeg\r\n\r\n" + data[: len(data) // 2])
    request.transport.close()
    return web.Response()


async def hang_up(request: web.Request, data: bytes) -> web.StreamResponse:
    """Closes the connection without an answer."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def garbage(request: web.Request, data: bytes) -> web.StreamResponse:
    """Sends what is no HTTP."""
    assert request.transport is not None
    request.transport.write(b"\x00\x01 not HTTP at all\r\n\r\n")
    request.transport.close()
    return web.Response()


class ImageServer:
    """The server; it runs in a thread within `with`.

    Attributes:
        files: path to bytes; other paths are answered with 404.
        scripts: path to the answers that its first requests get, before the file.
        requests: paths in the order in which they were asked for, with the time of a monotonic clock.
        most_at_once: highest number of requests that were under way at the same time.
        peers: addresses of the connections that were opened.
        pause: seconds before each answer.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.scripts: dict[str, list[Answer]] = {}
        self.requests: list[tuple[str, float]] = []
        self.peers: set[Any] = set()
        self.most_at_once = 0
        self.pause = 0.0
        self._at_once = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def counts(self) -> collections.Counter[str]:
        """Requests per path."""
        return collections.Counter(path for path, _ in self.requests)

    def __enter__(self) -> "ImageServer":
        self._thread.start()
        self._call(self._start())
        return self

    def __exit__(self, *exception: object) -> None:
        self._call(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    async def _start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._answer), shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        self.requests.append((request.path, time.monotonic()))
        self.peers.add(request.transport.get_extra_info("peername"))
        self._at_once += 1
        self.most_at_once = max(self.most_at_once, self._at_once)
        try:
            if self.pause:
                await asyncio.sleep(self.pause)
            data = self.files.get(request.path)
            if script := self.scripts.get(request.path):
                answer = script.pop(0)
                with contextlib.suppress(ConnectionError):
                    return await answer(request, data or b"")  # type: ignore[arg-type]
                return web.Response()
            return web.Response(status=404) if data is None else web.Response(body=data)
        finally:
            self._at_once -= 1
