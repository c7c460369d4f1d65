import io

import pytest
from PIL import Image, JpegImagePlugin

from oi_tfrecord.images import jpeg_header as jpeg
from oi_tfrecord.images.jpeg_header import JpegKind
from oi_tfrecord.images.jpeg_segments import FAULT_OF

APP0, APP2, APP13, APP14, DQT, DHT = 0xE0, 0xE2, 0xED, 0xEE, 0xDB, 0xC4
TABLE_8, TABLE_16 = b"\0" + bytes(range(1, 65)), b"\x11" + bytes(range(1, 129))
CODES = bytes([0, 1, 2, *[0] * 13, 10, 11, 12])
PHOTOSHOP = b"Photoshop 3.0\0"
# Resource 1028 with a name of one letter, no padding needed for either, and two bytes of data.
RESOURCE = b"8BIM\x04\x04\x01n\0\0\0\x02xy"

WHOLE = [
    (DQT, b""),
    (DQT, TABLE_8),
    (DQT, TABLE_8 + TABLE_16),
    (DQT, b"\x20" + TABLE_16[1:]),
    (DHT, b""),
    (DHT, b"\0" + CODES),
    (DHT, b"\x13" + CODES + b"\x02" + CODES),
    (APP0, b"JFIF\0\1\2"),
    (APP0, b"JFI"),
    (APP2, b"ICC_PROFILE\0\1\1"),
    (APP2, b"MPF\0"),
    (APP13, PHOTOSHOP),
    (APP13, PHOTOSHOP + RESOURCE),
    (APP13, PHOTOSHOP + RESOURCE + b"8BIM"),
    (APP13, PHOTOSHOP + RESOURCE[:-4]),
    (APP13, PHOTOSHOP + b"8BIM\0\1\0\0\0\0\0\1x\0" + RESOURCE),
    (APP13, b"Photo"),
    (APP14, b"Adobe\0\x64\0\0\0\0\1"),
    (APP14, b"Adob"),
]
DAMAGED = [
    (DQT, TABLE_8[:-1]),
    (DQT, TABLE_8 + b"\0"),
    (DQT, b"\x04" + TABLE_8[1:]),
    (DQT, TABLE_16[:65]),
    (DHT, b"\0" + CODES[:-1]),
    (DHT, b"\0" + CODES + b"\0"),
    (DHT, b"\x04" + CODES),
    (DHT, b"\x20" + CODES),
    (DHT, b"\0" + b"\xff" * 16 + bytes(255 * 16)),
    (APP0, b"JFIF\0\1"),
    (APP2, b"ICC_PROFILE\0\1"),
    (APP13, PHOTOSHOP + b"8BIM\3\xed"),
    (APP13, PHOTOSHOP + RESOURCE + b"8BIM\3\xed"),
    (APP14, b"Adobe\0"),
]


def image_with(marker: int, contents: bytes) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "JPEG")
    data = buffer.getvalue()
    return data[:2] + bytes((0xFF, marker)) + (len(contents) + 2).to_bytes(2, "big") + contents + data[2:]


def opens_in_pillow(data: bytes) -> bool:
    try:
        JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    except Exception:
        return False
    return True


def test_every_kind_is_tried() -> None:
    assert {marker for marker, _ in WHOLE} == {marker for marker, _ in DAMAGED} == set(FAULT_OF)


@pytest.mark.parametrize(("marker", "contents"), WHOLE)
def test_a_whole_segment_has_no_fault(marker: int, contents: bytes) -> None:
    assert FAULT_OF[marker](b"before" + contents + b"after", 6, 6 + len(contents)) == ""
    data = image_with(marker, contents)
    assert opens_in_pillow(data)
    header = jpeg.read_header(data)
    assert header is not None
    assert header.kind is (JpegKind.SPECIAL if contents == b"MPF\0" else JpegKind.PLAIN)


@pytest.mark.parametrize(("marker", "contents"), DAMAGED)
def test_a_damaged_segment_is_left_to_a_decoder(marker: int, contents: bytes) -> None:
    fault = FAULT_OF[marker](b"before" + contents + b"after", 6, 6 + len(contents))
    assert fault
    header = jpeg.read_header(image_with(marker, contents))
    assert header is not None
    assert (header.kind, header.note) == (JpegKind.UNSURE, fault)


@pytest.mark.parametrize(("marker", "contents"), [entry for entry in DAMAGED if entry[0] not in (DQT, DHT)])
def test_pillow_opens_no_damaged_application_segment(marker: int, contents: bytes) -> None:
    assert not opens_in_pillow(image_with(marker, contents))


@pytest.mark.parametrize(("marker", "contents"), [entry for entry in DAMAGED if entry[0] in (DQT, DHT)])
def test_tensorflow_decodes_no_damaged_table(marker: int, contents: bytes) -> None:
    from tests.support.optional import tensorflow as tf

    assert tf.io.decode_jpeg(image_with(DQT, TABLE_8)).shape == (8, 8, 3)
    with pytest.raises(tf.errors.InvalidArgumentError):
        tf.io.decode_jpeg(image_with(marker, contents))
