"""Downloads one large file, and resumes a broken transfer at its byte, also in a later run.

A part is continued only if the server says that its file is still the same: by If-Range (RFC 9110, section 13.1.5), and
by the total size in Content-Range. A file without a strong ETag and a date is continued by its size alone; then the
checksum decides.
"""

import contextlib
import datetime
import email.message
import http.client
import pathlib
import random
import re
import threading
import urllib.error
import urllib.request
from dataclasses import dataclass, field

from oi_tfrecord import __version__
from oi_tfrecord.errors import InputError, StorageError
from oi_tfrecord.settings.published_files import PublishedFile
from oi_tfrecord.sources.http_policy import TRANSIENT, MayPassError, parse_retry_after
from oi_tfrecord.sources.part_file import FileVersion, PartFile, open_part
from oi_tfrecord.storage.faults import RERUN
from oi_tfrecord.storage.retry import RetryPolicy
from oi_tfrecord.storage.streams import CHUNK_BYTES

_HTML_STARTS = (b"<!doctype html", b"<html")

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")

_RANGE_NOT_SATISFIABLE = 416

_REMEDY = "Check the address, or give --mirror or --downloads"


class TransferStopped(Exception):
    """The run ends, so the transfer does; the bytes that came are kept."""


@dataclass(frozen=True)
class TransferSettings:
    """Bounds of a transfer.

    Attributes:
        timeout: seconds to wait for a connection, and for the next bytes.
        retry: how often a request that brought no byte is sent again, and how soon.
        max_wait: longest wait that a server may ask for, in seconds.
    """

    timeout: float = 30.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    max_wait: float = 900.0


@dataclass
class TransferCounts:
    """What the transfers of a run have done; several threads may add.

    Attributes:
        size: bytes that are there of the files to download.
        received: bytes that this run received.
        retries: requests that failed and were sent again.
        files: files that are complete.
    """

    size: int = 0
    received: int = 0
    retries: int = 0
    files: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, *, size: int = 0, received: int = 0, retries: int = 0, files: int = 0) -> None:
        """Adds to the counts."""
        with self._lock:
            self.size += size
            self.received += received
            self.retries += retries
            self.files += files


@dataclass(frozen=True)
class TransferRun:
    """What the transfers of a run share.

    Attributes:
        settings: bounds on time and attempts.
        counts: what is done.
        stopped: set to end all transfers.
    """

    settings: TransferSettings = TransferSettings()
    counts: TransferCounts = field(default_factory=TransferCounts)
    stopped: threading.Event = field(default_factory=threading.Event)


def ask_size(file: PublishedFile, settings: TransferSettings) -> int | None:
    """Returns the size of a file as its server says; None if the server does not say."""
    request = urllib.request.Request(file.url, method="HEAD", headers=_headers())
    # The download itself finds out what is wrong.
    with (
        contextlib.suppress(OSError, http.client.HTTPException),
        urllib.request.urlopen(request, timeout=settings.timeout) as answer,
    ):
        return _content_length(answer.headers)
    return None


def download_file(file: PublishedFile, path: pathlib.Path, run: TransferRun) -> None:
    """Downloads a file, and checks its size and checksum; the bytes that an earlier run received are kept.

    Args:
        file: the file.
        path: local path of the part file; its folder exists.
        run: the run.

    Raises:
        InputError: if the server has no such file or another one.
        StorageError: if the transfer breaks too often, or another run downloads the same file.
        TransferStopped: if the run is stopped.
    """
    with open_part(path) as part:
        run.counts.add(size=part.size)
        was_continued = _receive_all(file, part, run)
        if was_continued and part.find_fault(file):
            # Bytes of two versions may have met where the server gave no sign of a change.
            _empty(part, run)
            _receive_all(file, part, run)
        if fault := part.find_fault(file):
            _empty(part, run)
            raise InputError(file.url, fault, f"Run the same command again; if this error stays: {_REMEDY.lower()}")
        part.forget_version()


def _receive_all(file: PublishedFile, part: PartFile, run: TransferRun) -> bool:
    """Sends requests until the file is whole; returns whether its bytes came in several answers."""
    failures, was_continued = 0, False
    while True:
        before = part.size
        try:
            return _receive(file, part, run) or was_continued
        except MayPassError as failure:
            has_more = part.size > before
            was_continued = was_continued or has_more
            failures = 1 if has_more else failures + 1
            if failures >= run.settings.retry.attempts:
                remedy = f"Check the network and the address, {RERUN}"
                raise StorageError(file.url, f"{failure.detail} ({failures} attempts)", remedy) from failure
            run.counts.add(retries=1)
            _wait(failure, failures, file, run)


def _wait(failure: MayPassError, failures: int, file: PublishedFile, run: TransferRun) -> None:
    retry = run.settings.retry
    bound = min(retry.max_delay, retry.base_delay * 2.0 ** (failures - 1))
    seconds = max(failure.retry_after or 0.0, random.uniform(0.0, bound))
    if seconds > run.settings.max_wait:
        raise StorageError(file.url, f"its server asks to wait {seconds:,.0f} s", "Run the same command again later")
    if run.stopped.wait(seconds):
        raise TransferStopped


