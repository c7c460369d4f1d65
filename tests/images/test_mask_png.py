import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from oi_tfrecord.images.mask_png import empty_mask, is_scaled_alike, prepare_mask
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.reasons import Reject
from tests.support.mask_release import nearest, png_of
from tests.support.optional import tensorflow as tf

SHAPE = st.tuples(st.integers(1, 40), st.integers(1, 40))
MODES = ("1", "L", "P", "RGB", "RGBA", "LA", "I;16")


def pixels_of(png: bytes) -> np.ndarray:
    """Returns the pixels as both readers get them."""
    found = tf.io.decode_png(png, channels=1).numpy()
    np.testing.assert_array_equal(found, tf.image.decode_image(png, channels=1).numpy())
    return found[..., 0]


def in_mode(mask: np.ndarray, mode: str) -> bytes:
    """Returns a mask as a PNG of another mode, with the smallest values that are not 0."""
    if mode == "1":
        return png_of(mask)
    if mode == "I;16":
        picture = Image.fromarray(mask.astype(np.uint16))
    elif mode == "P":
        picture = Image.fromarray(mask.astype(np.uint8) * 7)
        picture.putpalette([0] * 21 + [1, 0, 0])
    else:
        grey = Image.fromarray(mask.astype(np.uint8))
        opaque, blank = Image.new("L", grey.size, 255), Image.new("L", grey.size)
        bands = {"L": [grey], "LA": [grey, opaque], "RGB": [blank, blank, grey], "RGBA": [grey, blank, blank, opaque]}
        picture = Image.merge(mode, bands[mode])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


@settings(max_examples=60, deadline=None)
@given(
    SHAPE,
    st.sampled_from([0.64, 1, 1.5625]),
    st.sampled_from([0, 90, 180, 270]),
    st.sampled_from(MODES),
    st.randoms(use_true_random=False),
)
def test_the_pixels_are_those_of_the_file_turned_and_sampled(
    shape: tuple[int, int], scale: float, angle: int, mode: str, chosen: np.random.Generator
) -> None:
    mask = np.array([[chosen.random() < 0.4 for _ in range(shape[1])] for _ in range(shape[0])])
    height, width = (max(round(scale * side), 1) for side in (shape[::-1] if angle in (90, 270) else shape))
    assume(nearest(np.rot90(mask, angle // 90), width, height).any())
    found = pixels_of(prepare_mask(in_mode(mask, mode), width, height, angle))
    # numpy turns counter-clockwise, too.
    np.testing.assert_array_equal(found, nearest(np.rot90(mask, angle // 90), width, height))


def test_the_corner_of_a_turned_mask() -> None:
    mask = np.zeros((2, 3), bool)
    mask[0, 0] = True
    # Turned counter-clockwise, the top left corner is at the bottom left.
    assert np.argwhere(pixels_of(prepare_mask(png_of(mask), 2, 3, 90))).tolist() == [[2, 0]]
    assert np.argwhere(pixels_of(prepare_mask(png_of(mask), 2, 3, 270))).tolist() == [[0, 1]]


def test_an_empty_mask() -> None:
    assert pixels_of(empty_mask(5, 3)).tolist() == [[0] * 5] * 3
    with pytest.raises(ImageRejected) as raised:
        prepare_mask(png_of(np.zeros((3, 5), bool)), 5, 3)
    assert raised.value.reason is Reject.MASK_EMPTY


@pytest.mark.parametrize(
    ("mask", "image", "is_alike"),
    [
        # Published pairs: of github.com/openimages/dataset issue 92 and github.com/fizyr/keras-maskrcnn issue 106.
        ((1200, 1600), (768, 1024), True),
        ((1068, 1600), (684, 1024), True),
        ((1600, 1200), (768, 1024), False),
        ((1068, 1600), (1024, 684), False),
        ((1068, 1500), (684, 1024), False),
        ((1200, 1584), (768, 1024), False),
        ((1, 1), (1024, 1024), True),
    ],
)
def test_a_mask_of_another_resolution_has_the_ratio_of_the_image(
    mask: tuple[int, int], image: tuple[int, int], is_alike: bool
) -> None:
    assert is_scaled_alike(mask, image) is is_scaled_alike(image, mask) is is_alike


@given(st.tuples(st.integers(8, 4000), st.integers(8, 4000)), st.floats(0.05, 1), st.floats(0.05, 1))
def test_sizes_that_were_rounded_from_one_image_agree(size: tuple[int, int], one: float, other: float) -> None:
    scaled = [tuple(max(round(side * scale), 1) for side in size) for scale in (one, other)]
    again = tuple(max(int(side * 0.7), 1) for side in scaled[1])
    assert is_scaled_alike((scaled[0][0], scaled[0][1]), (scaled[1][0], scaled[1][1]))
    assert is_scaled_alike((scaled[0][0], scaled[0][1]), (again[0], again[1]))


def test_a_turned_mask_is_rejected() -> None:
    with pytest.raises(ImageRejected) as raised:
        prepare_mask(png_of(np.ones((30, 40), bool)), 30, 40)
    assert raised.value.reason is Reject.MASK_OTHER_SHAPE
    assert "40x30 pixels" in raised.value.detail
    assert pixels_of(prepare_mask(png_of(np.ones((30, 40), bool)), 30, 40, 90)).all()


def test_an_object_smaller_than_a_pixel_of_the_image_is_kept() -> None:
    mask = np.zeros((64, 96), bool)
    mask[40, 80] = True
    assert np.argwhere(pixels_of(prepare_mask(png_of(mask), 12, 8))).tolist() == [[5, 10]]


def test_a_mask_is_stored_with_one_bit_per_pixel() -> None:
    chosen = np.random.default_rng(1).random((64, 64)) < 0.5
    # Noise does not compress: 64 * 64 bits, a byte per row, and what surrounds them.
    assert len(prepare_mask(png_of(chosen), 64, 64)) < 64 * 9 + 120


def header_of(width: int, height: int) -> bytes:
    chunk = b"IHDR" + struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    return start + struct.pack(">I", 100) + b"IDAT"


GOOD = png_of(np.random.default_rng(2).random((32, 32)) < 0.5)
BROKEN = GOOD.replace(b"IDAT", b"IDAT\xff\xff\xff\xff", 1)


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b"", Reject.IMAGE_EMPTY, "no bytes"),
        (b"<html>", Reject.NOT_AN_IMAGE, "is no PNG, first bytes b'<html>'"),
        (b"\xff\xd8\xff\xe0", Reject.NOT_AN_IMAGE, "is no PNG"),
        (GOOD[:-30], Reject.IMAGE_CUT_OFF, "PNG: "),
        (GOOD[:20], Reject.IMAGE_CUT_OFF, "PNG: "),
        (BROKEN, Reject.IMAGE_BROKEN, "PNG: "),
        (header_of(60_000, 60_000), Reject.IMAGE_TOO_LARGE, "60000x60000 pixels, more than 178956970"),
    ],
)
def test_what_cannot_be_read_is_rejected(data: bytes, reason: Reject, detail: str) -> None:
    with pytest.raises(ImageRejected) as raised:
        prepare_mask(data, 32, 32)
    assert raised.value.reason is reason
    assert detail in raised.value.detail


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_damage_gives_a_mask_or_a_reject(place: int, flipped: int) -> None:
    data = bytearray(GOOD)
    data[place] ^= flipped
    try:
        found = prepare_mask(bytes(data), 16, 16)
    except ImageRejected:
        return
    assert pixels_of(found).shape == (16, 16)
