import io

import pytest
from PIL import Image

from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.url_image import THUMBNAIL_PIXELS, thumbnail_300k


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
