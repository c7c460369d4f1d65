"""The smallest inputs of what fuzzing found, each with what was wrong."""

import io

import pytest
from PIL import Image

from oi_tfrecord.images import jpeg_header as jpeg
from oi_tfrecord.images.jpeg_header import JpegKind
from oi_tfrecord.images.prepare import prepare
from oi_tfrecord.images.values import ImageOptions, ImageRejected
from oi_tfrecord.openimages.csv.parse import parse_rows
from oi_tfrecord.openimages.csv.row_faults import Kind
from oi_tfrecord.reasons import Reject
from tests.fuzz import csv_ranges, jpeg_header


@pytest.mark.parametrize("choices", [0b010, 0b011])
@pytest.mark.parametrize("rows", [b"a,b\r\r\n", b"a,b\r\r\r\nc,d\n", b'a,"b"\r\r\n', b"a,b\r\n\r\r\nc,d"])
def test_carriage_returns_before_a_line_end_belong_to_it(rows: bytes, choices: int) -> None:
    """They made a row malformed that the csv module reads."""
    csv_ranges.check(bytes([0, 0, choices]) + rows)
    parsed = parse_rows(rows, ["Author", "Title"], {"Title": Kind.TEXT}, quoted_line_breaks=bool(choices & 1))
    assert parsed.columns.texts["Title"].to_pylist()[0] == b"b"
    assert not parsed.rejects


def test_a_quantization_table_cut_short_is_no_plain_jpeg() -> None:
    """The header was taken for plain and the image copied, though neither Pillow nor libjpeg reads it."""
    buffer = io.BytesIO()
    Image.new("L", (8, 8)).save(buffer, "JPEG")
    data = buffer.getvalue()
    at = data.find(b"\xff\xdb")
    damaged = data[: at + 4] + b"\xff" + data[at + 5 :]
    jpeg_header.check(damaged)
    header = jpeg.read_header(damaged)
    assert header is not None
    assert header.kind is JpegKind.UNSURE
    with pytest.raises(ImageRejected) as caught:
        prepare(damaged, ImageOptions(mode="copy"))
    assert caught.value.reason is Reject.IMAGE_BROKEN
