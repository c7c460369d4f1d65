import base64
import sys
import zlib

import numpy as np
import pytest

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.images.mask_png import empty_mask
from oi_tfrecord.images.mask_rle import (
    MaskRle,
    MaskTextError,
    encode_mask,
    encode_png,
    find_boxes,
    format_challenge_text,
    load_hotcoco,
    measure_areas,
    measure_ioa,
    measure_iou,
    parse_challenge_text,
    parse_counts,
)

L_SHAPE = np.array([[1, 0, 0], [1, 0, 0], [1, 1, 0], [0, 0, 0]], np.uint8)


def test_a_mask_survives_text() -> None:
    mask = encode_mask(L_SHAPE)
    assert (mask.width, mask.height) == (3, 4)
    again = parse_challenge_text(format_challenge_text(mask), 3, 4)
    assert again == mask
    assert (load_hotcoco().mask.decode({"size": [4, 3], "counts": again.counts}) == L_SHAPE).all()


def test_the_text_is_base64_of_zlib_of_the_run_lengths() -> None:
    # Down the columns: no pixel outside, 3 inside, 3 outside, 1 inside, 5 outside; from the third on, the difference to
    # the one before the last is written, 5 bits to a character from chr(48).
    text = format_challenge_text(encode_mask(L_SHAPE))
    assert zlib.decompress(base64.b64decode(text)) == b"033N2"


def test_overlaps_are_counted_in_pixels() -> None:
    column = np.zeros((4, 3), np.uint8)
    column[:, 0] = 1
    masks = [encode_mask(L_SHAPE), encode_mask(column)]
    assert measure_areas(masks).tolist() == [4, 4]
    assert measure_iou(masks, masks).tolist() == [[1, 3 / 5], [3 / 5, 1]]
    assert measure_ioa(masks[:1], masks[1:]).tolist() == [[3 / 4]]
    assert measure_iou([], masks).shape == (0, 2)


def test_the_box_of_a_mask_is_tight() -> None:
    empty = encode_png(empty_mask(3, 4))
    assert find_boxes([encode_mask(L_SHAPE), empty]).tolist() == [[0, 0, 3 / 4, 2 / 3], [0, 0, 0, 0]]
    assert measure_areas([empty]).tolist() == [0]


@pytest.mark.parametrize("text", ["", "zz", "////", base64.b64encode(b"abc").decode()])
def test_text_that_is_no_mask_is_refused(text: str) -> None:
    with pytest.raises(MaskTextError):
        parse_challenge_text(text, 3, 4)


def test_more_pixels_than_the_image_has_are_refused() -> None:
    with pytest.raises(MaskTextError, match="exceed"):
        parse_counts(encode_mask(L_SHAPE).counts.decode(), 2, 2)
    assert isinstance(parse_counts(encode_mask(L_SHAPE).counts.decode(), 3, 4), MaskRle)


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hotcoco", None)
    with pytest.raises(ConfigError, match="masks: their run lengths, and the metrics of COCO, need hotcoco"):
        encode_mask(L_SHAPE)
