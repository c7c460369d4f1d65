import base64
import functools
import hashlib
import io
import pathlib
from collections.abc import Iterator

import pytest
from PIL import Image

from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.reasons import Reject
from oi_tfrecord.settings.allowed_values import UrlKind
from oi_tfrecord.sources.download_cache import ImageCache
from oi_tfrecord.sources.http_client import Fetcher
from oi_tfrecord.sources.http_policy import FetchRejected, FetchSettings
from oi_tfrecord.sources.image_urls import URL_COLUMNS, ImageUrls
from oi_tfrecord.sources.load_image import THUMBNAIL_PIXELS, load_image, thumbnail_300k
from oi_tfrecord.storage.retry import RetryPolicy
from tests.support.image_server import ImageServer, body, redirect, status

QUICK = FetchSettings(retry=RetryPolicy(attempts=2, base_delay=0.01))


def jpeg(width: int, height: int, colour: str) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, "JPEG")
    return buffer.getvalue()


ORIGINAL = jpeg(1600, 1200, "red")
THUMBNAIL = jpeg(640, 480, "blue")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ImageServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ImageServer() as running:
        running.files |= {"/o.jpg": ORIGINAL, "/z.jpg": THUMBNAIL}
        yield running


@pytest.fixture
def urls(server: ImageServer) -> ImageUrls:
    md5 = base64.b64encode(hashlib.md5(ORIGINAL).digest()).decode()
    return ImageUrls(server.url("/o.jpg"), str(len(ORIGINAL)), md5, server.url("/z.jpg"))


def load(kind: UrlKind, urls: ImageUrls, cache: ImageCache | None = None) -> bytes:
    with Fetcher(QUICK) as fetcher:
        return fetcher.submit(lambda: load_image(fetcher, cache, kind, urls)).result(60)


def reason(kind: UrlKind, urls: ImageUrls, cache: ImageCache | None = None) -> Reject:
    with pytest.raises(ImageRejected) as raised:
        load(kind, urls, cache)
    return raised.value.reason


def without(urls: ImageUrls, *columns: str) -> ImageUrls:
    values = dict(zip(URL_COLUMNS, (urls.original, urls.size, urls.md5, urls.thumbnail), strict=True))
    return ImageUrls.of_fields(values | dict.fromkeys(columns, ""))


@pytest.mark.parametrize(("kind", "expected"), [(UrlKind.ORIGINAL, ORIGINAL), (UrlKind.THUMBNAIL, THUMBNAIL)])
def test_loads_each_kind_with_one_request(
    server: ImageServer, urls: ImageUrls, kind: UrlKind, expected: bytes, tmp_path: pathlib.Path
) -> None:
    cache = ImageCache(tmp_path)
    assert load(kind, urls, cache) == expected
    assert load(kind, urls, cache) == expected
    assert len(server.requests) == 1
    assert load(kind, urls) == expected
    assert len(server.requests) == 2


def test_original_of_another_content_is_a_mismatch_and_is_not_kept(
    server: ImageServer, urls: ImageUrls, tmp_path: pathlib.Path
) -> None:
    swapped = bytes(reversed(ORIGINAL))
    server.scripts["/o.jpg"] = [body(swapped), body(ORIGINAL + b"x")]
    cache = ImageCache(tmp_path)
    assert reason(UrlKind.ORIGINAL, urls, cache) is Reject.CHECKSUM_MISMATCH
    assert reason(UrlKind.ORIGINAL, urls, cache) is Reject.CHECKSUM_MISMATCH
    assert load(UrlKind.ORIGINAL, urls, cache) == ORIGINAL


def test_a_kept_original_that_the_release_does_not_list_is_fetched_again(
    server: ImageServer, urls: ImageUrls, tmp_path: pathlib.Path
) -> None:
    cache = ImageCache(tmp_path)
    cache.put(urls.original, THUMBNAIL)
    assert load(UrlKind.ORIGINAL, urls, cache) == ORIGINAL
    assert cache.get(urls.original) == ORIGINAL


