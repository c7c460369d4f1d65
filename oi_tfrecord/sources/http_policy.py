"""What an answer to a download means: take it, try again after a while, or give up. Pure.

Nothing here opens a connection; `fetch` does, and asks here what to do next.
"""

import base64
import binascii
import dataclasses
import datetime
import email.utils
import hashlib
import posixpath
import random
import re
import urllib.parse

from oi_tfrecord.images import jpeg_header as jpeg
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.reasons import Reject

GONE = frozenset((404, 410))
"""Statuses that say the image is no longer at its URL."""

TRANSIENT = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Statuses after which the same request may succeed (RFC 9110, section 15; RFC 6585; RFC 8470)."""

REDIRECTS = frozenset((301, 302, 303, 307, 308))

_UNAVAILABLE = re.compile(r"(?:photo|image|video)[_-]?(?:unavailable|not[_-]?available)", re.IGNORECASE)

_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"RIFF", b"BM")

_MAX_SECONDS = 10**9


@dataclasses.dataclass(frozen=True)
class RetryPolicy:
    """When a download is tried again.

    Attributes:
        attempts: requests per URL, those told to wait by the server not counted, at least 1.
        base_delay: bound on the first wait, in seconds; it doubles with each failure.
        max_delay: bound on every wait that the server did not ask for, in seconds.
        max_wait: bound on the sum of the waits for one URL, in seconds.
    """

    attempts: int = 5
    base_delay: float = 1.0
    max_delay: float = 60.0
    max_wait: float = 900.0


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


class MayPassError(Exception):
    """A failure after which the same request is worth another try."""

    def __init__(self, detail: str, status: int = 0, retry_after: float | None = None, reason: Reject | None = None):
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.retry_after = retry_after
        self.reason = reason or Reject.DOWNLOAD_FAILED


def backoff(policy: RetryPolicy, failures: int, generator: random.Random) -> float:
    """Returns how long to wait after a failure: exponential backoff with full jitter.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015: a uniform
    draw from zero to the bound spreads clients that failed together better than a wait of half
    its size plus jitter.

    Args:
        policy: the bounds.
        failures: failures so far, from 1.
        generator: source of the jitter.

    Returns:
        Seconds in [0, min(max_delay, base_delay * 2 ** (failures - 1))].
    """
    return generator.uniform(0.0, min(policy.max_delay, policy.base_delay * 2.0 ** min(failures - 1, 62)))


def next_wait(
    policy: RetryPolicy, failures: int, waited: float, retry_after: float | None, generator: random.Random
) -> float | None:
    """Decides what follows a failure that may pass.

    Args:
        policy: the bounds.
        failures: failures so far for which the server named no wait.
        waited: seconds waited for this URL so far.
        retry_after: seconds that the server asks to wait, None if it does not ask.
        generator: source of the jitter.

    Returns:
        Seconds to wait before the next attempt, never less than the server asks; None to give up.
    """
    if retry_after is None:
        return backoff(policy, failures, generator) if failures < policy.attempts else None
    # The jitter keeps all that were told the same moment from coming back at once.
    wait = retry_after + generator.uniform(0.0, min(policy.base_delay, retry_after))
    return wait if waited + wait <= policy.max_wait else None


def parse_retry_after(text: str | None, now: datetime.datetime) -> float | None:
    """Parses the header Retry-After (RFC 9110, section 10.2.3).

    Args:
        text: its value: whole seconds, or an HTTP date; None if it is absent.
        now: the time, with its zone.

    Returns:
        Seconds to wait, at least 0; None if there is no usable value.
    """
    if text is None:
        return None
    text = text.strip()
    if re.fullmatch(r"[0-9]{1,18}", text):
        return float(min(int(text), _MAX_SECONDS))
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        # "-0000" and dates of the obsolete formats: HTTP dates are always UTC.
        moment = moment.replace(tzinfo=datetime.UTC)
    return min(max((moment - now).total_seconds(), 0.0), float(_MAX_SECONDS))


def is_unavailable_picture(url: str) -> bool:
    """Returns whether the target of a redirect is a picture that stands for a photo that is gone.

    Flickr answers with a redirect to `https://s.yimg.com/pw/images/en-us/photo_unavailable_l.png`
    and the like (openimages/dataset issue 9).
    """
    return _UNAVAILABLE.match(posixpath.basename(urllib.parse.urlsplit(url).path)) is not None


def checksum_fault(data: bytes, size: str, md5: str) -> str:
    """Compares an original with what the release says of it.

    Args:
        data: the bytes received.
        size: OriginalSize: bytes, in decimal; empty where the release has none.
        md5: OriginalMD5: base64 of the 16 bytes of the MD5; empty where the release has none.

    Returns:
        What differs; empty if nothing does.
    """
    if size and str(len(data)) != size:
        return f"{len(data)} bytes, OriginalSize is {size}"
    if not md5:
        return ""
    try:
        expected = base64.b64decode(md5, validate=True)
    except (binascii.Error, ValueError):
        expected = b""
    if len(expected) != 16:
        return f"OriginalMD5 {md5!r} is not the base64 of an MD5"
    found = hashlib.md5(data, usedforsecurity=False).digest()
    return "" if found == expected else f"MD5 is {base64.b64encode(found).decode()}, OriginalMD5 is {md5}"


def mismatch_reason(redirected: bool) -> Reject:
    """Returns the reason for bytes that are not those of the release.

    Whoever was sent elsewhere and got another picture got a placeholder, whatever its name.
    """
    return Reject.IMAGE_UNAVAILABLE if redirected else Reject.CHECKSUM_MISMATCH


def image_fault(data: bytes) -> str:
    """Checks bytes for which the release has no checksum: thumbnails, and the originals of V1.

    Returns:
        Why they are no whole image, so that an error page or half a file is never kept; empty if
        nothing is wrong at a glance.
    """
    if not data.startswith(_IMAGE_STARTS):
        return f"no image: first bytes {data[:16]!r}" if data else "no bytes"
    header = jpeg.read_header(data)
    if header is not None and jpeg.is_cut_off(data, header):
        return f"a JPEG cut off after {len(data)} bytes"
    return ""
