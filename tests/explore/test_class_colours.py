import itertools

import numpy as np
import pytest

from oi_tfrecord.explore.class_colours import (
    PALETTE,
    assign_colours,
    box_labels,
    colour_of,
    format_colour,
    text_colour,
    text_label,
)


def test_the_classes_of_an_image_have_colours_of_their_own() -> None:
    ids = [1, 1 + len(PALETTE), 2, 300]
    colours = assign_colours(ids)
    assert colours[1] == colour_of(1)
    assert len(set(colours.values())) == len(ids)
    assert assign_colours([*ids, 1][::-1]) == colours
    assert len(assign_colours(range(1, 100))) == 99


def test_colours_of_near_ids_are_far_apart() -> None:
    pairs = itertools.combinations(PALETTE[:8], 2)
    assert min(np.linalg.norm(np.subtract(one, other)) for one, other in pairs) > 80


@pytest.mark.parametrize("colour", PALETTE)
def test_text_on_a_colour_can_be_read(colour: tuple[int, int, int]) -> None:
    def luminance(values: tuple[int, int, int]) -> float:
        shares = [value / 255 for value in values]
        linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
        return float(np.dot(linear, (0.2126, 0.7152, 0.0722)))

    low, high = sorted((luminance(colour), luminance(text_colour(colour))))
    assert (high + 0.05) / (low + 0.05) >= 4.5


def test_boxes_without_ids_have_the_numbers_of_their_texts() -> None:
    assert box_labels({"image/object/class/label": np.array([7, 8])}, 2) == [7, 8]
    texts = {"image/object/class/text": [b"/m/a", b"/m/b", b"/m/a"]}
    first, second, third = box_labels(texts, 3)
    assert first == third == text_label(b"/m/a")
    assert second != first
    assert box_labels({}, 2) == [0, 0]


def test_colours_are_written_for_style_sheets() -> None:
    assert format_colour((230, 25, 5)) == "#e61905"
