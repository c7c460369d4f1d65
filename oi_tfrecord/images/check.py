"""Checks the image of a record: is it what readers take, is it whole, has it the size that the record says."""

import io
import warnings

from oi_tfrecord.images import jpeg_header as jpeg

READABLE = ("PNG", "BMP")
"""Formats besides JPEG that the Object Detection API decodes to what it expects; a GIF becomes four-dimensional."""


def find_image_fault(data: bytes, *, plain: bool, decode: bool) -> tuple[str, tuple[int, int]]:
    """Checks an encoded image.

    Args:
        data: the whole file.
        plain: whether it must be a plain JPEG, as ours are; otherwise whatever readers decode will do.
        decode: whether to decode it, rather than to read its header and look for its end.

    Returns:
        What is wrong, or an empty string; and width and height in pixels, 0 where they are not known.
    """
    header = jpeg.read_header(data)
    if header is None:
        if plain or not data:
            return f"not a JPEG, first bytes {data[:16]!r}", (0, 0)
        return _open(data, decode)
    size = header.width, header.height
    if header.kind in (jpeg.JpegKind.BROKEN, jpeg.JpegKind.CUT_OFF):
        return header.note, size
    if plain and header.kind is jpeg.JpegKind.SPECIAL:
        return f"not a plain JPEG: {header.note}", size
    if jpeg.is_cut_off(data, header):
        return "no end-of-image marker", size
    if not header.width * header.height:
        return f"the header gives the size {header.width}x{header.height}", size
    if not decode:
        return "", size
    # TensorFlow's decoder goes on to the end of the image, Pillow's stops at its last row.
    fault, decoded = _open(data, decode)
    return fault or jpeg.scan_fault(data, header), decoded


def _open(data: bytes, decode: bool) -> tuple[str, tuple[int, int]]:
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            picture = Image.open(io.BytesIO(data))
            if decode:
                picture.load()
    except MemoryError:
        raise
    except Exception as error:
        # Pillow's readers raise whatever the damaged bytes lead them to.
        return f"does not {'decode' if decode else 'open'}: {error or type(error).__name__}", (0, 0)
    if picture.format not in ("JPEG", "MPO", *READABLE):
        return f"{picture.format} is not read by the Object Detection API", picture.size
    return "", picture.size
