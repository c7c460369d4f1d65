"""Checks the image of a record: whether readers decode its format, whether it is whole, and its size."""

import io
import warnings

from oi_tfrecord.images.jpeg_header import CHECK_DRAFT, JpegKind, is_cut_off, read_header, scan_fault
from oi_tfrecord.images.pixel_budget import DECODED_AT_ONCE

READABLE = ("PNG", "BMP")
"""Formats besides JPEG that the Object Detection API decodes to three dimensions; it decodes a GIF to four."""


def find_image_fault(data: bytes, *, plain: bool, decode: bool) -> tuple[str, tuple[int, int]]:
    """Checks an encoded image.

    Args:
        data: the whole file.
        plain: whether it must be a plain JPEG, as `convert` writes; otherwise any format that readers decode will do.
        decode: whether to decode it, rather than to read its header and look for its end.

    Returns:
        (fault or an empty string, (width, height) in pixels); sizes that are not known are 0.
    """
    header = read_header(data)
    if header is None:
        if plain or not data:
            return f"not a JPEG, first bytes {data[:16]!r}", (0, 0)
        return _open(data, decode, is_plain=False)
    size = header.width, header.height
    if header.kind in (JpegKind.BROKEN, JpegKind.CUT_OFF):
        return header.note, size
    if plain and header.kind is JpegKind.SPECIAL:
        return f"not a plain JPEG: {header.note}", size
    if is_cut_off(data, header):
        return "no end-of-image marker", size
    if not header.width * header.height:
        return f"the header gives the size {header.width}x{header.height}", size
    if not decode:
        return "", size
    # TensorFlow's decoder reads to the end of the image, Pillow's stops at its last row.
    fault, decoded = _open(data, decode, is_plain=header.kind is JpegKind.PLAIN)
    return fault or scan_fault(data, header), decoded


def _open(data: bytes, decode: bool, is_plain: bool) -> tuple[str, tuple[int, int]]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(data))
            size = picture.size
            if decode:
                if is_plain:
                    picture.draft(*CHECK_DRAFT)
                with DECODED_AT_ONCE.hold(size[0] * size[1]):
                    picture.load()
    except MemoryError:
        return "decodes to more pixels than the memory holds", (0, 0)
    except Exception as error:
        # Pillow's readers raise exceptions of many classes for damaged bytes.
        return f"does not {'decode' if decode else 'open'}: {error or type(error).__name__}", (0, 0)
    if picture.format not in ("JPEG", "MPO", *READABLE):
        return f"{picture.format} is not read by the Object Detection API", size
    return "", size
