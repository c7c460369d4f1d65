import io
import pathlib

import pytest
from PIL import Image

from oi_tfrecord.images.check import find_image_fault


def encode(mode: str = "RGB", image_format: str = "JPEG", size: tuple[int, int] = (48, 32)) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 60).convert(mode).save(buffer, image_format)
    return buffer.getvalue()


@pytest.mark.parametrize("decode", [False, True])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_plain_jpeg_has_no_fault(mode: str, decode: bool) -> None:
    assert find_image_fault(encode(mode), plain=True, decode=decode) == ("", (48, 32))


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encode("CMYK"), "4 components"),
        (encode(image_format="PNG"), "not a JPEG"),
        (b"", "not a JPEG"),
        (encode()[:-2], "no end-of-image marker"),
        (encode()[:30], "the file ends inside the header"),
    ],
)
def test_what_is_no_plain_whole_jpeg_is_a_fault(data: bytes, expected: str) -> None:
    assert expected in find_image_fault(data, plain=True, decode=False)[0]


@pytest.mark.parametrize(("image_format", "expected"), [("PNG", ""), ("BMP", ""), ("GIF", "GIF is not read")])
def test_third_party_records_may_hold_any_format_that_readers_decode(image_format: str, expected: str) -> None:
    for decode in (False, True):
        fault, size = find_image_fault(encode(image_format=image_format), plain=False, decode=decode)
        assert fault.startswith(expected)
        assert bool(fault) == bool(expected)
        assert size == (48, 32)
    assert find_image_fault(encode("CMYK"), plain=False, decode=True) == ("", (48, 32))


def test_only_decoding_finds_a_damaged_middle(tmp_path: pathlib.Path) -> None:
    whole = encode(size=(256, 256))
    middle = len(whole) // 2
    damaged = whole[:middle] + b"\xff\xc4" + whole[middle + 2 :]
    assert find_image_fault(damaged, plain=True, decode=False)[0] == ""
    assert find_image_fault(damaged, plain=True, decode=True)[0]
    png = encode(image_format="PNG", size=(256, 256))
    cut = png[: len(png) // 2]
    assert find_image_fault(cut, plain=False, decode=False)[0] == ""
    assert "does not decode" in find_image_fault(cut, plain=False, decode=True)[0]
