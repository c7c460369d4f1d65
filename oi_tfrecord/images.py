"""Makes the bytes of an image fit for a record: a plain JPEG is copied, anything else becomes one.

A copied image keeps its bytes, metadata included. A re-encoded one is an RGB or grayscale
JPEG of the first picture in the file, with the pixels where they were stored: boxes refer to
them, so EXIF never turns an image, and as all metadata is dropped nothing else will.
"""

import dataclasses
import functools
import hashlib
import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

from oi_tfrecord import jpeg
from oi_tfrecord.errors import ConfigError, nearest
from oi_tfrecord.reasons import Reject

if TYPE_CHECKING:
    from PIL import Image, ImageFile

MODES: Final = ("copy", "verify")
_DIB_HEADER_SIZES = frozenset((12, 16, 40, 52, 56, 64, 108, 124))
# What servers and archives hand out under an image's name, or images that are not read here.
_KNOWN_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\0\0\0\x0cjP", "JPEG 2000"),
    (b"\xff\x0a", "JPEG XL"),
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"PK\x03\x04", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
)
_MARKUP: tuple[tuple[bytes, str], ...] = (
    (b"<!doctype html", "HTML"),
    (b"<html", "HTML"),
    (b"<head", "HTML"),
    (b"<svg", "SVG"),
    (b"<?xml", "XML"),
    (b"{", "JSON"),
)


class ImageRejected(Exception):
    """An image that does not reach a record."""

    def __init__(self, reason: Reject, detail: str):
        """Args:
        reason: why, as counted.
        detail: what was seen in this one.
        """
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


@dataclasses.dataclass(frozen=True)
class ImageOptions:
    """How images are checked and encoded.

    Args:
        mode: `copy` reads the header of a plain JPEG and looks for its end; `verify` also decodes it.
        max_bytes: largest file accepted.
        max_pixels: largest width times height accepted, checked before anything is decoded.
        quality: JPEG quality of re-encoded images, 1 to 100. Their chroma is never subsampled
            (4:4:4): the source may have had full chroma, and few images are re-encoded.

    Raises:
        ConfigError: a value is not one of these.
    """

    mode: str = "copy"
    max_bytes: int = 64 << 20
    max_pixels: int = 178_956_970
    quality: int = 95

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            known = " or ".join(MODES)
            raise ConfigError("mode", f"must be {known}, not {self.mode!r}{nearest(str(self.mode), MODES)}")
        for field in ("max_bytes", "max_pixels", "quality"):
            value = getattr(self, field)
            if type(value) is not int or value < 1:
                raise ConfigError(field, f"must be a whole number from 1, not {value!r}")
        if self.quality > 100:
            raise ConfigError("quality", f"must be at most 100, not {self.quality}")


@dataclasses.dataclass(frozen=True, slots=True)
class PreparedImage:
    """An image ready to be put into a record.

    Args:
        encoded: a JPEG; the very object that came in when it was copied.
        width: pixels of `encoded`, as stored.
        height: pixels of `encoded`, as stored.
        sha256: hex digest of `encoded`, lower case.
        action: what was done.
        source_format: what the input was: JPEG, MPO, PNG, GIF, WEBP or BMP.
    """

    encoded: bytes
    width: int
    height: int
    sha256: str
    action: Literal["copied", "reencoded"]
    source_format: str


def prepare(data: bytes, options: ImageOptions) -> PreparedImage:
    """Checks one image file and gives the JPEG to store for it. Safe to call from several threads.

    Args:
        data: the whole file.
        options: the limits and the encoding.

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
        source_format = _other_format(data)
        if source_format is None:
            raise ImageRejected(Reject.NOT_AN_IMAGE, _describe(data))
        _check_pixels(_declared_size(data, source_format), options)
        return _reencode(_decode(data, source_format, options), source_format, options)
    if header.kind is jpeg.JpegKind.BROKEN:
        raise ImageRejected(Reject.IMAGE_BROKEN, header.note)
    _check_pixels((header.width, header.height), options)
    if jpeg.is_cut_off(data, header):
        missing = header.note if header.kind is jpeg.JpegKind.CUT_OFF else "no end-of-image marker"
        raise ImageRejected(Reject.IMAGE_CUT_OFF, missing)
    if not header.width * header.height:
        # libjpeg does not read a height given after the image data (DNL), nor does TensorFlow.
        raise ImageRejected(Reject.IMAGE_BROKEN, f"the header gives the size {header.width}x{header.height}")
    if header.kind is jpeg.JpegKind.PLAIN and options.mode == "copy":
        return _copied(data, header.width, header.height)
    picture = _decode(data, "JPEG", options)
    if header.kind is jpeg.JpegKind.SPECIAL:
        return _reencode(picture, "MPO" if header.multi_picture else "JPEG", options)
    if fault := jpeg.scan_fault(data, header):
        raise ImageRejected(Reject.IMAGE_BROKEN, fault)
    return _copied(data, picture.width, picture.height)


def _copied(data: bytes, width: int, height: int) -> PreparedImage:
    return PreparedImage(data, width, height, hashlib.sha256(data).hexdigest(), "copied", "JPEG")


def _check_pixels(size: tuple[int, int], options: ImageOptions) -> None:
    width, height = size
    if width * height > options.max_pixels:
        detail = f"{width}x{height} is {width * height} pixels, more than {options.max_pixels}"
        raise ImageRejected(Reject.IMAGE_TOO_LARGE, detail)


def _other_format(data: bytes) -> str | None:
    """Returns Pillow's name of a format other than JPEG that is re-encoded, by its first bytes."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(b"RIFF") and data.startswith(b"WEBP", 8):
        return "WEBP"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _DIB_HEADER_SIZES:
        return "BMP"
    return None


