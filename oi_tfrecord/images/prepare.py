"""Makes the JPEG for a record from the bytes of an image: a plain JPEG is copied, any other image is re-encoded.

A copied image keeps its bytes, metadata included unless that is to be stripped. A re-encoded image is an RGB or
grayscale JPEG of the first picture in the file, without metadata. Its pixels stay where they were stored, as boxes
refer to them: EXIF never turns an image.
"""

import contextlib
import hashlib
import io
from typing import TYPE_CHECKING

from oi_tfrecord.images.encode import encode, fit_size
from oi_tfrecord.images.jpeg_header import (
    CHECK_DRAFT,
    MAX_SIDE,
    JpegHeader,
    JpegKind,
    is_cut_off,
    read_header,
    scan_fault,
)
from oi_tfrecord.images.jpeg_metadata import strip_metadata
from oi_tfrecord.images.other_formats import declared_size, describe, ends_early, other_format, readers
from oi_tfrecord.images.pixel_budget import DECODED_AT_ONCE
from oi_tfrecord.images.values import ImageOptions, ImageRejected, PreparedImage
from oi_tfrecord.reasons import Reject

if TYPE_CHECKING:
    from PIL import Image


_DECODED_ON_OPENING = ("GIF", "WEBP")
"""Formats for whose pixels Pillow allocates memory when it opens the file."""

Size = tuple[int, int]
"""Width and height in pixels."""


def prepare(data: bytes, options: ImageOptions, degrees: int = 0) -> PreparedImage:
    """Checks an image file and makes the JPEG to store. Safe to call from several threads.

    Args:
        data: the whole file.
        options: the limits and the encoding.
        degrees: turn of the stored pixels, 0, 90, 180 or 270 counter-clockwise.

    Returns:
        The image, with its size and checksum. The same bytes, options and Pillow build give the same result.

    Raises:
        ImageRejected: if the bytes cannot be stored as an image, with the reason.
    """
    if not data:
        raise ImageRejected(Reject.IMAGE_EMPTY, "the file has no bytes")
    if len(data) > options.max_bytes:
        raise ImageRejected(Reject.IMAGE_TOO_LARGE, f"{len(data)} bytes, more than {options.max_bytes}")
    header = read_header(data)
    if header is None:
        return _prepare_other(data, options, degrees)
    _check_jpeg(data, header, options)
    size = header.width, header.height
    if header.kind is JpegKind.PLAIN and options.mode != "verify" and not degrees and _fit(size, options) == size:
        return _copied(strip_metadata(data, header) if options.strip_metadata else data, data, size)
    return _prepare_decoded(data, header, options, degrees)


def _prepare_other(data: bytes, options: ImageOptions, degrees: int) -> PreparedImage:
    """Re-encodes an image that is no JPEG."""
    source_format = other_format(data)
    if source_format is None:
        raise ImageRejected(Reject.NOT_AN_IMAGE, describe(data))
    width, height = declared_size(data, source_format)
    _check_pixels((width, height), options)
    with contextlib.ExitStack() as held:
        if source_format in _DECODED_ON_OPENING:
            held.enter_context(DECODED_AT_ONCE.hold(width * height))
        picture, size = _decode(data, source_format, options, held)
        return _reencode(picture, size, source_format, options, degrees)


def _prepare_decoded(data: bytes, header: JpegHeader, options: ImageOptions, degrees: int) -> PreparedImage:
    """Decodes a JPEG, and copies it if it is good and has its final size and direction."""
    size = header.width, header.height
    is_copied = header.kind is JpegKind.PLAIN and not degrees and _fit(size, options) == size
    with contextlib.ExitStack() as held:
        picture, size = _decode(data, "JPEG", options, held, CHECK_DRAFT if is_copied else None)
        if header.kind is JpegKind.SPECIAL:
            return _reencode(picture, size, "MPO" if header.multi_picture else "JPEG", options, degrees)
        if fault := scan_fault(data, header):
            raise ImageRejected(Reject.IMAGE_BROKEN, fault)
        if degrees or _fit(size, options) != size:
            return _reencode(picture, size, "JPEG", options, degrees)
        if not options.strip_metadata:
            return _copied(data, data, size)
        stripped = strip_metadata(data, header)
        if stripped is not data and header.kind is JpegKind.UNSURE and not _shows(stripped, picture):
            return _reencode(picture, size, "JPEG", options, 0)
        return _copied(stripped, data, size)


