"""Makes the bytes of an image fit for a record: a plain JPEG is copied, anything else becomes one.

A copied image keeps its bytes, metadata included unless it is to be stripped. A re-encoded one is an RGB
or grayscale JPEG of the first picture in the file, with the pixels where they were stored: boxes refer to
them, so EXIF never turns an image, and as all metadata is dropped nothing else will.
"""

import contextlib
import hashlib
import io
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from oi_tfrecord.images import encode as pictures
from oi_tfrecord.images import jpeg_header as jpeg
from oi_tfrecord.images.encode import fit_size
from oi_tfrecord.images.jpeg_metadata import strip_metadata
from oi_tfrecord.images.other_formats import declared_size, describe, ends_early, other_format, readers
from oi_tfrecord.images.values import MODES, ImageOptions, ImageRejected, PreparedImage
from oi_tfrecord.reasons import Reject

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["MODES", "ImageOptions", "ImageRejected", "PreparedImage", "prepare"]


class DecodeGate:
    """Lets pictures in as long as their pixels together are within a bound; a larger one is let in alone."""

    def __init__(self, max_pixels: int):
        """Initializes the instance.

        Args:
            max_pixels: bound on the pixels held at once.
        """
        self._max_pixels = max_pixels
        self._held = 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Waits until there is room for a picture of `pixels`, and keeps it while the block runs."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + pixels <= self._max_pixels)
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()


_GATE = DecodeGate(max_pixels=48 << 20)

# GIF and WebP take memory for their pixels on opening.
_DECODED_ON_OPENING = ("GIF", "WEBP")

Size = tuple[int, int]


def prepare(data: bytes, options: ImageOptions, degrees: int = 0) -> PreparedImage:
    """Checks one image file and gives the JPEG to store for it. Safe to call from several threads.

    Args:
        data: the whole file.
        options: the limits and the encoding.
        degrees: 0, 90, 180 or 270, to turn the stored pixels by, counter-clockwise.

    Returns:
        The image, with its size and checksum. The same bytes, options and Pillow build give the same result.

    Raises:
        ImageRejected: the bytes cannot be stored as an image, with the reason.
    """
    if not data:
        raise ImageRejected(Reject.IMAGE_EMPTY, "the file has no bytes")
    if len(data) > options.max_bytes:
        raise ImageRejected(Reject.IMAGE_TOO_LARGE, f"{len(data)} bytes, more than {options.max_bytes}")
    header = jpeg.read_header(data)
    if header is None:
        source_format = other_format(data)
        if source_format is None:
            raise ImageRejected(Reject.NOT_AN_IMAGE, describe(data))
        declared = declared_size(data, source_format)
        _check_pixels(declared, options)
        with contextlib.ExitStack() as held:
            if source_format in _DECODED_ON_OPENING:
                held.enter_context(_GATE.hold(declared[0] * declared[1]))
            picture, size = _decode(data, source_format, options, held)
            return _reencode(picture, size, source_format, options, degrees)
    _check_jpeg(data, header, options)
    size = header.width, header.height
    if header.kind is jpeg.JpegKind.PLAIN and options.mode != "verify" and not degrees and _fit(size, options) == size:
        return _copied(strip_metadata(data, header) if options.strip_metadata else data, data, size)
    with contextlib.ExitStack() as held:
        picture, size = _decode(data, "JPEG", options, held)
        if header.kind is jpeg.JpegKind.SPECIAL:
            source_format = "MPO" if header.multi_picture else "JPEG"
            return _reencode(picture, size, source_format, options, degrees)
        if fault := jpeg.scan_fault(data, header):
            raise ImageRejected(Reject.IMAGE_BROKEN, fault)
        if degrees or _fit(size, options) != size:
            return _reencode(picture, size, "JPEG", options, degrees)
        if not options.strip_metadata:
            return _copied(data, data, size)
        stripped = strip_metadata(data, header)
        if stripped is not data and header.kind is jpeg.JpegKind.UNSURE and not _shows(stripped, picture):
            return _reencode(picture, size, "JPEG", options, 0)
        return _copied(stripped, data, size)


def _check_jpeg(data: bytes, header: jpeg.JpegHeader, options: ImageOptions) -> None:
    if header.kind is jpeg.JpegKind.BROKEN:
        raise ImageRejected(Reject.IMAGE_BROKEN, header.note)
    _check_pixels((header.width, header.height), options)
    if jpeg.is_cut_off(data, header):
        missing = header.note if header.kind is jpeg.JpegKind.CUT_OFF else "no end-of-image marker"
        raise ImageRejected(Reject.IMAGE_CUT_OFF, missing)
    if not header.width * header.height:
        # libjpeg does not read a height given after the image data (DNL), nor does TensorFlow.
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
    data: bytes, source_format: str, options: ImageOptions, held: contextlib.ExitStack
) -> tuple["Image.Image", Size]:
    """Decodes the first picture of a file, after its size is checked.

    A JPEG that is to be scaled down is decoded no larger than needed.

    Returns:
        (the picture, its size as stored).
    """
    try:
        picture = readers()[source_format](io.BytesIO(data))
        size = picture.size
        _check_pixels(size, options)
        target = _fit(size, options)
        if target != size:
            picture.draft(None, target)
        if source_format not in _DECODED_ON_OPENING:
            # A progressive JPEG keeps all coefficients, however small it is decoded.
            pixels = size if picture.info.get("progressive") else picture.size
            held.enter_context(_GATE.hold(pixels[0] * pixels[1]))
        picture.load()
    except (ImageRejected, ImportError, MemoryError):
        raise
    # Pillow's readers raise whatever their parsing runs into, down to KeyError and ZeroDivisionError.
    except Exception as error:
        reason = Reject.IMAGE_CUT_OFF if ends_early(data, source_format) else Reject.IMAGE_BROKEN
        raise ImageRejected(reason, f"{source_format}: {error or type(error).__name__}") from error
    return picture, size


def _shows(data: bytes, picture: "Image.Image") -> bool:
    """Tells whether a JPEG decodes to a picture."""
    try:
        other = readers()["JPEG"](io.BytesIO(data))
        return (other.mode, other.size) == (picture.mode, picture.size) and other.tobytes() == picture.tobytes()
    # As in `_decode`.
    except Exception:
        return False


def _reencode(
    picture: "Image.Image", size: Size, source_format: str, options: ImageOptions, degrees: int
) -> PreparedImage:
    target = _fit(size, options)
    if max(target) > jpeg.MAX_SIDE:
        detail = f"{target[0]}x{target[1]}: a JPEG has at most {jpeg.MAX_SIDE} pixels a side"
        raise ImageRejected(Reject.IMAGE_TOO_LARGE, detail)
    try:
        encoded, width, height = pictures.encode(picture, target, degrees, options.quality, options.chroma)
    except MemoryError:
        raise
    except Exception as error:
        raise ImageRejected(Reject.IMAGE_BROKEN, f"{source_format}: {error or type(error).__name__}") from error
    sha256 = hashlib.sha256(encoded).hexdigest()
    return PreparedImage(
        encoded, width, height, sha256, "reencoded", source_format, resized=target != size, turned=degrees != 0
    )
