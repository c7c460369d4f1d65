"""Makes the PNG of a segmentation mask for a record: of the image's size, 1 within the object, 0 elsewhere.

The Object Detection API takes every value above 0 for the object (data_decoders/tf_example_decoder.py,
`_decode_png_instance_masks`), but Model Garden takes the values as they are (official/vision/dataloaders/
tf_example_decoder.py, `_decode_masks`), so they are 0 and 1, as dataset_tools/create_coco_tf_record.py writes them.
"""

import dataclasses
import functools
import io
from typing import TYPE_CHECKING

import numpy as np

from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.reasons import Reject

if TYPE_CHECKING:
    from PIL import Image

_SIGNATURE = b"\x89PNG\r\n\x1a\n"

_OBJECT = [0] + [1] * 255

_PALETTE = [0, 0, 0, 1, 1, 1]


@dataclasses.dataclass(frozen=True, slots=True)
class ImageMasks:
    """The masks of an image that are written.

    Attributes:
        boxes: indices, ascending, of the boxes with a mask among the boxes of the image.
        encoded: the PNG of each.
        weights: 1.0 for a mask, 0.0 for an empty one in place of a missing mask; None if none is missing.
    """

    boxes: tuple[int, ...]
    encoded: tuple[bytes, ...]
    weights: tuple[float, ...] | None = None


def prepare_mask(png: bytes, width: int, height: int, angle: int = 0, max_pixels: int = 178_956_970) -> bytes:
    """Makes the mask of a box for a record. Safe to call from several threads.

    Args:
        png: the published file; pixels that are not 0 (apart from alpha) belong to the object.
        width: of the image in the record, in pixels.
        height: of the image in the record, in pixels.
        angle: turn of the image, 0, 90, 180 or 270 degrees counter-clockwise; width and height are those after it.
        max_pixels: largest width times height accepted, checked before anything is decoded.

    Returns:
        PNG of `width` times `height` pixels with one bit each and a palette of the values 0 and 1. A mask of another
        size is resampled to the nearest pixel. The same bytes and Pillow build give the same result.

    Raises:
        ImageRejected: the bytes are no PNG, too large, cut off or broken.
    """
    from PIL import Image

    mask = _decode(png, max_pixels)
    if mask.mode not in ("1", "L", "I", "I;16", "I;16B"):
        # Any channel of a coloured pixel may show the object.
        red, green, blue = mask.convert("RGB").split()
        mask = functools.reduce(_lighter, (green, blue), red)
    elif mask.mode.startswith("I"):
        mask = mask.convert("I").point([0] + [255] * 65535, "L")
    mask = mask.convert("L").point(_OBJECT)
    if angle:
        turns = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
        mask = mask.transpose(turns[angle])
    if mask.size != (width, height):
        mask = _sample(mask, width, height)
    return _encode(mask)


@functools.lru_cache(64)
def empty_mask(width: int, height: int) -> bytes:
    """Returns a mask without an object in the format of `prepare_mask`; width and height are in pixels."""
    from PIL import Image

    return _encode(Image.new("L", (width, height)))


def _sample(mask: "Image.Image", width: int, height: int) -> "Image.Image":
    from PIL import Image

    # Pillow adds up a rounded step, which picks another pixel where the middle lies between two pixels.
    rows = (2 * np.arange(height) + 1) * mask.height // (2 * height)
    columns = (2 * np.arange(width) + 1) * mask.width // (2 * width)
    return Image.fromarray(np.asarray(mask)[rows].take(columns, axis=1))


def _lighter(first: "Image.Image", second: "Image.Image") -> "Image.Image":
    from PIL import ImageChops

    return ImageChops.lighter(first, second)


def _decode(png: bytes, max_pixels: int) -> "Image.Image":
    from PIL import PngImagePlugin

    if not png:
        raise ImageRejected(Reject.IMAGE_EMPTY, "the file has no bytes")
    if not png.startswith(_SIGNATURE):
        raise ImageRejected(Reject.NOT_AN_IMAGE, f"is no PNG, first bytes {png[:16]!r}")
    try:
        # The reader is called directly, as `Image.open` warns about large images through process-wide state.
        mask = PngImagePlugin.PngImageFile(io.BytesIO(png))
        if mask.width * mask.height > max_pixels:
            detail = f"{mask.width}x{mask.height} pixels, more than {max_pixels}"
            raise ImageRejected(Reject.IMAGE_TOO_LARGE, detail)
        mask.load()
    except (ImageRejected, ImportError, MemoryError):
        raise
    # Pillow's readers raise exceptions of many classes for damaged bytes.
    except Exception as error:
        reason = Reject.IMAGE_CUT_OFF if png.rfind(b"IEND") < 0 else Reject.IMAGE_BROKEN
        raise ImageRejected(reason, f"PNG: {error or type(error).__name__}") from error
    return mask


def _encode(mask: "Image.Image") -> bytes:
    # With a palette of 0 and 1, Pillow stores a bit per pixel, in a third of the time and two thirds of the bytes of a
    # grayscale PNG. Readers of indices and readers of colours get the same numbers.
    mask.putpalette(_PALETTE)
    buffer = io.BytesIO()
    mask.save(buffer, "PNG")
    return buffer.getvalue()
