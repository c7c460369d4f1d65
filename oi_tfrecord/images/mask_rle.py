"""Masks as run lengths: the form in which the official programs exchange them, and in which overlaps are measured.

Formats: the compressed run lengths of COCO (pycocotools, common/maskApi.c), and the text of the Open Images challenge,
base64(zlib(run lengths)) (storage.googleapis.com/openimages/web/challenge2019.html, "Evaluation").
"""

import base64
import dataclasses
import io
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from oi_tfrecord.storage.optional_imports import import_optional


class MaskTextError(ValueError):
    """A text that is no mask."""


@dataclasses.dataclass(frozen=True, slots=True)
class MaskRle:
    """A mask.

    Attributes:
        width: of the image, in pixels.
        height: of the image, in pixels.
        counts: run lengths of COCO, down each column, compressed.
    """

    width: int
    height: int
    counts: bytes


def encode_png(png: bytes) -> MaskRle:
    """Returns the mask of a PNG of a record: pixels above 0 belong to the object."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as picture:
        return encode_mask(np.asarray(picture) > 0)


def encode_mask(mask: np.ndarray) -> MaskRle:
    """Returns a mask (bool or uint8 [height, width], above 0 within the object) as run lengths."""
    height, width = mask.shape
    encoded = load_hotcoco().mask.encode(np.asfortranarray(mask, np.uint8))
    return MaskRle(width, height, encoded["counts"])


def parse_counts(counts: str, width: int, height: int) -> MaskRle:
    """Returns the mask of compressed run lengths.

    Args:
        counts: text of `counts` in COCO's form.
        width: of the image, in pixels.
        height: of the image, in pixels.

    Raises:
        MaskTextError: if the text holds no run lengths, or more pixels than the image.
    """
    mask = MaskRle(width, height, counts.encode("utf-8", "replace"))
    if not counts:
        raise MaskTextError("the run lengths are empty")
    try:
        load_hotcoco().mask.area(_to_coco(mask))
    except (ValueError, OverflowError) as error:
        raise MaskTextError(str(error).removeprefix("invalid RLE: ")) from error
    return mask


def compress_counts(counts: Sequence[int], width: int, height: int) -> MaskRle:
    """Returns the mask of run lengths as numbers, down each column, the first outside of the object.

    Raises:
        MaskTextError: if a number is no run length, or the sum is not the number of pixels of the image.
    """
    if not all(type(count) is int and count >= 0 for count in counts) or sum(counts) != width * height:
        raise MaskTextError(f"the run lengths do not add up to {width}x{height} pixels")
    encoded = load_hotcoco().mask.fr_py_objects({"size": [height, width], "counts": list(counts)}, height, width)
    return MaskRle(width, height, encoded["counts"])


def parse_challenge_text(text: str, width: int, height: int) -> MaskRle:
    """Returns the mask of a text of the challenge; see `parse_counts`."""
    try:
        counts = zlib.decompress(base64.b64decode(text, validate=True))
    except (ValueError, zlib.error) as error:
        raise MaskTextError(f"the mask is not base64(zlib(run lengths)): {error}") from error
    return parse_counts(counts.decode("ascii", "replace"), width, height)


def format_challenge_text(mask: MaskRle) -> str:
    """Returns a mask as text of the challenge."""
    return base64.b64encode(zlib.compress(mask.counts, zlib.Z_BEST_COMPRESSION)).decode()


def measure_areas(masks: Sequence[MaskRle]) -> np.ndarray:
    """Returns the number of pixels of each mask, int64 [n]."""
    return np.array([load_hotcoco().mask.area(_to_coco(mask)) for mask in masks], np.int64)


def find_boxes(masks: Sequence[MaskRle]) -> np.ndarray:
    """Returns the tight box of each mask, float64 [n, 4] (ymin, xmin, ymax, xmax), normalised; zeros if empty."""
    boxes = np.zeros((len(masks), 4))
    for place, mask in enumerate(masks):
        x, y, width, height = load_hotcoco().mask.to_bbox(_to_coco(mask))
        sides = (y / mask.height, x / mask.width, (y + height) / mask.height, (x + width) / mask.width)
        boxes[place] = sides if width and height else 0
    return boxes


def measure_iou(masks: Sequence[MaskRle], others: Sequence[MaskRle]) -> np.ndarray:
    """Returns intersection over union of masks of one image size, float64 [masks, others]."""
    return _measure(masks, others, over_own_area=False)


def measure_ioa(masks: Sequence[MaskRle], others: Sequence[MaskRle]) -> np.ndarray:
    """Returns intersection over the area of the mask of `masks`, float64 [masks, others]."""
    return _measure(masks, others, over_own_area=True)


def _measure(masks: Sequence[MaskRle], others: Sequence[MaskRle], over_own_area: bool) -> np.ndarray:
    if not masks or not others:
        return np.zeros((len(masks), len(others)))
    flags = [int(over_own_area)] * len(others)
    measured: np.ndarray = load_hotcoco().mask.iou(list(map(_to_coco, masks)), list(map(_to_coco, others)), flags)
    return measured


def _to_coco(mask: MaskRle) -> dict[str, Any]:
    return {"size": [mask.height, mask.width], "counts": mask.counts}


def load_hotcoco() -> Any:
    """Imports hotcoco, which measures masks and computes the metrics of COCO.

    Raises:
        ConfigError: if hotcoco is not installed.
    """
    need = "their run lengths, and the metrics of COCO, need hotcoco"
    return import_optional("hotcoco", extra="evaluate", field="masks", need=need)
