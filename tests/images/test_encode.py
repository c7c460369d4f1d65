import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from oi_tfrecord.images import encode as encode_module
from oi_tfrecord.images.encode import fit_size

SIDES = st.integers(1, 65_500)


@pytest.mark.parametrize(
    ("size", "bounds", "expected"),
    [
        ((4000, 3000), (1024, 0), (1024, 768)),
        ((3000, 4000), (1024, 0), (768, 1024)),
        ((1024, 768), (1024, 0), (1024, 768)),
        ((5000, 1), (1024, 0), (1024, 1)),
        ((4000, 3000), (0, 640 * 480), (640, 480)),
        ((3000, 4000), (0, 640 * 480), (480, 640)),
        ((640, 480), (0, 640 * 480), (640, 480)),
        ((65_000, 1), (0, 100), (100, 1)),
        ((4000, 3000), (1024, 640 * 480), (640, 480)),
        ((4000, 3000), (200, 640 * 480), (200, 150)),
        ((4000, 3000), (0, 0), (4000, 3000)),
    ],
)
def test_examples(size: tuple[int, int], bounds: tuple[int, int], expected: tuple[int, int]) -> None:
    assert fit_size(*size, *bounds) == expected


@given(SIDES, SIDES, st.integers(0, 70_000), st.integers(0, 10**7))
def test_within_the_bounds_never_larger_and_of_the_same_shape(width: int, height: int, side: int, budget: int) -> None:
    new_width, new_height = fit_size(width, height, side, budget)
    assert 1 <= new_width <= width
    assert 1 <= new_height <= height
    assert not side or max(new_width, new_height) <= side
    assert not budget or new_width * new_height <= budget
    assert fit_size(height, width, side, budget) == (new_height, new_width)
    if min(new_width, new_height) > 1:
        # Of the exact size, which scales both sides by the same real number, each is less than two pixels off.
        scale = min(1, side / max(width, height) if side else 1)
        scale = min(scale, math.sqrt(budget / (width * height)) if budget else 1)
        assert abs(new_width - width * scale) < 2 + 2 * new_width / new_height
        assert abs(new_height - height * scale) < 2 + 2 * new_height / new_width
    if (not side or max(width, height) <= side) and (not budget or width * height <= budget):
        assert (new_width, new_height) == (width, height)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "I", "I;16"])
@pytest.mark.parametrize("transparent", [False, True])
def test_bands_give_the_pixels_of_the_whole(mode: str, transparent: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = random.Random(1).randbytes(50 * 37 * 4)
    picture = Image.frombytes("RGBA", (50, 37), noise)
    picture = picture.convert("I").convert(mode) if mode.startswith("I") else picture.convert("RGB").convert(mode)
    if transparent and mode in ("L", "P", "RGB"):
        picture.info["transparency"] = (1, 2, 3) if mode == "RGB" else 3
    whole = encode_module.encode(picture.copy(), picture.size, 0, 90, "4:2:0")
    monkeypatch.setattr(encode_module, "_BAND_PIXELS", 120)
    assert encode_module.encode(picture, picture.size, 0, 90, "4:2:0") == whole
