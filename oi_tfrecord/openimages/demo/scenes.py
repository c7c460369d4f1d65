"""Drawn scenes whose objects, extents and flags are known to the pixel."""

import dataclasses
import enum

import numpy as np
from PIL import Image, ImageDraw

from oi_tfrecord.openimages.demo.drawings import DRAWN_MIDS, draw_group, draw_object


class SceneKind(enum.Enum):
    """A property that a scene must have, whatever the random numbers are."""

    PLAIN = "plain"
    GROUP = "group"
    DEPICTION = "depiction"
    TRUNCATED = "truncated"
    OCCLUDED = "occluded"
    EMPTY = "empty"


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """Pixels at a place: `image` is RGBA with alpha 0 or 255; `left`, `top` may lie outside the scene (pixels)."""

    image: Image.Image
    left: int
    top: int


@dataclasses.dataclass(frozen=True, eq=False)
class SceneObject:
    """One annotated object: its class, its pixels, and the flags that do not follow from the pixels."""

    mid: str
    layer: Layer
    is_group_of: bool = False
    is_depiction: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Scene:
    """A picture before it is rendered.

    `background` is uint8 [height, width, 3]; `noise` int8 of the same shape, added last; `frames` lie under all
    objects and carry no annotation; later `objects` hide earlier ones.
    """

    background: np.ndarray
    noise: np.ndarray
    frames: tuple[Layer, ...]
    objects: tuple[SceneObject, ...]


@dataclasses.dataclass(frozen=True)
class Extent:
    """The visible pixels of one object: xmin <= x < xmax and ymin <= y < ymax, in pixels from the top left."""

    xmin: int
    xmax: int
    ymin: int
    ymax: int
    is_occluded: bool
    is_truncated: bool


_SIDE = (0.24, 0.5)

_TRIES = 200

_MIN_VISIBLE = 0.7


