"""A detection as a row of a file, and the checks that all forms of files share."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from oi_tfrecord.images.mask_rle import MaskRle

REMEDY = "Write the row as the guide Evaluate describes its form"

SIDES = ("YMin", "XMin", "YMax", "XMax")
"""Columns of the sides of a box, in the order of the boxes here."""


NO_BOX = (0.0, 0.0, 0.0, 0.0)
"""The box of a detection that has a mask only."""


class RowFault(ValueError):
    """A malformed row; the message is the problem."""


class ParsedDetection(NamedTuple):
    """A detection as a file has it.

    Attributes:
        image: ImageID, source id or file name.
        class_name: MID, or `id N` in the forms of files that give label map ids.
        score: finite.
        box: (ymin, xmin, ymax, xmax), normalised or in pixels as the form of the file says.
        mask: of the size of its image; None for a detection of a box.
    """

    image: str
    class_name: str
    score: float
    box: tuple[float, float, float, float] = NO_BOX
    mask: MaskRle | None = None


class DetectionRow(NamedTuple):
    """A detection with its place in the file and its class in the label map.

    Attributes:
        place: line of the CSV or number of the JSON item, from 1.
        label: label map id; 0 for a class that is not in the label map.
        parsed: the detection.
    """

    place: int
    label: int
    parsed: ParsedDetection


def parse_numbers(values: Sequence[Any], names: Sequence[str]) -> tuple[float, ...]:
    """Returns the numbers of texts or of JSON numbers.

    Args:
        values: the texts or numbers.
        names: what each value is, for the fault.

    Raises:
        RowFault: naming the first value that is no finite number.
    """
    try:
        numbers = tuple(map(float, values))
    except (TypeError, ValueError):
        numbers = ()
    if len(numbers) == len(values) and all(map(math.isfinite, numbers)):
        return numbers
    name, value = next((name, value) for name, value in zip(names, values, strict=True) if not _is_finite(value))
    raise RowFault(f"{name} is {value!r}, which is no finite number")


def _is_finite(value: Any) -> bool:
    try:
        return math.isfinite(float(value))
    except (TypeError, ValueError):
        return False


def parse_size(values: Sequence[Any]) -> tuple[int, int]:
    """Returns (width, height) in pixels.

    Raises:
        RowFault: if the values are no positive whole numbers.
    """
    width, height = parse_numbers(values, ("ImageWidth", "ImageHeight"))
    if width < 1 or height < 1 or width % 1 or height % 1:
        raise RowFault(f"the size of the image is {width:g}x{height:g}")
    return int(width), int(height)
