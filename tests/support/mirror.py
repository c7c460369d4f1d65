"""A server on the loopback with the layouts of both hosts of Open Images, which fails as a test scripts it.

Tables are at `/openimages/...` as on storage.googleapis.com. Images are at `/<split>/<ImageID>.jpg` as on
open-images-dataset.s3.amazonaws.com, and at `/open-images-dataset/<split>/<ImageID>.jpg` as S3 has them by path.
"""

import collections
import dataclasses
import hashlib
import http.server
import re
import threading
import urllib.parse
from collections.abc import Callable
from typing import Any

BUCKET = "open-images-dataset"

_NO_SUCH_KEY = "<?xml version='1.0'?><Error><Code>NoSuchKey</Code><Message>no such key</Message></Error>"


@dataclasses.dataclass(frozen=True)
class Fault:
    """What a request gets in place of the file, or of a part of it.

    Attributes:
        status: of the answer; 200 stands for the usual one, which may be 206.
        headers: added to those of the answer.
        body: in place of that of the file; None for the file's.
        sent: bytes of the body that are sent before the connection ends or stalls; None for all.
        stalls: whether the connection stays open without a byte.
        then: called after the answer, for example to change the file.
    """

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    sent: int | None = None
    stalls: bool = False
    then: Callable[[], None] = lambda: None


@dataclasses.dataclass(frozen=True)
class Request:
    """A request that came: the method, the path and the headers with lower-case names."""

    method: str
    path: str
    headers: dict[str, str]


class Mirror:
    """The server; it runs in threads within `with`.

    Attributes:
        files: path to bytes; other paths are answered with 404.
        faults: path to the faults that its first GET requests get.
        requests: the requests in the order in which they came.
        has_validators: whether answers have an ETag.
        takes_ranges: whether a part of a file can be asked for.
        head_fault: what HEAD requests get.
        is_private: whether requests without a signature are refused.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[Fault]] = {}
        self.requests: list[Request] = []
        self.has_validators = True
        self.takes_ranges = True
        self.is_private = False
        self.head_fault = Fault()
        self.lock = threading.Lock()
        self.ended = threading.Event()
        mirror = self

        class Handler(_Handler):
            server_mirror = mirror

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def gets(self) -> collections.Counter[str]:
        """Returns the number of GET requests per path."""
        return collections.Counter(request.path for request in self.requests if request.method == "GET")

    def ranges(self, path: str) -> list[str | None]:
        """Returns the Range of each GET request for a path."""
        found = [request for request in self.requests if (request.method, request.path) == ("GET", path)]
        return [request.headers.get("range") for request in found]

    def add_image(self, split: str, name: str, data: bytes) -> None:
        self.files |= {f"/{split}/{name}": data, f"/{BUCKET}/{split}/{name}": data}

    def __enter__(self) -> "Mirror":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_mirror: Mirror

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer(self.server_mirror.head_fault)

    def do_GET(self) -> None:
        faults = self.server_mirror.faults.get(self._path)
        with self.server_mirror.lock:
            fault = faults.pop(0) if faults else Fault()
        self._answer(fault)
        fault.then()

    @property
    def _path(self) -> str:
        return urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)

    def _answer(self, fault: Fault) -> None:
        mirror = self.server_mirror
        headers = {name.lower(): value for name, value in self.headers.items()}
        with mirror.lock:
            mirror.requests.append(Request(self.command, self._path, headers))
        data = mirror.files.get(self._path)
        is_signed = "authorization" in headers or "X-Amz-Signature=" in self.path
        if mirror.is_private and not is_signed:
            self._send(403, [], _NO_SUCH_KEY.replace("NoSuchKey", "AccessDenied").encode())
        elif fault.status != 200:
            self._send(fault.status, fault.headers, fault.body or b"")
        elif data is None and fault.body is None:
            self._send(404, [("Content-Type", "application/xml")], _NO_SUCH_KEY.encode())
        else:
            self._send_file(data or b"", headers, fault)

    def _send_file(self, data: bytes, headers: dict[str, str], fault: Fault) -> None:
        etag = f'"{hashlib.md5(data).hexdigest()}"'
        sent = [("ETag", etag)] if self.server_mirror.has_validators else []
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", headers.get("range", ""))
        is_same = headers.get("if-range") in (None, etag)
        if fault.body is None and asked and is_same and self.server_mirror.takes_ranges:
            first = int(asked[1])
            last = min(int(asked[2] or len(data)), len(data) - 1)
            if first >= len(data):
                self._send(416, [("Content-Range", f"bytes */{len(data)}")], b"")
                return
            sent.append(("Content-Range", f"bytes {first}-{last}/{len(data)}"))
            self._send(206, [*sent, *fault.headers], data[first : last + 1], fault)
            return
        self._send(200, [*sent, *fault.headers], data if fault.body is None else fault.body, fault)

    def _send(self, status: int, headers: Any, body: bytes, fault: Fault = Fault()) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        self.wfile.write(body[: fault.sent])
        if fault.stalls:
            self.server_mirror.ended.wait()
        if fault.sent is not None:
            self.close_connection = True
