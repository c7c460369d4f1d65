"""What an answer to a download means: take it, send the request again later, or give up. Pure functions.

Nothing here opens a connection; `http_client` and `http_request` do.
"""

import base64
import binascii
import dataclasses
import hashlib
import posixpath
import random
import re
import urllib.parse

from oi_tfrecord.images.jpeg_header import is_cut_off, read_header
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.reasons import Reject
from oi_tfrecord.storage.retry import RetryPolicy
from oi_tfrecord.storage.retry import parse_retry_after as parse_retry_after

GONE = frozenset((404, 410))
"""Statuses of a URL that has no image any more."""

TRANSIENT = frozenset((408, 425, 429, 500, 502, 503, 504))
"""Statuses after which the same request may succeed (RFC 9110, section 15; RFC 6585; RFC 8470)."""

REDIRECTS = frozenset((301, 302, 303, 307, 308))

_UNAVAILABLE = re.compile(r"(?:photo|image|video)[_-]?(?:unavailable|not[_-]?available)", re.IGNORECASE)

_IMAGE_STARTS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF87a", b"GIF89a", b"RIFF", b"BM")


@dataclasses.dataclass(frozen=True)
class FetchSettings:
    """Bounds of a client.

    Attributes:
        connections: open connections in total.
        per_host: open connections to one host.
        connect_seconds: time to open a connection.
        read_seconds: time between two pieces of an answer.
        total_seconds: time of one attempt, so that an answer in drips ends.
        max_bytes: size of an answer.
        max_wait: bound on the sum of the waits that a host asks for, for one URL, in seconds.
        private_redirects: whether a redirect may lead to an address of this machine or a private network.
        retry: when a download is tried again; requests that the host answers with a wait do not count.
    """

    connections: int = 64
    per_host: int = 16
    connect_seconds: float = 15.0
    read_seconds: float = 30.0
    total_seconds: float = 300.0
    max_bytes: int = 64 << 20
    max_wait: float = 900.0
    private_redirects: bool = False
    retry: RetryPolicy = dataclasses.field(default_factory=RetryPolicy)


class FetchRejected(ImageRejected):
    """A download that failed for good."""

    def __init__(self, reason: Reject, detail: str, status: int):
        """Adds the status to the detail.

        Args:
            reason: why the image is rejected.
            detail: the failure, with the URL.
            status: the last HTTP status, 0 if there was no answer.
        """
        super().__init__(reason, f"HTTP {status}: {detail}" if status else detail)
        self.status = status


class MayPassError(Exception):
    """A failure after which the same request may succeed."""

    def __init__(self, detail: str, status: int = 0, retry_after: float | None = None, reason: Reject | None = None):
        """Keeps what the last failure is reported with, if no attempts are left.

        Args:
            detail: the failure.
            status: the HTTP status, 0 if there was no answer.
            retry_after: seconds that the host asks to wait, None if it does not ask.
            reason: why the image is rejected after the last attempt; DOWNLOAD_FAILED by default.
        """
        super().__init__(detail)
        self.detail = detail
        self.status = status
        self.retry_after = retry_after
        self.reason = reason or Reject.DOWNLOAD_FAILED


class WrongBytes(Exception):
    """The bytes of an answer are not those of the image; the text says why."""


def next_wait(pause: float, waited: float, settings: FetchSettings) -> float | None:
    """Returns how long to wait for a host that asks to be left alone.

    Args:
        pause: seconds until the host accepts requests again.
        waited: seconds that this URL has waited for its host so far.
        settings: the bound on the sum, and on the jitter.

    Returns:
        Seconds, at least `pause`; None if the sum of the waits would exceed `max_wait`.
    """
    # The jitter keeps all that wait for the same moment from coming back at once.
    wait = pause + random.uniform(0.0, min(settings.retry.base_delay, pause))
    return wait if waited + wait <= settings.max_wait else None


def is_unavailable_picture(url: str) -> bool:
    """Returns whether the target of a redirect is a placeholder for a photo that is gone.

    Flickr answers with a redirect to `https://s.yimg.com/pw/images/en-us/photo_unavailable_l.png`
    and the like (openimages/dataset issue 9).
    """
    return _UNAVAILABLE.match(posixpath.basename(urllib.parse.urlsplit(url).path)) is not None


def checksum_fault(data: bytes, size: str, md5: str) -> str:
    """Compares an original with its size and checksum in the release.

    Args:
        data: the bytes received.
        size: OriginalSize, bytes in decimal; empty if the release has none.
        md5: OriginalMD5, base64 of the 16 bytes of the MD5; empty if the release has none.

    Returns:
        The difference, or an empty string.
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
    """Returns the reason for bytes that are not those of the release: a redirect to them leads to a placeholder."""
    return Reject.IMAGE_UNAVAILABLE if redirected else Reject.CHECKSUM_MISMATCH


def image_fault(data: bytes) -> str:
    """Looks for the start and the end of an image, so that an error page or half a file is never kept.

    Args:
        data: bytes for which the release has no checksum: a thumbnail, or an original of V1.

    Returns:
        The fault, or an empty string.
    """
    if not data.startswith(_IMAGE_STARTS):
        return f"no image: first bytes {data[:16]!r}" if data else "no bytes"
    header = read_header(data)
    if header is not None and is_cut_off(data, header):
        return f"a JPEG cut off after {len(data)} bytes"
    return ""
