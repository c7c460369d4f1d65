import base64
import datetime
import email.utils
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.http_policy import (
    GONE,
    TRANSIENT,
    FetchSettings,
    checksum_fault,
    image_fault,
    is_unavailable_picture,
    mismatch_reason,
    next_wait,
    parse_retry_after,
)
from oi_tfrecord.storage.retry import RetryPolicy

NOW = datetime.datetime(2017, 11, 16, 12, 0, 0, tzinfo=datetime.UTC)
PICTURE = b"\xff\xd8\xff\xe0rest of a picture"


def md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data).digest()).decode()


@given(st.floats(0, 500))
def test_never_comes_back_sooner_than_asked(pause: float) -> None:
    wait = next_wait(pause, 0.0, FetchSettings(max_wait=10_000))
    assert wait is not None
    assert pause <= wait <= 2 * pause


def test_a_wait_past_the_bound_is_not_begun() -> None:
    settings = FetchSettings(max_wait=100, retry=RetryPolicy(base_delay=0))
    assert next_wait(100.0, 0.0, settings) == 100
    assert next_wait(100.0, 0.5, settings) is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0.0),
        (" 120 ", 120.0),
        # The three formats of RFC 9110, section 5.6.7, half a minute after NOW.
        ("Thu, 16 Nov 2017 12:00:30 GMT", 30.0),
        ("Thursday, 16-Nov-17 12:00:30 GMT", 30.0),
        ("Thu Nov 16 12:00:30 2017", 30.0),
        ("Thu, 16 Nov 2017 11:59:00 GMT", 0.0),
        (None, None),
        ("", None),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
        ("Thu, 99 Nov 2017 12:00:30 GMT", None),
    ],
)
def test_retry_after(text: str | None, seconds: float | None) -> None:
    assert parse_retry_after(text, NOW) == seconds


@given(st.datetimes(datetime.datetime(1970, 1, 1), datetime.datetime(2100, 1, 1)))
def test_retry_after_of_any_date(moment: datetime.datetime) -> None:
    moment = moment.replace(microsecond=0, tzinfo=datetime.UTC)
    seconds = (moment - NOW).total_seconds()
    assert parse_retry_after(email.utils.format_datetime(moment, usegmt=True), NOW) == min(max(seconds, 0), 10**9)


@given(st.text())
def test_retry_after_of_any_text_is_seconds_or_nothing(text: str) -> None:
    seconds = parse_retry_after(text, NOW)
    assert seconds is None or 0 <= seconds <= 10**9


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://s.yimg.com/pw/images/en-us/photo_unavailable_l.png", True),
        ("https://s.yimg.com/pw/images/photo_unavailable.png", True),
        ("https://combo.staticflickr.com/pw/images/en-us/photo_unavailable_z.gif?1", True),
        ("https://example.com/image-not-available.jpg", True),
        ("https://live.staticflickr.com/4129/5215831864_46f356962f_o.jpg", False),
        ("https://example.com/photo_unavailable/1.jpg", False),
        ("https://example.com/1.jpg?from=photo_unavailable.png", False),
        ("https://example.com/photo_available.jpg", False),
        ("", False),
    ],
)
def test_unavailable_picture(url: str, expected: bool) -> None:
    assert is_unavailable_picture(url) is expected


def test_checksum_of_published_row() -> None:
    # RFC 1321, A.5: MD5("abc") = 900150983cd24fb0d6963f7d28e17f72.
    published = base64.b64encode(bytes.fromhex("900150983cd24fb0d6963f7d28e17f72")).decode()
    assert checksum_fault(b"abc", "3", published) == ""
    assert published in checksum_fault(b"abd", "3", published)
    assert checksum_fault(b"abcd", "3", published) == "4 bytes, OriginalSize is 3"


@pytest.mark.parametrize(("size", "has_md5"), [("", False), ("", True), ("17", False), ("17", True)])
def test_checks_what_the_release_has(size: str, has_md5: bool) -> None:
    data = b"seventeen letters"
    text = md5(data) if has_md5 else ""
    assert checksum_fault(data, size, text) == ""
    assert bool(checksum_fault(b"Seventeen letters", size, text)) is has_md5
    assert bool(checksum_fault(b"sixteen letters!", size, text)) is bool(size or has_md5)


@pytest.mark.parametrize(
    "text", ["900150983cd24fb0d6963f7d28e17f72", "not base64!", "YWJj", "é", md5(b"abc")[:-2]], ids=repr
)
def test_an_md5_that_is_none_is_a_fault(text: str) -> None:
    assert "OriginalMD5" in checksum_fault(b"abc", "", text)


@pytest.mark.parametrize("size", ["3.0", "x", "-3", "+3", "03"])
def test_a_size_that_is_none_is_a_fault(size: str) -> None:
    assert checksum_fault(b"abc", size, "")


def test_other_bytes_after_a_redirect_are_a_placeholder() -> None:
    assert mismatch_reason(redirected=True) is Reject.IMAGE_UNAVAILABLE
    assert mismatch_reason(redirected=False) is Reject.CHECKSUM_MISMATCH


def test_a_status_is_gone_or_transient_not_both() -> None:
    assert not GONE & TRANSIENT
    assert {429, 503} <= TRANSIENT
    assert {404, 410} == GONE


@pytest.mark.parametrize("data", [b"", b"<!DOCTYPE html>", b'{"error": 1}', b"\0" * 100, PICTURE])
def test_no_image_or_half_of_one(data: bytes) -> None:
    assert image_fault(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_images_pass(kind: str) -> None:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.new("RGB", (20, 10), "red").save(buffer, kind)
    assert image_fault(buffer.getvalue()) == ""
