"""The colours of classes, the same in `show --png` and in the browser."""

import zlib
from collections.abc import Iterable, Mapping

import numpy as np

from oi_tfrecord.records.example_reader import Values
from oi_tfrecord.records.keys import BOX_LABEL_KEY, BOX_TEXT_KEY

Colour = tuple[int, int, int]
"""Red, green, blue, 0 to 255."""

PALETTE: tuple[Colour, ...] = (
    (230, 25, 75),
    (60, 180, 75),
    (255, 225, 25),
    (67, 99, 216),
    (245, 130, 49),
    (66, 212, 244),
    (240, 50, 230),
    (145, 30, 180),
    (191, 239, 69),
    (250, 190, 212),
    (70, 153, 144),
    (220, 190, 255),
    (154, 99, 36),
    (170, 255, 195),
    (128, 0, 0),
    (255, 250, 200),
    (128, 128, 0),
    (0, 0, 117),
)
"""Colours that are far apart, the first ones the farthest.

Source: "List of 20 simple, distinct colors" by Sasha Trubetskoy, without white, black and grey.
"""


def colour_of(label: int) -> Colour:
    """Returns the colour of a class by its label map id, from 1; the ids give the ranks of the classes."""
    return PALETTE[(label - 1) % len(PALETTE)]


def assign_colours(labels: Iterable[int]) -> dict[int, Colour]:
    """Returns the colour of each class of an image: its own, or the next free colour where another class has the same.

    Args:
        labels: label map ids of the classes, in any order; the lower id keeps its colour.
    """
    colours: dict[int, Colour] = {}
    for label in sorted(set(labels)):
        first = (label - 1) % len(PALETTE)
        free = (colour for colour in PALETTE[first:] + PALETTE[:first] if colour not in colours.values())
        colours[label] = next(free, colour_of(label))
    return colours


def format_colour(colour: Colour) -> str:
    """Returns a colour as style sheets write colours, such as `#e6194b`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def text_colour(colour: Colour) -> Colour:
    """Returns black or white, whichever has the higher contrast on a colour: always 4.5 or more.

    Source: relative luminance and contrast of WCAG 2.2.
    """
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in _shares(colour)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (0, 0, 0) if (luminance + 0.05) ** 2 > 0.05 * 1.05 else (255, 255, 255)


def box_labels(features: Mapping[str, Values], count: int) -> list[int]:
    """Returns a number for the class of each box: its label map id, or a number made of its text without ids.

    Args:
        features: what `parse_example` made of the record.
        count: number of boxes.
    """
    labels, texts = features.get(BOX_LABEL_KEY), features.get(BOX_TEXT_KEY)
    if isinstance(labels, np.ndarray) and len(labels) == count:
        return [int(label) for label in labels.tolist()]
    if isinstance(texts, list) and len(texts) == count:
        return [text_label(text) for text in texts]
    return [0] * count


def text_label(text: bytes) -> int:
    """Returns the number that stands for a class without a label map id."""
    return zlib.crc32(text)


def _shares(colour: Colour) -> list[float]:
    return [value / 255 for value in colour]