@pytest.mark.parametrize("missing", [(), ("OriginalSize",), ("OriginalMD5",), ("OriginalSize", "OriginalMD5")])
def test_originals_of_releases_without_checksums(
    server: ImageServer, urls: ImageUrls, missing: tuple[str, ...]
) -> None:
    assert load(UrlKind.ORIGINAL, without(urls, *missing)) == ORIGINAL
    server.scripts["/o.jpg"] = [body(b"<html>our new site</html>")]
    expected = Reject.DOWNLOAD_FAILED if len(missing) == 2 else Reject.CHECKSUM_MISMATCH
    assert reason(UrlKind.ORIGINAL, without(urls, *missing)) is expected


def test_no_url() -> None:
    assert reason(UrlKind.ORIGINAL, ImageUrls("")) is Reject.IMAGE_UNAVAILABLE
    assert reason(UrlKind.THUMBNAIL, ImageUrls("")) is Reject.IMAGE_UNAVAILABLE


@pytest.mark.parametrize(
    "gone", [None, status(404), status(410), redirect("/photo_unavailable_z.png")], ids=["none", "404", "410", "302"]
)
def test_a_missing_thumbnail_is_made_from_the_original_once(
    server: ImageServer, urls: ImageUrls, gone: object, tmp_path: pathlib.Path
) -> None:
    if gone is None:
        urls = without(urls, "Thumbnail300KURL")
    else:
        server.scripts["/z.jpg"] = [gone]  # type: ignore[list-item]
    cache = ImageCache(tmp_path)
    assert load(UrlKind.THUMBNAIL, urls, cache) == thumbnail_300k(ORIGINAL)
    requests = len(server.requests)
    assert load(UrlKind.THUMBNAIL, urls, cache) == thumbnail_300k(ORIGINAL)
    assert len(server.requests) == requests


def test_a_thumbnail_is_made_of_the_right_original_only(server: ImageServer, urls: ImageUrls) -> None:
    server.files["/o.jpg"] = jpeg(1600, 1200, "green")
    assert reason(UrlKind.THUMBNAIL, without(urls, "Thumbnail300KURL")) is Reject.CHECKSUM_MISMATCH


def test_the_original_is_not_requested_because_a_server_is_down(server: ImageServer, urls: ImageUrls) -> None:
    server.scripts["/z.jpg"] = [status(500)] * 9
    assert reason(UrlKind.THUMBNAIL, urls) is Reject.DOWNLOAD_FAILED
    assert "/o.jpg" not in server.counts


