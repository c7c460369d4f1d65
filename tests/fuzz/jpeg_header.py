"""Fuzzes the reader of JPEG headers against Pillow.

python -m tests.fuzz.jpeg_header --seconds=600 [--more_seeds=FOLDER_OF_JPEGS]

An input is a JPEG file.
"""

import io
import itertools
import warnings
from typing import Any

from PIL import Image, JpegImagePlugin

from oi_tfrecord.images import jpeg_header as jpeg
from oi_tfrecord.images.jpeg_header import JpegKind
from oi_tfrecord.images.prepare import prepare
from oi_tfrecord.images.values import ImageOptions, ImageRejected

MAX_BYTES = 8192
_MARKERS = (*range(0xC0, 0xD0), 0xD8, 0xD9, 0xDA, 0xDB, 0xDC, 0xDD, 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE, 0xFF, 0x00)
DICTIONARY = (
    *(bytes((0xFF, marker)) for marker in _MARKERS), b"\xff\xd8\xff", b"\x00\x0e", b"\x00\x02", b"\x00\x00",
    b"MPF\0", b"MPF\0MM\0*\0\0\0\x08", b"Exif\0\0", b"JFIF\0", b"Adobe\0", b"Photoshop 3.0\0", b"ICC_PROFILE\0",
    b"\x08\x00\x10\x00\x10\x03", b"\x01\x22\x00", b"\x01\x11\x00",
)  # fmt: skip

_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_OPTIONS = {mode: ImageOptions(mode=mode, max_pixels=1 << 16) for mode in ("copy", "verify")}


def seeds() -> list[bytes]:
    """Returns small JPEGs of every sort that Pillow writes."""
    noise = Image.effect_noise((33, 17), 60)
    exif = Image.Exif()
    exif[0x0112] = 6
    choices: list[dict[str, Any]] = [
        {},
        {"progressive": True},
        {"optimize": True, "quality": 30},
        {"restart_marker_blocks": 1},
        {"exif": exif},
        {"comment": b"a comment", "dpi": (72, 72)},
        {"icc_profile": b"x" * 200},
    ]
    inputs = []
    for mode, options in itertools.product(("L", "RGB", "CMYK"), choices):
        layouts: list[dict[str, Any]] = [{}]
        if mode == "RGB":
            layouts = [{"subsampling": 0}, {"subsampling": 1}, {"subsampling": 2}, {"keep_rgb": True}]
        inputs += [_encode(noise.convert(mode), **options, **layout) for layout in layouts]
    two = io.BytesIO()
    noise.save(two, "MPO", save_all=True, append_images=[noise])
    return [*inputs, two.getvalue(), inputs[0][:-2], inputs[0][:100], b"\xff\xd8"]


def check(data: bytes) -> None:
    """Checks one input; see the module."""
    header = jpeg.read_header(data)
    seen = _pillow(data)
    if header is None:
        # Pillow's JPEG reader asks for the same three bytes, so whatever it opens is one.
        assert seen is None
    else:
        jpeg.is_cut_off(data, header)
        if header.scan_start:
            jpeg.scan_fault(data, header)
            assert 0 < header.scan_start <= len(data)
        _compare(header, seen)
    for mode, options in _OPTIONS.items():
        _check_prepared(data, mode, options)


def _compare(header: jpeg.JpegHeader, seen: Image.Image | None) -> None:
    assert (header.kind is JpegKind.PLAIN) == (header.note == ""), header
    if header.kind is JpegKind.PLAIN:
        assert seen is not None, f"Pillow refuses what the header reader takes for plain: {header}"
        assert seen.format == "JPEG", header
        assert bool(seen.info.get("progressive")) == header.progressive, header
    if seen is None:
        return
    if seen.format == "MPO":
        assert header.kind in (JpegKind.SPECIAL, JpegKind.CUT_OFF, JpegKind.BROKEN), header
    if header.scan_start and header.components:
        assert seen.size == (header.width, header.height), header
        assert seen.mode == _MODES[header.components], header
        if seen.mode == "CMYK":
            assert header.kind is JpegKind.SPECIAL, header


def _check_prepared(data: bytes, mode: str, options: ImageOptions) -> None:
    try:
        prepared = prepare(data, options)
    except ImageRejected:
        return
    with Image.open(io.BytesIO(prepared.encoded)) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (prepared.width, prepared.height)
        assert picture.mode in ("L", "RGB")
        if mode == "verify":
            picture.load()


def _pillow(data: bytes) -> Image.Image | None:
    """Returns the image, opened but not decoded, or None where Pillow raises anything."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return JpegImagePlugin.jpeg_factory(io.BytesIO(data))
        except Exception:
            return None


def _encode(image: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", **options)
    return buffer.getvalue()


if __name__ == "__main__":
    from tests.fuzz import engine

    engine.main("tests.fuzz.jpeg_header")