def _check_jpeg(data: bytes, header: JpegHeader, options: ImageOptions) -> None:
    if header.kind is JpegKind.BROKEN:
        raise ImageRejected(Reject.IMAGE_BROKEN, header.note)
    _check_pixels((header.width, header.height), options)
    if is_cut_off(data, header):
        missing = header.note if header.kind is JpegKind.CUT_OFF else "no end-of-image marker"
        raise ImageRejected(Reject.IMAGE_CUT_OFF, missing)
    if not header.width * header.height:
        # Neither libjpeg nor TensorFlow reads a height that follows the image data (DNL).
        raise ImageRejected(Reject.IMAGE_BROKEN, f"the header gives the size {header.width}x{header.height}")


def _check_pixels(size: Size, options: ImageOptions) -> None:
    width, height = size
    if width * height > options.max_pixels:
        detail = f"{width}x{height} is {width * height} pixels, more than {options.max_pixels}"
        raise ImageRejected(Reject.IMAGE_TOO_LARGE, detail)


def _fit(size: Size, options: ImageOptions) -> Size:
    return fit_size(*size, options.max_side, options.pixel_budget) if options.mode == "resize" else size


def _copied(encoded: bytes, data: bytes, size: Size) -> PreparedImage:
    sha256 = hashlib.sha256(encoded).hexdigest()
    return PreparedImage(encoded, *size, sha256, "copied" if encoded is data else "stripped", "JPEG")


def _decode(
    data: bytes,
    source_format: str,
    options: ImageOptions,
    held: contextlib.ExitStack,
    draft: tuple[str | None, Size] | None = None,
) -> tuple["Image.Image", Size]:
    """Checks the size of the first picture of a file, and decodes it no larger than needed.

    Args:
        data: the whole file.
        source_format: Pillow's name of the format.
        options: the limits and the encoding.
        held: holds the pixels of the budget as long as the caller uses the picture.
        draft: mode and least size of the picture that the caller needs; None for those of a picture to be encoded.

    Returns:
        (picture, its size as stored).
    """
    try:
        picture = readers()[source_format](io.BytesIO(data))
        size = picture.size
        _check_pixels(size, options)
        target = _fit(size, options)
        if draft or target != size:
            picture.draft(*(draft or (None, target)))
        if source_format not in _DECODED_ON_OPENING:
            # A progressive JPEG keeps all coefficients, however small it is decoded.
            pixels = size if picture.info.get("progressive") else picture.size
            held.enter_context(DECODED_AT_ONCE.hold(pixels[0] * pixels[1]))
        picture.load()
    except (ImageRejected, ImportError, MemoryError):
        raise
    # Pillow's readers raise exceptions of many classes for damaged bytes, KeyError and ZeroDivisionError included.
    except Exception as error:
        reason = Reject.IMAGE_CUT_OFF if ends_early(data, source_format) else Reject.IMAGE_BROKEN
        raise ImageRejected(reason, f"{source_format}: {error or type(error).__name__}") from error
    return picture, size


def _shows(data: bytes, picture: "Image.Image") -> bool:
    """Returns whether a JPEG decodes to a picture."""
    try:
        decoded = readers()["JPEG"](io.BytesIO(data))
        return (decoded.mode, decoded.size) == (picture.mode, picture.size) and decoded.tobytes() == picture.tobytes()
    # As in `_decode`.
    except Exception:
        return False


def _reencode(
    picture: "Image.Image", size: Size, source_format: str, options: ImageOptions, degrees: int
) -> PreparedImage:
    target = _fit(size, options)
    if max(target) > MAX_SIDE:
        detail = f"{target[0]}x{target[1]}: a JPEG has at most {MAX_SIDE} pixels a side"
        raise ImageRejected(Reject.IMAGE_TOO_LARGE, detail)
    try:
        encoded, width, height = encode(picture, target, degrees, options.quality, options.chroma)
    except MemoryError:
        raise
    except Exception as error:
        raise ImageRejected(Reject.IMAGE_BROKEN, f"{source_format}: {error or type(error).__name__}") from error
    sha256 = hashlib.sha256(encoded).hexdigest()
    return PreparedImage(
        encoded, width, height, sha256, "reencoded", source_format, resized=target != size, turned=degrees != 0
    )
