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

ROUNDING = 2
"""Pixels by which a side of an image or mask may differ from its exact length: two roundings, each below one pixel."""

_PALETTE = [0, 0, 0, 1, 1, 1]


@dataclasses.dataclass(frozen=True, slots=True)
class ImageMasks:
    """The masks of an image that are written.

    Attributes:
        boxes: indices, ascending, of the boxes with a mask among the boxes of the image.
        encoded: the PNG of each.
        rows: the row of the mask table of each, -1 for a box without a mask.
        weights: 1.0 for a mask, 0.0 for an empty one in place of a missing mask; None if boxes without a mask are
            left out.
    """

    boxes: tuple[int, ...]
    encoded: tuple[bytes, ...]
    rows: tuple[int, ...]
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
        ImageRejected: the bytes are no PNG, too large, cut off or broken; or the mask has another shape than the image,
            or no pixel of an object.
    """
    from PIL import Image

    mask = _decode(png, max_pixels)
    stored_size = (height, width) if angle in (90, 270) else (width, height)
    if not is_scaled_alike(mask.size, stored_size):
        detail = f"{mask.width}x{mask.height} pixels, which is no scaled {stored_size[0]}x{stored_size[1]} of the image"
        raise ImageRejected(Reject.MASK_OTHER_SHAPE, detail)
    if mask.mode not in ("1", "L", "I", "I;16", "I;16B"):
        # Any channel of a coloured pixel may show the object.
        red, green, blue = mask.convert("RGB").split()
        mask = functools.reduce(_lighter, (green, blue), red)
    elif mask.mode.startswith("I"):
        mask = mask.convert("I").point([0] + [255] * 65535, "L")
    mask = mask.convert("L").point(_OBJECT)
    if mask.getbbox() is None:
        raise ImageRejected(Reject.MASK_EMPTY, f"all {mask.width}x{mask.height} pixels are 0")
    if angle:
        turns = {90: Image.Transpose.ROTATE_90, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_270}
        mask = mask.transpose(turns[angle])
    if mask.size != (width, height):
        mask = _sample(mask, width, height)
    return _encode(mask)


def is_scaled_alike(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Returns whether two sizes, (width, height) in pixels, can be scaled copies of one image.

    Published masks have a longer side of up to 1,600 pixels, and images of 1,024 (github.com/openimages/dataset,
    issue 92). Both were scaled from the original, and each side was rounded to a whole pixel, up or down, by less than
    one pixel; `image_mode=resize` scales and rounds a second time. So a side misses its exact length by less than
    ROUNDING pixels, and the ratio of the sides lies between (width - ROUNDING) / (height + ROUNDING) and (width +
    ROUNDING) / (height - ROUNDING). The sizes agree if these intervals of the two overlap.
    """
    return _may_be_narrower(size, other) and _may_be_narrower(other, size)


def _may_be_narrower(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Returns whether the least ratio of the sides of `size` is at most the greatest one of `other`."""
    (width, height), (other_width, other_height) = size, other
    least_width, most_height = max(width - ROUNDING, 0), height + ROUNDING
    most_width, least_height = other_width + ROUNDING, max(other_height - ROUNDING, 0)
    return least_width * least_height <= most_width * most_height


@functools.lru_cache(64)
def empty_mask(width: int, height: int) -> bytes:
    """Returns a mask without an object in the format of `prepare_mask`; width and height are in pixels."""
    from PIL import Image

    return _encode(Image.new("L", (width, height)))


def read_mask(png: bytes) -> np.ndarray:
    """Returns the pixels of a mask of a record, ours or a third-party one: uint8 [height, width], 1 in the object."""
    from PIL import Image

    with Image.open(io.BytesIO(png)) as mask:
        # The numbers of a palette are those of the record's mask; they are no colours.
        pixels = np.asarray(mask if mask.mode in ("1", "L", "P") else mask.convert("L"))
    return (pixels > 0).astype(np.uint8)


def sample_mask(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Returns a mask [height, width] in another size: each pixel is that of the source in which its middle lies."""
    # Pillow adds up a rounded step, which picks another pixel where the middle lies between two pixels.
    rows = (2 * np.arange(height) + 1) * pixels.shape[0] // (2 * height)
    columns = (2 * np.arange(width) + 1) * pixels.shape[1] // (2 * width)
    return pixels[rows].take(columns, axis=1)


def _sample(mask: "Image.Image", width: int, height: int) -> "Image.Image":
    from PIL import Image

    pixels = np.asarray(mask)
    sampled = sample_mask(pixels, width, height)
    if not sampled.any():
        # An object between the sampled pixels must not become an empty mask, which trains as "nothing here".
        object_rows, object_columns = np.nonzero(pixels)
        sampled[object_rows * height // mask.height, object_columns * width // mask.width] = 1
    return Image.fromarray(sampled)


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
