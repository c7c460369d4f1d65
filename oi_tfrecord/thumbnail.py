"""Makes the thumbnail of an original for which the release names none, or whose own is gone."""

from oi_tfrecord.images import ImageOptions, prepare

THUMBNAIL_PIXELS = 640 * 480
"""The "~300K pixels (~640x480)" of Thumbnail300KURL in the README of V3."""

_OPTIONS = ImageOptions(mode="resize", pixel_budget=THUMBNAIL_PIXELS, quality=90, chroma="4:2:0")


def thumbnail_300k(data: bytes) -> bytes:
    """Scales an image down to about 300 K pixels.

    Args:
      data: the file of the original.

    Returns:
      A JPEG of at most THUMBNAIL_PIXELS with the original's shape, the pixels where they were
      stored (boxes refer to them, so EXIF does not turn it). A plain JPEG that is no larger is returned
      as it is. The same bytes and Pillow build give the same result.

    Raises:
      ImageRejected: as `prepare` does.
    """
    return prepare(data, _OPTIONS).encoded
