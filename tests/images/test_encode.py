import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
