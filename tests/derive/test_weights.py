import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.dataset.file_names import weights_file
from oi_tfrecord.derive.select_images import ImageBatch
from oi_tfrecord.derive.weights import class_factors, format_weights, image_factors


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8), st.floats(1e-6, 1))
def test_factors_are_those_of_the_formula(counts: list[int], threshold: float) -> None:
    factors = class_factors(np.array(counts), 1000, threshold)
    for count, factor in zip(counts, factors.tolist(), strict=True):
        expected = max(1, math.sqrt(threshold / (count / 1000))) if count else 1
        assert math.isclose(factor, expected, rel_tol=1e-9)


def test_an_image_has_the_highest_factor_of_its_classes() -> None:
    # With t = 0.001, a class in one of 4,000 images is seen twice as often, one in 1,000 not more.
    factors = class_factors(np.array([4000, 4, 1]), 4000, 0.001)
    assert factors.tolist() == [1.0, 1.0, 2.0]
    images = ImageBatch(0, np.arange(3, dtype=np.uint64), np.array([0, 1, 3, 5]), np.array([0, 0, 2, 0, 1]))
    assert image_factors(images, factors).tolist() == [1.0, 2.0, 1.0]
    assert (
        image_factors(ImageBatch(0, np.zeros(0, np.uint64), np.array([0]), np.zeros(0, np.int64)), factors).tolist()
        == []
    )


def test_weights_are_lines_of_csv() -> None:
    assert weights_file("train") == "weights-train.csv"
    assert format_weights(["0000000000000001", "ffffffffffffffff"], [1.0, math.sqrt(2)]) == (
        b"0000000000000001,1.000000\nffffffffffffffff,1.414214\n"
    )


def test_no_images_have_no_shares() -> None:
    assert class_factors(np.array([0, 0]), 0, 0.5).tolist() == [1.0, 1.0]
