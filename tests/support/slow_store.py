"""A proxy before an object store's server that answers late, counts requests and can fail.

What an emulator answers takes it several milliseconds of processor time, which would hide the
readers' own limit. So an object's answer is fetched once and then given from memory, as it was.

  python -m tests.support.slow_store UPSTREAM_PORT    # prints its own

`POST /-/set` takes JSON: `delay` (seconds before each answer), `gather` (answers wait until so many
requests are open, or for GATHER_SECONDS), `ungathered` (answers to requests whose target
has this regular expression do not wait), `failures` (so many requests are answered 503), `broken`
(requests whose target holds this text are refused with 403, which no client tries again), `kept` (answers to
reads of targets with this regular expression are given from memory), `image` (target of the one image that
answers requests for any `.jpg`), `rate` (of requests whose method and target have the regular expression `limited`, so
many a second are answered; the others get 503 with S3's code). It also sets the counts to zero. `GET /-/counts` gives
them.
"""

import asyncio
import collections
import http.client
import json
import re
import subprocess
import sys
import time
import urllib.request
from typing import Any

from tests.support.object_servers import read_port

GATHER_SECONDS = 30.0

_SETTINGS: dict[str, Any] = {
    "delay": 0.0, "gather": 0, "ungathered": "", "failures": 0, "broken": "", "kept": r"\.jpg", "image": "",
    "rate": 0.0, "limited": "",
}  # fmt: skip


class Proxy:
    """The answers and what is counted."""

    def __init__(self, upstream: int):
        self._upstream = upstream
        self._answers: dict[tuple[str, str, str], bytes] = {}
        self.settings: dict[str, Any] = {}
        self._clear({})

    def _clear(self, settings: dict[str, Any]) -> None:
        self.settings = {**_SETTINGS, **settings}
        self._requests: collections.Counter[str] = collections.Counter()
        self._connections = 0
        self._open = self._most = 0
        self._gathered = asyncio.Event()
        self._tokens, self._filled = 1.0, time.monotonic()
        self._refused = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *lines = head.decode("latin-1").rstrip().split("\r\n")
                method, target, _ = line.split(" ")
                headers = dict(item.split(": ", 1) for item in lines if ": " in item)
                named = {name.lower(): value for name, value in headers.items()}
                if named.get("expect"):
                    writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                body = await reader.readexactly(int(named.get("content-length", 0)))
                writer.write(await self._answer(method, target, headers, named.get("range", ""), body))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _answer(self, method: str, target: str, headers: dict[str, str], part: str, body: bytes) -> bytes:
        if target == "/-/set":
            self._clear(json.loads(body))
            return _answer(200, "OK", {}, b"")
        if target == "/-/counts":
            counts: dict[str, Any] = {
                "requests": dict(self._requests),
                "most": self._most,
                "connections": self._connections,
            }
            counts["refused"] = self._refused
            return _answer(200, "OK", {}, json.dumps(counts).encode())
        self._requests[f"{method} {target}"] += 1
        self._open += 1
        self._most = max(self._most, self._open)
        try:
            await self._wait(target)
            if self.settings["failures"]:
                self.settings["failures"] -= 1
                return _answer(503, "Service Unavailable", {}, b"")
            if self.settings["rate"] and re.search(self.settings["limited"], f"{method} {target}") and self._exceeds():
                return _SLOW_DOWN
            if self.settings["broken"] and self.settings["broken"] in target:
                return _answer(403, "Forbidden", {}, b"")
            if self.settings["image"] and ".jpg" in target:
                target = self.settings["image"]
            key = (method, target, part)
            if key in self._answers:
                return self._answers[key]
            answer, is_object = await asyncio.to_thread(self._forward, method, target, headers, body)
            if is_object:
                self._answers[key] = answer
            return answer
        finally:
            self._open -= 1

    def _exceeds(self) -> bool:
        """Returns whether a request is beyond the rate: a bucket of tokens, that holds those of a tenth of a second."""
        now, rate = time.monotonic(), self.settings["rate"]
        self._tokens = min(self._tokens + (now - self._filled) * rate, max(rate / 10, 1.0))
        self._filled = now
        if self._tokens < 1:
            self._refused += 1
            return True
        self._tokens -= 1
        return False

    async def _wait(self, target: str) -> None:
        await asyncio.sleep(self.settings["delay"])
        if self.settings["ungathered"] and re.search(self.settings["ungathered"], target):
            return
        if self._open >= self.settings["gather"]:
            self._gathered.set()
        try:
            await asyncio.wait_for(self._gathered.wait(), GATHER_SECONDS)
        except TimeoutError:
            # So few come at once: the count shows it.
            self._gathered.set()

    def _forward(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[bytes, bool]:
        connection = http.client.HTTPConnection("127.0.0.1", self._upstream)
        connection.request(method, target, body, headers)
        response = connection.getresponse()
        data = response.read()
        kept = {name: value for name, value in response.getheaders() if name.lower() not in _HOP_HEADERS}
        length = response.headers["Content-Length"] if method == "HEAD" else None
        connection.close()
        is_object = method == "GET" and response.status in (200, 206) and re.search(self.settings["kept"], target)
        return _answer(response.status, response.reason, kept, data, length), bool(is_object)


_HOP_HEADERS = {"connection", "transfer-encoding", "content-length", "keep-alive"}


def _answer(status: int, reason: str, headers: dict[str, str], body: bytes, length: str | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    lines.append(f"Content-Length: {length or len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


_SLOW_DOWN = _answer(
    503,
    "Slow Down",
    {"Content-Type": "application/xml"},
    b"<Error><Code>SlowDown</Code><Message>less</Message></Error>",
)


class SlowStore:
    """The proxy as a process of its own, as one beside its readers would take their processor time."""

    def __init__(self, upstream: int):
        """Starts it.

        Args:
            upstream: port of the store.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.slow_store", str(upstream)], stdout=subprocess.PIPE
        )
        self.port = read_port(self._process)
        self._url = f"http://127.0.0.1:{self.port}/-/"

    def set(self, **settings: float | str) -> None:
        """Changes what the module names, or puts it back, and sets the counts to zero."""
        request = urllib.request.Request(self._url + "set", json.dumps(settings).encode(), method="POST")
        urllib.request.urlopen(request, timeout=10).close()

    def counts(self) -> dict[str, Any]:
        """Returns the requests by method and target, the most at once, and the connections."""
        with urllib.request.urlopen(self._url + "counts", timeout=10) as answer:
            counts: dict[str, Any] = json.loads(answer.read())
        return counts

    def stop(self) -> None:
        """Ends it."""
        self._process.kill()
        self._process.wait()


async def main(upstream: int) -> None:
    """Serves until it is killed, on a port that it prints."""
    server = await asyncio.start_server(Proxy(upstream).serve, "127.0.0.1", 0, backlog=1024, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