def _declared_size(data: bytes, source_format: str) -> tuple[int, int]:
    """Reads the size of a GIF (with its first picture) or WebP, for whose pixels Pillow takes memory on opening.

    Source: GIF89a specification, sections 18 to 26; RFC 9649, sections 2.5 to 2.7.

    Returns:
        Width and height in pixels; (0, 0) for other formats and for what cannot be read.
    """

    def little(start: int, count: int = 2) -> int:
        return int.from_bytes(data[start : start + count], "little")

    if source_format == "WEBP":
        if data.startswith(b"VP8X", 12):
            return little(24, 3) + 1, little(27, 3) + 1
        if data.startswith(b"VP8L", 12):
            bits = little(21, 4)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        return little(26) & 0x3FFF, little(28) & 0x3FFF
    if source_format != "GIF":
        return 0, 0
    flags = little(10, 1)
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    # Bytes that start no block are passed over, as Pillow does.
    while (start := data[position : position + 1]) not in (b",", b";", b""):
        position += 1
        if start == b"!":
            position += 1
            while block := little(position, 1):
                position += 1 + block
            position += 1
    if start != b",":
        return little(6), little(8)
    right, bottom = little(position + 1) + little(position + 5), little(position + 3) + little(position + 7)
    return max(little(6), right), max(little(8), bottom)


@functools.cache
def _readers() -> dict[str, Callable[[io.BytesIO], "ImageFile.ImageFile"]]:
    """Returns Pillow's readers, imported only when an image needs one.

    They are called directly: `Image.open` warns of large images through process-wide state,
    and the limit here is `max_pixels`.
    """
    from PIL import BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

    class Jpeg(JpegImagePlugin.JpegImageFile):
        """A JPEG whose EXIF is not read: it is not used, and broken EXIF only causes warnings."""

        def getexif(self) -> Image.Exif:
            return Image.Exif()

    return {
        "BMP": BmpImagePlugin.BmpImageFile,
        "GIF": GifImagePlugin.GifImageFile,
        "JPEG": Jpeg,
        "PNG": PngImagePlugin.PngImageFile,
        "WEBP": WebPImagePlugin.WebPImageFile,
    }


def _decode(data: bytes, source_format: str, options: ImageOptions) -> "Image.Image":
    """Decodes the first picture of a file, after its size is checked."""
    try:
        picture = _readers()[source_format](io.BytesIO(data))
        _check_pixels(picture.size, options)
        picture.load()
    except (ImageRejected, ImportError, MemoryError):
        raise
    # Pillow's readers raise whatever their parsing runs into, down to KeyError and ZeroDivisionError.
    except Exception as error:
        reason = Reject.IMAGE_CUT_OFF if _ends_early(data, source_format) else Reject.IMAGE_BROKEN
        raise ImageRejected(reason, f"{source_format}: {error or type(error).__name__}") from error
    return picture


def _ends_early(data: bytes, source_format: str) -> bool:
    """Tells whether a file that does not decode is shorter than its format says."""
    if source_format == "PNG":
        return data.rfind(b"IEND") < 0
    if source_format == "GIF":
        return not data.rstrip(b"\0").endswith(b";")
    if source_format == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    return source_format == "BMP" and int.from_bytes(data[2:6], "little") > len(data)


def _reencode(picture: "Image.Image", source_format: str, options: ImageOptions) -> PreparedImage:
    if max(picture.size) > jpeg.MAX_SIDE:
        detail = f"{picture.width}x{picture.height}: a JPEG has at most {jpeg.MAX_SIDE} pixels a side"
        raise ImageRejected(Reject.IMAGE_TOO_LARGE, detail)
    try:
        flat = _flatten(picture)
        # Pillow writes a comment found here into the new file.
        flat.info = {}
        buffer = io.BytesIO()
        flat.save(buffer, "JPEG", quality=options.quality, subsampling="4:4:4")
    except MemoryError:
        raise
    except Exception as error:
        raise ImageRejected(Reject.IMAGE_BROKEN, f"{source_format}: {error or type(error).__name__}") from error
    encoded = buffer.getvalue()
    sha256 = hashlib.sha256(encoded).hexdigest()
    return PreparedImage(encoded, flat.width, flat.height, sha256, "reencoded", source_format)


def _flatten(picture: "Image.Image") -> "Image.Image":
    """Converts any picture to 8-bit L or RGB: 16-bit samples keep their high byte, alpha lies on white."""
    from PIL import Image

    if picture.mode.startswith("I"):
        return picture.convert("I").point([value >> 8 for value in range(1 << 16)], "L")
    target = "L" if picture.mode in ("1", "L", "LA", "La") else "RGB"
    if picture.has_transparency_data:
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture.convert(target)


def _describe(data: bytes) -> str:
    """Says what bytes that are not an image look like."""
    start = data[:64].removeprefix(b"\xef\xbb\xbf").lstrip()
    first = f"first bytes {data[:16]!r}"
    for prefix, name in _MARKUP:
        if start.lower().startswith(prefix):
            return f"looks like {name}, {first}"
    for prefix, name in _KNOWN_STARTS:
        if data.startswith(prefix):
            return f"looks like {name}, which is not read, {first}"
    if data.startswith(b"ftyp", 4):
        return f"looks like {data[8:12].decode('ascii', 'replace')} (HEIF, AVIF or video), which is not read, {first}"
    if not any(data[:64]):
        return f"starts with zero bytes, {first}"
    text = start.decode("utf-8", "ignore")
    # The last character may be cut in the middle, by up to three bytes.
    if text and len(start) - len(text.encode()) <= 3 and all(c.isprintable() or c.isspace() for c in text):
        return f"looks like text, {first}"
    return f"unknown format, {first}"
