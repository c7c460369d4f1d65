"""Drawings of single objects, of which sample scenes are composed."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[int, int, int]

Points = Sequence[tuple[float, float]]


@dataclasses.dataclass(frozen=True)
class _Shape:
    """How a class looks: parts drawn in order in the unit square, then turned.

    Attributes:
        aspect: range of width / height before the turn.
        tilt: largest turn in degrees.
        parts: (ImageDraw method, its points in the unit square, its colour) of each part.
    """

    aspect: tuple[float, float]
    tilt: int
    parts: tuple[tuple[str, Points, Colour], ...]


_RED, _BROWN, _GREEN, _STEEL, _CARDBOARD = (215, 35, 40), (95, 60, 30), (35, 110, 40), (70, 75, 85), (110, 75, 40)

_FIR, _GLASS = (0, 95, 65), (90, 150, 215)

_BALL = (
    ("ellipse", ((0, 0), (1, 1)), _RED),
    ("ellipse", ((0.3, 0), (0.7, 1)), (240, 240, 235)),
    ("ellipse", ((0.42, 0), (0.58, 1)), _RED),
)

_BOX = (
    ("rectangle", ((0, 0), (1, 1)), _CARDBOARD),
    ("rectangle", ((0.05, 0.05), (0.95, 0.95)), (195, 150, 95)),
    ("rectangle", ((0.42, 0.05), (0.58, 0.95)), (230, 205, 150)),
    ("rectangle", ((0.05, 0.3), (0.95, 0.34)), _CARDBOARD),
)

_TREE = (
    ("rectangle", ((0.42, 0.55), (0.58, 1)), _BROWN),
    ("ellipse", ((0, 0.2), (0.6, 0.7)), _GREEN),
    ("ellipse", ((0.4, 0.2), (1, 0.7)), _GREEN),
    ("ellipse", ((0.18, 0), (0.82, 0.55)), (50, 135, 50)),
)

_BAUBLES = ((0.3, 0.8), (0.6, 0.75), (0.42, 0.55), (0.64, 0.55), (0.5, 0.3), (0.75, 0.84))

_CHRISTMAS_TREE = (
    ("rectangle", ((0.44, 0.85), (0.56, 1)), _BROWN),
    ("polygon", ((0.5, 0.45), (0, 0.9), (1, 0.9)), _FIR),
    ("polygon", ((0.5, 0.25), (0.1, 0.65), (0.9, 0.65)), _FIR),
    ("polygon", ((0.5, 0.05), (0.22, 0.4), (0.78, 0.4)), _FIR),
    *(("ellipse", ((x - 0.05, y - 0.03), (x + 0.05, y + 0.03)), _RED) for x, y in _BAUBLES),
    ("polygon", ((0.5, 0), (0.38, 0.07), (0.5, 0.14), (0.62, 0.07)), (250, 215, 40)),
)

_HOUSE = (
    ("rectangle", ((0.08, 0.4), (0.92, 1)), (240, 225, 190)),
    ("polygon", ((0.5, 0), (0, 0.42), (1, 0.42)), (150, 55, 45)),
    ("rectangle", ((0.42, 0.65), (0.6, 1)), (90, 55, 35)),
    ("rectangle", ((0.16, 0.52), (0.32, 0.7)), _GLASS),
    ("rectangle", ((0.68, 0.52), (0.84, 0.7)), _GLASS),
)

_KITE = (
    ("line", ((0.5, 0.6), (0.35, 0.75), (0.6, 0.87), (0.45, 1)), (60, 30, 90)),
    ("polygon", ((0.5, 0), (0, 0.28), (0.5, 0.65)), (125, 40, 175)),
    ("polygon", ((0.5, 0), (1, 0.28), (0.5, 0.65)), (55, 190, 225)),
)

_STAR = tuple(
    (0.5 + radius * math.sin(i * math.pi / 5), 0.5 - radius * math.cos(i * math.pi / 5))
    for i, radius in enumerate((0.5, 0.22) * 5)
)

_STARFISH = (("polygon", _STAR, (240, 140, 25)), ("ellipse", ((0.4, 0.4), (0.6, 0.6)), (250, 190, 90)))

_HAMMER = (
    ("rectangle", ((0.4, 0.2), (0.6, 1)), (205, 165, 80)),
    ("rectangle", ((0.1, 0), (1, 0.28)), _STEEL),
    ("polygon", ((0, 0.2), (0.2, 0), (0.2, 0.28)), _STEEL),
)

_SHAPES = {
    "/m/018xm": _Shape((1, 1), 45, _BALL),
    "/m/025dyy": _Shape((0.85, 1.3), 0, _BOX),
    "/m/07j7r": _Shape((0.75, 1), 0, _TREE),
    "/m/025nd": _Shape((0.65, 0.8), 0, _CHRISTMAS_TREE),
    "/m/03jm5": _Shape((0.9, 1.3), 0, _HOUSE),
    "/m/02zt3": _Shape((0.65, 0.8), 25, _KITE),
    "/m/01h8tj": _Shape((1, 1), 36, _STARFISH),
    "/m/03l9g": _Shape((0.65, 0.8), 40, _HAMMER),
}

DRAWN_MIDS = tuple(_SHAPES)
"""MIDs of the classes that can be drawn."""


def _crop(image: Image.Image) -> Image.Image:
    return image.crop(image.getchannel("A").getbbox())


def draw_object(mid: str, side: float, rng: np.random.Generator) -> Image.Image:
    """Draws one object of class `mid` whose longer side is at most `side` pixels, cropped to its pixels."""
    shape = _SHAPES[mid]
    aspect = rng.uniform(*shape.aspect)
    image = Image.new("RGBA", (round(side * min(aspect, 1)), round(side / max(aspect, 1))))
    draw = ImageDraw.Draw(image)
    for kind, points, colour in shape.parts:
        # Hard edges, not anti-aliased ones: they make an extent exact.
        fill = tuple(np.clip(np.add(colour, rng.integers(-18, 19, 3)), 0, 255).tolist())
        pixels = [(x * (image.width - 1), y * (image.height - 1)) for x, y in points]
        thickness = {"width": max(2, image.width // 20)} if kind == "line" else {}
        getattr(draw, kind)(pixels, fill=fill, **thickness)
    image = _crop(image.rotate(rng.uniform(-shape.tilt, shape.tilt), expand=True))
    if max(image.size) > side:
        image.thumbnail((math.floor(side), math.floor(side)), Image.Resampling.NEAREST)
        image = _crop(image)
    grain = np.asarray(image).astype(np.int16)
    grain[..., :3] += rng.integers(-8, 9, (*grain.shape[:2], 1), dtype=np.int16)
    return Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))


def draw_group(mid: str, side: float, rng: np.random.Generator) -> Image.Image:
    """Draws six to nine touching objects of one class (the published IsGroupOf means more than five)."""
    count = int(rng.integers(6, 10))
    image = Image.new("RGBA", (round(side), round(side)))
    step = side * 0.26
    for i in range(count):
        x, y = np.array([i % 3, i // 3]) * step + rng.uniform(0, 0.04 * side, 2)
        member = draw_object(mid, side * 0.44, rng)
        image.paste(member, (round(x), round(y)), member)
    return _crop(image)
