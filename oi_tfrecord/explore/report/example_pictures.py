"""Cuts small pictures of the most frequent classes out of the images of records, for the page."""

import base64
import contextlib
import functools
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from oi_tfrecord.engine.map_shards import read_with
from oi_tfrecord.images.pixel_budget import DECODED_AT_ONCE
from oi_tfrecord.records.example_reader import (
    Values,
    decode,
    get_bytes,
    get_classes,
    get_numbers,
    parse_example,
)
from oi_tfrecord.records.keys import BBOX_KEYS, ENCODED_KEY, LABEL_CONFIDENCE_KEY, SOURCE_ID_KEY

MOST_CLASSES = 100
"""Classes with pictures; a picture takes some 4 KB of the page."""

PICTURE_SIDE = 112
"""Pixels of the longer side of a picture."""

MARGIN = 0.15
"""Part of the sides of a box that a picture shows around the box."""

Picture = Mapping[str, str]
"""`image_id`, and `source`, a data URI."""

Corners = tuple[float, float, float, float]
"""(xmin, ymin, xmax, ymax), as fractions of the sides of the image."""

_WHOLE: Corners = (0.0, 0.0, 1.0, 1.0)


def choose_wanted(classes: Mapping[str, Sequence[Any]], most: int) -> dict[str, int]:
    """Chooses the classes with pictures, and how many pictures each can have.

    Args:
        classes: columns of the table of classes, see `numbers.SplitNumbers`.
        most: pictures of a class.

    Returns:
        Number of pictures by MID: of the most frequent classes by boxes or, in records without boxes, positive labels.
    """
    column = "images" if any(classes["images"]) else "positive"
    images = dict(zip(classes["mid"], classes[column], strict=True))
    order = sorted((mid for mid in images if images[mid]), key=lambda mid: (-images[mid], mid))
    return {mid: min(most, images[mid]) for mid in order[:MOST_CLASSES]}


def find_pictures(
    shards: Iterable[str], wanted: Mapping[str, int], mid_of: Mapping[int, str]
) -> dict[str, list[Picture]]:
    """Finds pictures in the first records that have them, and reads no further.

    Args:
        shards: paths.
        wanted: number of pictures by MID.
        mid_of: MID of each label map id.

    Returns:
        Pictures by MID; fewer than wanted where images do not decode.

    Raises:
        InputError: at a record that cannot be read.
    """
    found: dict[str, list[Picture]] = {mid: [] for mid in wanted}
    for shard in shards:
        lacking = {mid: wanted[mid] - len(pictures) for mid, pictures in found.items() if len(pictures) < wanted[mid]}
        if not lacking:
            break
        for mid, pictures in read_with(functools.partial(_find_in_records, lacking), shard, mid_of).items():
            found[mid] += pictures
    return {mid: pictures for mid, pictures in found.items() if pictures}


def _find_in_records(
    lacking: Mapping[str, int], records: Iterable[tuple[int, bytes]], mid_of: Mapping[int, str]
) -> dict[str, list[Picture]]:
    found: dict[str, list[Picture]] = {mid: [] for mid in lacking}
    left = dict(lacking)
    for _, data in records:
        for mid, picture in cut_pictures(parse_example(data), frozenset(left), mid_of):
            found[mid].append(picture)
            left[mid] -= 1
            if not left[mid]:
                del left[mid]
        if not left:
            break
    return found


def cut_pictures(
    example: Mapping[str, Values], wanted: frozenset[str], mid_of: Mapping[int, str]
) -> Iterator[tuple[str, Picture]]:
    """Yields (MID, picture) of the wanted classes of a record; none if its image does not decode.

    Args:
        example: what `parse_example` made of the record.
        wanted: MIDs.
        mid_of: MID of each label map id.
    """
    places = {mid: place for mid, place in _find_places(example, mid_of).items() if mid in wanted}
    if not places:
        return
    encoded, image_id = get_bytes(example, ENCODED_KEY), decode(get_bytes(example, SOURCE_ID_KEY))
    # Pillow's readers raise exceptions of several classes for damaged bytes.
    with contextlib.suppress(OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError):
        with Image.open(io.BytesIO(encoded)) as image, DECODED_AT_ONCE.hold(image.width * image.height):
            pixels = image.convert("RGB")
        for mid, place in places.items():
            yield mid, {"image_id": image_id, "source": _cut(pixels, place)}


def _find_places(example: Mapping[str, Values], mid_of: Mapping[int, str]) -> dict[str, Corners]:
    """Returns the largest box of each class or, in a record without keys of boxes, the whole image of its labels."""
    if BBOX_KEYS[0] not in example:
        classes = get_classes(example, "image/class", mid_of)
        confidence = get_numbers(example, LABEL_CONFIDENCE_KEY)
        present = confidence > 0 if len(confidence) == len(classes) else np.ones(len(classes), bool)
        return {mid: _WHOLE for mid, is_there in zip(classes, present.tolist(), strict=True) if is_there}
    ymin, xmin, ymax, xmax = (np.nan_to_num(get_numbers(example, key)) for key in BBOX_KEYS)
    areas = (xmax - xmin) * (ymax - ymin)
    mids = get_classes(example, "image/object/class", mid_of)
    corners = np.stack([xmin, ymin, xmax, ymax], axis=1).tolist()
    # The last of equal keys stays, which is the largest.
    return {mids[index]: tuple(corners[index]) for index in np.argsort(areas, kind="stable") if areas[index] > 0}


def _cut(image: Image.Image, place: Corners) -> str:
    """Returns a part of an image, with a margin, as a data URI."""
    xmin, ymin, xmax, ymax = place
    across, down = MARGIN * (xmax - xmin), MARGIN * (ymax - ymin)
    sides = np.clip([xmin - across, ymin - down, xmax + across, ymax + down], 0, 1)
    left, top, right, bottom = (sides * [image.width, image.height, image.width, image.height]).round().astype(int)
    left, top = min(left, image.width - 1), min(top, image.height - 1)
    part = image.crop((left, top, max(right, left + 1), max(bottom, top + 1)))
    part.thumbnail((PICTURE_SIDE, PICTURE_SIDE))
    out = io.BytesIO()
    part.save(out, "JPEG", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(out.getvalue()).decode()}"