def _receive(file: PublishedFile, part: PartFile, run: TransferRun) -> bool:
    """Sends one request, and appends what it brings to the part.

    Returns:
        Whether the answer continued bytes that were there.

    Raises:
        MayPassError: if another request may bring the rest.
        InputError: if no request will.
    """
    known = part.read_version(file.url)
    if known is None:
        _empty(part, run)
    elif part.size == known.size:
        return True
    try:
        opened = _open(file, known, part.size, run.settings)
    except MayPassError as failure:
        if failure.status == _RANGE_NOT_SATISFIABLE:
            _empty(part, run)
        raise
    with opened as answer:
        version = _version_of(file, answer)
        continues = known == version and _starts_at(answer, part.size)
        if not continues:
            _empty(part, run)
        if answer.status == 206 and not continues:
            raise MayPassError("the file on the server changed during the download", 206)
        if None not in (file.size, version.size) and file.size != version.size:
            problem = f"the file on the server has {version.size:,} bytes, the published file has {file.size:,}"
            raise InputError(file.url, problem, _REMEDY)
        part.write_version(version)
        _append(answer, file, part, run)
        if version.size is not None and part.size != version.size:
            raise MayPassError(f"the answer ended after {part.size:,} of {version.size:,} bytes")
    return continues


def _open(
    file: PublishedFile, known: FileVersion | None, offset: int, settings: TransferSettings
) -> http.client.HTTPResponse:
    """Asks for the bytes from `offset`, or for all if they are of another version."""
    headers = _headers()
    if known is not None and offset:
        headers["Range"] = f"bytes={offset}-"
        headers |= {"If-Range": known.validator} if known.validator else {}
    try:
        answer: http.client.HTTPResponse = urllib.request.urlopen(
            urllib.request.Request(file.url, headers=headers), timeout=settings.timeout
        )
    except urllib.error.HTTPError as error:
        with error:
            pause = parse_retry_after(error.headers.get("Retry-After"), datetime.datetime.now(datetime.UTC))
            if error.code in TRANSIENT or error.code == _RANGE_NOT_SATISFIABLE:
                raise MayPassError(f"HTTP {error.code}", error.code, pause) from error
            raise InputError(file.url, f"HTTP {error.code} {error.reason}", _REMEDY) from error
    except urllib.error.URLError as error:
        raise MayPassError(str(error.reason)) from error
    except (http.client.HTTPException, OSError) as error:
        raise MayPassError(f"{type(error).__name__}: {error}") from error
    if "text/html" in (answer.headers.get("Content-Type") or ""):
        answer.close()
        raise _html_error(file)
    return answer


def _append(answer: http.client.HTTPResponse, file: PublishedFile, part: PartFile, run: TransferRun) -> None:
    while chunk := _read(answer):
        if not part.size and chunk.lstrip()[:20].lower().startswith(_HTML_STARTS):
            raise _html_error(file)
        part.stream.write(chunk)
        run.counts.add(size=len(chunk), received=len(chunk))
        if run.stopped.is_set():
            raise TransferStopped


def _read(answer: http.client.HTTPResponse) -> bytes:
    try:
        return answer.read1(CHUNK_BYTES)
    except http.client.IncompleteRead as error:
        raise MayPassError("the answer broke off") from error
    except (http.client.HTTPException, OSError) as error:
        raise MayPassError(f"{type(error).__name__}: {error}") from error


def _html_error(file: PublishedFile) -> InputError:
    return InputError(file.url, "the answer is an HTML page, not the file", _REMEDY)


def _starts_at(answer: http.client.HTTPResponse, offset: int) -> bool:
    found = _CONTENT_RANGE.match(answer.headers.get("Content-Range") or "")
    return answer.status == 206 and found is not None and int(found[1]) == offset


def _version_of(file: PublishedFile, answer: http.client.HTTPResponse) -> FileVersion:
    etag = answer.headers.get("ETag") or ""
    validator = etag if etag and not etag.startswith("W/") else answer.headers.get("Last-Modified") or ""
    found = _CONTENT_RANGE.match(answer.headers.get("Content-Range") or "")
    total = None if found is None or found[2] == "*" else int(found[2])
    return FileVersion(file.url, validator, _content_length(answer.headers) if found is None else total)


def _content_length(headers: email.message.Message) -> int | None:
    length = headers.get("Content-Length") or ""
    return int(length) if length.isdecimal() and not headers.get("Content-Encoding") else None


def _headers() -> dict[str, str]:
    # Without compression, Content-Length is the size of the file.
    return {"User-Agent": f"oi_tfrecord/{__version__}", "Accept-Encoding": "identity"}


def _empty(part: PartFile, run: TransferRun) -> None:
    run.counts.add(size=-part.empty())
