"""Draws the boxes of a record on its image."""

import contextlib
import dataclasses
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from oi_tfrecord.explore.class_colours import Colour, assign_colours, box_labels, text_colour
from oi_tfrecord.images.mask_png import read_mask, sample_mask
from oi_tfrecord.records.example_reader import Values
from oi_tfrecord.records.keys import BBOX_KEYS, MASK_KEY, flag_key

if TYPE_CHECKING:
    from PIL import Image, ImageDraw, ImageFont

_OPACITY = 0.45
"""Of the colour of a mask."""

_FLAGS = {
    "group_of": "group",
    "occluded": "occluded",
    "truncated": "truncated",
    "depiction": "depiction",
    "inside": "inside",
}


@dataclasses.dataclass(frozen=True)
class DrawnBox:
    """A box to draw.

    Attributes:
        ymin, xmin, ymax, xmax: its sides, as fractions of the image's height and width from the top left corner.
        label: number of its class, for the colour.
        text: label of the box.
        mask: pixels of its object, uint8 [height, width]; empty without a mask.
    """

    ymin: float
    xmin: float
    ymax: float
    xmax: float
    label: int
    text: str
    mask: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 0), np.uint8), compare=False)


def boxes_of(features: Mapping[str, Values], names: Sequence[str]) -> list[DrawnBox]:
    """Returns the boxes of a record.

    Args:
        features: what `parse_example` made of it.
        names: name of the class of each box; boxes without a name get a question mark.

    Returns:
        The boxes; none if the record has no four lists of sides of the same length.
    """
    sides = [side.tolist() for key in BBOX_KEYS if isinstance(side := features.get(key), np.ndarray)]
    if len(sides) != len(BBOX_KEYS) or len(set(map(len, sides))) > 1:
        return []
    ymin, xmin, ymax, xmax = sides
    count = len(ymin)
    numbers = box_labels(features, count)
    boxes = []
    for index in range(count):
        flags = [word for flag, word in _FLAGS.items() if _is_set(features.get(flag_key(flag)), index)]
        name = names[index] if index < len(names) else "?"
        text = f"{name} ({', '.join(flags)})" if flags else name
        sides_of_box = (ymin[index], xmin[index], ymax[index], xmax[index])
        boxes.append(DrawnBox(*sides_of_box, numbers[index], text, _read_mask(features, index)))
    return boxes


def _read_mask(features: Mapping[str, Values], index: int) -> np.ndarray:
    """Returns the mask of a box; an empty array where the record has none that can be read."""
    pngs = features.get(MASK_KEY)
    if isinstance(pngs, list) and index < len(pngs):
        # Pillow's readers raise exceptions of several classes for damaged bytes.
        with contextlib.suppress(OSError, ValueError, SyntaxError):
            return read_mask(pngs[index])
    return np.zeros((0, 0), np.uint8)


def draw_boxes(encoded: bytes, boxes: Sequence[DrawnBox]) -> bytes:
    """Draws boxes on an image.

    Args:
        encoded: the image of the record.
        boxes: the boxes, in any order; large ones are drawn first, so that small ones stay visible.

    Returns:
        A PNG.

    Raises:
        OSError: if the image does not decode.
    """
    from PIL import Image, ImageDraw, ImageFont

    # The EXIF orientation is ignored: boxes refer to the stored pixels.
    picture: Image.Image = Image.open(io.BytesIO(encoded))
    # `convert` would copy an image that is RGB already.
    picture = shade_masks(picture if picture.mode == "RGB" else picture.convert("RGB"), boxes)
    draw = ImageDraw.Draw(picture)
    colours = assign_colours(box.label for box in boxes)
    line = max(2, round(max(picture.size) / 400))
    font = ImageFont.load_default(max(12, round(max(picture.size) / 60)))
    for box in _order(boxes):
        corners = _corners(box, picture.size)
        draw.rectangle(corners, outline=colours[box.label], width=line)
        _draw_badge(draw, box.text, corners, picture.size, colours[box.label], font)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def outline_boxes(picture: "Image.Image", boxes: Sequence[DrawnBox]) -> None:
    """Draws the outlines of boxes on an RGB picture, for a picture that is too small for names."""
    from PIL import ImageDraw

    draw = ImageDraw.Draw(picture)
    colours = assign_colours(box.label for box in boxes)
    for box in _order(boxes):
        draw.rectangle(_corners(box, picture.size), outline=colours[box.label], width=2)


def shade_masks(picture: "Image.Image", boxes: Sequence[DrawnBox]) -> "Image.Image":
    """Returns an RGB picture with the pixels of each mask in the colour of its class, half transparent."""
    from PIL import Image

    masked = [box for box in boxes if box.mask.size]
    if not masked:
        picture.load()
        return picture
    colours = assign_colours(box.label for box in boxes)
    pixels = np.array(picture)
    for box in masked:
        is_object = sample_mask(box.mask, picture.width, picture.height) > 0
        pixels[is_object] = (1 - _OPACITY) * pixels[is_object] + _OPACITY * np.array(colours[box.label])
    return Image.fromarray(pixels)


def _order(boxes: Sequence[DrawnBox]) -> list[DrawnBox]:
    """Returns boxes with the large ones first, so that small ones stay visible."""
    return sorted(boxes, key=lambda box: -(box.xmax - box.xmin) * (box.ymax - box.ymin))


def _corners(box: DrawnBox, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Returns left, top, right and bottom of a box in pixels, within the picture."""
    width, height = size
    # Damaged records may have any values here.
    values = np.nan_to_num([box.xmin * width, box.ymin * height, box.xmax * width, box.ymax * height], nan=0.0)
    left, right = sorted(np.clip(values[[0, 2]], 0, width - 1).tolist())
    top, bottom = sorted(np.clip(values[[1, 3]], 0, height - 1).tolist())
    return left, top, right, bottom


def _draw_badge(
    draw: "ImageDraw.ImageDraw",
    text: str,
    corners: tuple[float, float, float, float],
    size: tuple[int, int],
    colour: Colour,
    font: "ImageFont.FreeTypeFont | ImageFont.ImageFont",
) -> None:
    left, top, _, _ = corners
    _, text_top, text_right, text_bottom = draw.textbbox((0, 0), text, font=font)
    text_width, text_height = text_right + 6, text_bottom - text_top + 6
    x = min(left, max(0, size[0] - text_width))
    # Above the box where there is room, else inside it.
    y = top - text_height if top >= text_height else top
    draw.rectangle((x, y, x + text_width, y + text_height), fill=colour)
    draw.text((x + 3, y + 3 - text_top), text, fill=text_colour(colour), font=font)


def _is_set(values: Values, index: int) -> bool:
    return isinstance(values, np.ndarray) and index < len(values) and values[index] == 1
