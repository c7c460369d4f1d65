"""The image formats besides JPEG: recognised by their first bytes, with their declared size and Pillow's readers.

Bytes that are no image are described for the list of rejects.
"""

import codecs
import functools
import io
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import ImageFile

_DIB_HEADER_SIZES = frozenset((12, 16, 40, 52, 56, 64, 108, 124))

# Files that servers and archives give under the name of an image, and image formats that are not read.
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


def other_format(data: bytes) -> str | None:
    """Returns Pillow's name of the format, by the first bytes; None if it is not one that is re-encoded."""
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith((b"GIF87a", b"GIF89a")):
        return "GIF"
    if data.startswith(b"RIFF") and data.startswith(b"WEBP", 8):
        return "WEBP"
    if data.startswith(b"BM") and int.from_bytes(data[14:18], "little") in _DIB_HEADER_SIZES:
        return "BMP"
    return None


def declared_size(data: bytes, source_format: str) -> tuple[int, int]:
    """Reads the size of a GIF with its first picture, or of a WebP: Pillow allocates their pixels on opening.

    Source: GIF89a specification, sections 18 to 26; RFC 9649, sections 2.5 to 2.7.

    Returns:
        (width, height) in pixels; (0, 0) for other formats and for a size that cannot be read.
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
    # Bytes that start no block are skipped, as Pillow does.
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
def readers() -> dict[str, Callable[[io.BytesIO], "ImageFile.ImageFile"]]:
    """Returns Pillow's readers, imported only when an image needs one.

    They are called directly, as `Image.open` warns about large images through process-wide state; the limit here is
    `max_pixels`.
    """
    from PIL import BmpImagePlugin, GifImagePlugin, Image, JpegImagePlugin, PngImagePlugin, WebPImagePlugin

    class Jpeg(JpegImagePlugin.JpegImageFile):
        """A JPEG whose EXIF is not read: EXIF is not used, and broken EXIF causes warnings."""

        def getexif(self) -> Image.Exif:
            """Returns empty EXIF."""
            return Image.Exif()

    return {
        "BMP": BmpImagePlugin.BmpImageFile,
        "GIF": GifImagePlugin.GifImageFile,
        "JPEG": Jpeg,
        "PNG": PngImagePlugin.PngImageFile,
        "WEBP": WebPImagePlugin.WebPImageFile,
    }


def ends_early(data: bytes, source_format: str) -> bool:
    """Returns whether a file that does not decode is shorter than its format says."""
    if source_format == "PNG":
        return data.rfind(b"IEND") < 0
    if source_format == "GIF":
        return not data.rstrip(b"\0").endswith(b";")
    if source_format == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    return source_format == "BMP" and int.from_bytes(data[2:6], "little") > len(data)


def describe(data: bytes) -> str:
    """Returns what bytes that are not an image look like, for the list of rejects."""
    start = data[:64].removeprefix(codecs.BOM_UTF8).lstrip()
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