@pytest.mark.parametrize("data", [b"<html>sign in</html>", b"", THUMBNAIL[: len(THUMBNAIL) // 2]])
def test_a_thumbnail_that_is_none_is_not_kept(
    server: ImageServer, urls: ImageUrls, data: bytes, tmp_path: pathlib.Path
) -> None:
    server.scripts["/z.jpg"] = [body(data)]
    cache = ImageCache(tmp_path)
    assert reason(UrlKind.THUMBNAIL, urls, cache) is Reject.DOWNLOAD_FAILED
    assert load(UrlKind.THUMBNAIL, urls, cache) == THUMBNAIL


def test_thumbnail_and_original_gone(server: ImageServer, urls: ImageUrls) -> None:
    server.files.clear()
    with pytest.raises(FetchRejected) as raised:
        load(UrlKind.THUMBNAIL, urls)
    assert (raised.value.reason, raised.value.status) == (Reject.IMAGE_UNAVAILABLE, 404)
    assert server.counts == {"/z.jpg": 1, "/o.jpg": 1}


@pytest.mark.parametrize("kind", list(UrlKind))
@pytest.mark.parametrize("has_thumbnail", [True, False])
def test_stores_what_it_returns(urls: ImageUrls, kind: UrlKind, has_thumbnail: bool, tmp_path: pathlib.Path) -> None:
    image = urls if has_thumbnail else without(urls, "Thumbnail300KURL")
    cache = ImageCache(tmp_path)
    for _ in ("fetched", "known"):
        stored: list[bytes] = []
        with Fetcher(QUICK) as fetcher:
            task = functools.partial(load_image, fetcher, cache, kind, image, stored.append)
            data = fetcher.submit(task).result(60)
        assert stored == [data]


def test_a_thumbnail_is_made_from_an_original_that_is_known(
    server: ImageServer, urls: ImageUrls, tmp_path: pathlib.Path
) -> None:
    cache = ImageCache(tmp_path)
    cache.put(urls.original, ORIGINAL)
    assert load(UrlKind.THUMBNAIL, without(urls, "Thumbnail300KURL"), cache) == thumbnail_300k(ORIGINAL)
    assert not server.requests


def test_an_original_that_makes_no_thumbnail_is_rejected(server: ImageServer, urls: ImageUrls) -> None:
    server.files["/o.jpg"] = b"BM no bitmap"
    broken = without(urls, "OriginalSize", "OriginalMD5", "Thumbnail300KURL")
    assert reason(UrlKind.THUMBNAIL, broken) is Reject.NOT_AN_IMAGE
    assert server.counts["/o.jpg"] == 1


def picture(width: int, height: int, kind: str = "JPEG", mode: str = "RGB", **options: object) -> bytes:
    half_black = Image.new("RGB", (width, height), "white")
    half_black.paste("black", (0, 0, width // 2, height))
    buffer = io.BytesIO()
    half_black.convert(mode).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("size", [(4000, 3000), (3000, 4000), (641, 481), (5000, 100), (1, 400_000 // 8), (2048, 1536)])
def test_scales_to_the_budget_and_keeps_the_shape(size: tuple[int, int]) -> None:
    result = Image.open(io.BytesIO(thumbnail_300k(picture(*size))))
    assert result.format == "JPEG"
    assert result.width * result.height <= THUMBNAIL_PIXELS
    if size[0] * size[1] > THUMBNAIL_PIXELS:
        assert result.width * result.height > 0.98 * THUMBNAIL_PIXELS
        assert result.width / result.height == pytest.approx(size[0] / size[1], rel=0.02)


def test_four_to_three_becomes_640_by_480() -> None:
    assert Image.open(io.BytesIO(thumbnail_300k(picture(4000, 3000)))).size == (640, 480)


def test_a_small_jpeg_is_returned_as_it_is() -> None:
    data = picture(640, 480, comment=b"kept")
    assert thumbnail_300k(data) is data


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGBA"), ("PNG", "L"), ("GIF", "L"), ("WEBP", "RGB"), ("JPEG", "CMYK")]
)
@pytest.mark.parametrize("size", [(100, 80), (1500, 1000)])
def test_other_formats_become_jpeg(kind: str, mode: str, size: tuple[int, int]) -> None:
    data = picture(*size, kind=kind, mode=mode)
    result = Image.open(io.BytesIO(thumbnail_300k(data)))
    assert (result.format, result.mode) == ("JPEG", "L" if mode == "L" and kind == "PNG" else "RGB")
    assert result.width * result.height == pytest.approx(min(size[0] * size[1], THUMBNAIL_PIXELS), rel=0.02)
    left, right = (result.convert("L").getpixel((x, result.height // 2)) for x in (2, result.width - 3))
    assert isinstance(left, int)
    assert isinstance(right, int)
    assert left < 40
    assert right > 215


def test_exif_does_not_turn_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    result = Image.open(io.BytesIO(thumbnail_300k(picture(2000, 1000, exif=exif))))
    assert result.width > result.height
    assert 0x0112 not in result.getexif()


def test_same_bytes_same_result() -> None:
    data = picture(1800, 1200)
    assert thumbnail_300k(data) == thumbnail_300k(bytes(bytearray(data)))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reject.IMAGE_EMPTY),
        (b"<html>", Reject.NOT_AN_IMAGE),
        (picture(900, 900)[:200], Reject.IMAGE_CUT_OFF),
        (b"\xff\xd8\xff\xe0", Reject.IMAGE_CUT_OFF),
        (b"GIF89a\xff\xff\xff\xff\0\0\0;", Reject.IMAGE_TOO_LARGE),
    ],
)
def test_what_is_no_image_or_a_bomb(data: bytes, reason: Reject) -> None:
    with pytest.raises(ImageRejected) as raised:
        thumbnail_300k(data)
    assert raised.value.reason is reason
