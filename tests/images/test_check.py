import io
import pathlib
import random

import pytest
from PIL import Image

from oi_tfrecord.images.check import find_image_fault
from oi_tfrecord.images.jpeg_header import JpegKind, read_header


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


def decode_fully(data: bytes) -> str:
    try:
        Image.open(io.BytesIO(data), formats=["JPEG"]).load()
    except Exception as error:
        return str(error)
    return ""


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("subsampling", ["4:4:4", "4:2:0"])
def test_a_small_decode_finds_the_faults_of_a_full_one(progressive: bool, subsampling: str) -> None:
    chosen = random.Random(3)
    out = io.BytesIO()
    picture = Image.frombytes("RGB", (80, 60), chosen.randbytes(80 * 60 * 3))
    picture.save(out, "JPEG", progressive=progressive, subsampling=subsampling, restart_marker_rows=2)
    whole = out.getvalue()
    faulty = 0
    for _ in range(150):
        data = bytearray(whole[: chosen.choice([len(whole), chosen.randrange(700, len(whole))])])
        for _ in range(chosen.randrange(4)):
            data[chosen.randrange(200, len(data))] = chosen.randrange(256)
        data += b"\xff\xd9"
        header = read_header(bytes(data))
        if header is None or header.kind is not JpegKind.PLAIN:
            continue
        fault, _ = find_image_fault(bytes(data), plain=True, decode=True)
        expected = decode_fully(bytes(data))
        faulty += bool(expected)
        # Some faults show only in the markers, where Pillow does not look.
        assert (expected in fault) if expected else not fault.startswith("does not decode")
    assert faulty
