"""Makes the thumbnail of an original for which the release names none, or whose own is gone."""

import io
import math

from oi_tfrecord.images import ImageRejected
from oi_tfrecord.reasons import Reject

THUMBNAIL_PIXELS = 640 * 480
"""The "~300K pixels (~640x480)" of Thumbnail300KURL in the README of V3."""

_QUALITY = 90
_FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "BMP")


def thumbnail_300k(data: bytes) -> bytes:
    """Scales an image down to about 300 K pixels.

    Args:
      data: the file of the original.

    Returns:
      A JPEG of at most THUMBNAIL_PIXELS with the original's shape, the pixels where they were
      stored (boxes refer to them, so EXIF does not turn it). A JPEG that is no larger is returned
      as it is. The same bytes and Pillow build give the same result.

    Raises:
      ImageRejected: if the bytes cannot be decoded as an image.
    """
    from PIL import Image

    try:
        with Image.open(io.BytesIO(data), formats=_FORMATS) as picture:
            width, height = picture.size
            scale = math.sqrt(THUMBNAIL_PIXELS / (width * height))
            if scale >= 1 and picture.format == "JPEG":
                return data
            size = (max(int(width * scale), 1), max(int(height * scale), 1)) if scale < 1 else picture.size
            picture.draft("RGB", size)
            flat = picture.convert("RGB")
    except Image.DecompressionBombError as error:
        raise ImageRejected(Reject.IMAGE_TOO_LARGE, str(error)) from error
    # Pillow's readers raise whatever their parsing runs into.
    except Exception as error:
        raise ImageRejected(Reject.IMAGE_BROKEN, f"no thumbnail: {error or type(error).__name__}") from error
    # Pillow writes a comment found here into the new file.
    flat.info = {}
    buffer = io.BytesIO()
    flat.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()