def _background(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Returns uint8 [height, width, 3]: a muted vertical gradient with soft blotches."""
    top, bottom = rng.uniform(90, 200, 2)[:, None] + rng.uniform(-22, 22, (2, 3))
    ramp = np.linspace(0, 1, height)[:, None, None]
    blotches = Image.fromarray(rng.integers(0, 256, (5, 7), dtype=np.uint8)).resize(
        (width, height), Image.Resampling.BICUBIC
    )
    texture = (np.asarray(blotches).astype(np.float64) - 128)[..., None] * rng.uniform(0.05, 0.25)
    return np.clip(top * (1 - ramp) + bottom * ramp + texture, 20, 235).astype(np.uint8)


def _mask(layer: Layer, width: int, height: int) -> np.ndarray:
    """Returns bool [height, width]: where the layer has pixels inside the scene."""
    canvas = Image.new("L", (width, height))
    canvas.paste(layer.image.getchannel("A"), (layer.left, layer.top))
    return np.asarray(canvas) > 0


def _whole_area(layer: Layer) -> int:
    return int(np.count_nonzero(np.asarray(layer.image.getchannel("A"))))


def _place(
    image: Image.Image, kind: SceneKind, whole: list[np.ndarray], visible: list[np.ndarray], rng: np.random.Generator
) -> Layer | None:
    """Finds by chance a place inside the scene, or one that shows `kind` (cut by the edge, hiding part of another).

    `whole` and `visible` are the masks of the objects placed before, after a first one that stands for the scene.
    """
    height, width = whole[0].shape
    over = (image.width // 3, image.height // 3) if kind is SceneKind.TRUNCATED else (0, 0)
    for _ in range(_TRIES):
        left = int(rng.integers(-over[0], width - image.width + over[0] + 1))
        top = int(rng.integers(-over[1], height - image.height + over[1] + 1))
        layer = Layer(image, left, top)
        mask = _mask(layer, width, height)
        inside = np.count_nonzero(mask) / _whole_area(layer)
        if kind is SceneKind.TRUNCATED and not 0.6 <= inside <= 0.95:
            continue
        if kind is SceneKind.OCCLUDED and np.count_nonzero(whole[-1] & mask) < 0.08 * np.count_nonzero(whole[-1]):
            continue
        if all(
            np.count_nonzero(seen & ~mask) >= _MIN_VISIBLE * np.count_nonzero(all_of)
            for seen, all_of in zip(visible[1:], whole[1:], strict=True)
        ):
            return layer
    return None


def _frame_around(layer: Layer, rng: np.random.Generator) -> Layer:
    """Returns a picture frame (with the paper inside it) that surrounds `layer`."""
    margin = max(8, layer.image.width // 8)
    frame = Image.new("RGBA", (layer.image.width + 2 * margin, layer.image.height + 2 * margin), (60, 45, 35, 255))
    rim = margin // 2
    paper = (*(int(v) for v in rng.integers(205, 240, 3)), 255)
    ImageDraw.Draw(frame).rectangle((rim, rim, frame.width - 1 - rim, frame.height - 1 - rim), fill=paper)
    return Layer(frame, layer.left - margin, layer.top - margin)


def compose_scene(rng: np.random.Generator, kind: SceneKind = SceneKind.PLAIN) -> Scene:
    """Composes a scene of one to five objects (none for `EMPTY`), each 15 to 50 % of the shorter side.

    No object loses more than 30 % of its pixels to another, nor more than 40 % to the edge.

    Args:
        rng: the source of all chance; the same state gives the same scene.
        kind: what the scene must show.

    Returns:
        The scene, 320 to 400 by 240 to 300 pixels, one in five upright.
    """
    size = (int(rng.integers(320, 401)), int(rng.integers(240, 301)))
    width, height = size if rng.random() < 0.8 else size[::-1]
    short = min(width, height)
    background = _background(width, height, rng)
    noise = np.clip(np.rint(rng.normal(0, 4, (height, width, 3))), -12, 12).astype(np.int8)
    object_count = 0 if kind is SceneKind.EMPTY else int(rng.integers(2 if kind is SceneKind.OCCLUDED else 1, 6))
    frames: list[Layer] = []
    objects: list[SceneObject] = []
    whole = [np.ones((height, width), dtype=bool)]
    visible = list(whole)
    for number in range(object_count):
        mid = DRAWN_MIDS[int(rng.integers(len(DRAWN_MIDS)))]
        grouped = kind is SceneKind.GROUP and number == 0
        depicted = kind is SceneKind.DEPICTION and number == 0
        cut = kind is SceneKind.TRUNCATED and number == 0
        hiding = kind is SceneKind.OCCLUDED and number == 1
        by_chance = SceneKind.TRUNCATED if kind is SceneKind.PLAIN and rng.random() < 0.08 else SceneKind.PLAIN
        image = (
            draw_group(mid, short * _SIDE[1], rng) if grouped else draw_object(mid, short * rng.uniform(*_SIDE), rng)
        )
        layer = _place(image, kind if cut or hiding else by_chance, whole, visible, rng)
        if layer is None:
            continue
        mask = _mask(layer, width, height)
        whole.append(mask)
        visible = [*(seen & ~mask for seen in visible), mask]
        objects.append(SceneObject(mid, layer, is_group_of=grouped, is_depiction=depicted))
        if depicted:
            frames.append(_frame_around(layer, rng))
    return Scene(background, noise, tuple(frames), tuple(objects))


def render(scene: Scene, leave_out: int | None = None) -> Image.Image:
    """Renders a scene.

    Args:
        scene: what to draw.
        leave_out: index of an object that is not drawn, though its frame is; shows which pixels are its own.

    Returns:
        The picture, mode RGB.
    """
    canvas = Image.fromarray(scene.background)
    shown = [thing.layer for i, thing in enumerate(scene.objects) if i != leave_out]
    for layer in (*scene.frames, *shown):
        canvas.paste(layer.image, (layer.left, layer.top), layer.image)
    return Image.fromarray(np.clip(np.asarray(canvas).astype(np.int16) + scene.noise, 0, 255).astype(np.uint8))


def _whole_masks(scene: Scene) -> list[np.ndarray]:
    """Returns bool [height, width] for each object: where it has pixels inside the scene, hidden or not."""
    height, width = scene.background.shape[:2]
    return [_mask(thing.layer, width, height) for thing in scene.objects]


def visible_masks(scene: Scene) -> list[np.ndarray]:
    """Returns bool [height, width] for each object: its pixels that no later object hides."""
    masks = _whole_masks(scene)
    hidden = np.zeros(scene.background.shape[:2], bool)
    visible = []
    for mask in reversed(masks):
        visible.append(mask & ~hidden)
        hidden |= mask
    return visible[::-1]


def extents(scene: Scene) -> list[Extent]:
    """Returns the visible extent of each object of a scene, in the order of `scene.objects`.

    An object counts as occluded when a later one covers any of its pixels, and as truncated when it reaches beyond
    the picture (the published meaning of IsOccluded and IsTruncated, README of Open Images V3, "Bounding boxes").
    """
    found = []
    for thing, mask, seen in zip(scene.objects, _whole_masks(scene), visible_masks(scene), strict=True):
        columns, rows = np.flatnonzero(seen.any(axis=0)), np.flatnonzero(seen.any(axis=1))
        found.append(
            Extent(
                xmin=int(columns[0]),
                xmax=int(columns[-1]) + 1,
                ymin=int(rows[0]),
                ymax=int(rows[-1]) + 1,
                is_occluded=bool(np.count_nonzero(seen) < np.count_nonzero(mask)),
                is_truncated=bool(np.count_nonzero(mask) < _whole_area(thing.layer)),
            )
        )
    return found
