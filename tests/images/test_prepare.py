import concurrent.futures
import hashlib
import io
import pickle
import random
import struct
import subprocess
import sys
import threading
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageFile, JpegImagePlugin

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.images import jpeg_header as jpeg
from oi_tfrecord.images.pixel_budget import PixelBudget
from oi_tfrecord.images.prepare import prepare
from oi_tfrecord.images.values import ImageOptions, ImageRejected, PreparedImage
from oi_tfrecord.reasons import Reject
from tests.support.optional import require

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_real = pytest.mark.skipif(not (DATA / "real").is_dir(), reason="the real images (shared/data/real) are absent")
needs_nasty = pytest.mark.skipif(
    not (DATA / "nasty").is_dir(), reason="the nasty images (shared/data/nasty) are absent"
)

COPY = ImageOptions()
VERIFY = ImageOptions(mode="verify")
RESIZE = ImageOptions(mode="resize", max_side=200)
BUDGET = ImageOptions(mode="resize", pixel_budget=640 * 480, quality=90, chroma="4:2:0")
STRIP = ImageOptions(strip_metadata=True)
NASTY_OPTIONS = {"copy": COPY, "verify": VERIFY, "max_side": RESIZE, "pixel_budget": BUDGET, "strip": STRIP}

NASTY: dict[str, str | Reject] = {
    "bmp_disguised.jpg": "BMP",
    "broken_exif_dpi.jpg": "copied",
    "decompression_bomb.gif": Reject.IMAGE_TOO_LARGE,
    "frozenpond.mpo": "MPO",
    "gif_disguised.jpg": "GIF",
    "hopper_16bit_qtables.jpg": "copied",
    "hopper_bad_exif.jpg": "copied",
    "hopper_gray.jpg": "copied",
    "hopper_orientation_2.jpg": "copied",
    "hopper_orientation_3.jpg": "copied",
    "hopper_orientation_6.jpg": "copied",
    "hopper_orientation_8.jpg": "copied",
    "html_error_page.jpg": Reject.NOT_AN_IMAGE,
    "icc-after-SOF.jpg": "copied",
    "icc_profile_big.jpg": "copied",
    "invalid-exif.jpg": "copied",
    "jpeg_ff00_header.jpg": "copied",
    "junk_jpeg_header.jpg": "copied",
    "multiple_exif.jpg": "copied",
    "oid_truncated_60pct.jpg": Reject.IMAGE_CUT_OFF,
    "orientation_rectangle.jpg": "copied",
    "photoshop-200dpi-broken.jpg": "copied",
    "pil_sample_cmyk.jpg": "JPEG",
    "png_disguised.jpg": "PNG",
    "rgb.jpg": "copied",
    "sugarshack_bad_mpo_header.jpg": "MPO",
    "truncated_app14.jpg": "copied",
    "truncated_exif_dpi.jpg": "copied",
    "truncated_image.png": Reject.IMAGE_CUT_OFF,
    "truncated_jpeg.jpg": Reject.IMAGE_CUT_OFF,
    "ultrahdr.jpg": Reject.IMAGE_CUT_OFF,
    "webp_disguised.jpg": "WEBP",
    "xmp_test.jpg": "copied",
    "zero_bytes.jpg": Reject.IMAGE_EMPTY,
}
"""What becomes of each file: copied, re-encoded from this format, or rejected."""
NASTY_RESIZED = {
    "max_side": {
        "frozenpond.mpo", "hopper_bad_exif.jpg", "icc_profile_big.jpg", "jpeg_ff00_header.jpg", "junk_jpeg_header.jpg",
        "sugarshack_bad_mpo_header.jpg", "truncated_exif_dpi.jpg", "xmp_test.jpg",
    },
    "pixel_budget": {"junk_jpeg_header.jpg", "xmp_test.jpg"},
}  # fmt: skip
"""Those of them that are scaled down, by mode; the sizes are in the folder's README."""
NASTY_WITHOUT_METADATA = {"hopper_16bit_qtables.jpg"}
"""Those of the copied ones that have nothing to strip."""


def encoded_as(picture: Image.Image, image_format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, image_format, **options)
    return buffer.getvalue()


def rejection(data: bytes, options: ImageOptions = COPY) -> ImageRejected:
    with pytest.raises(ImageRejected) as raised:
        prepare(data, options)
    return raised.value


def opened(prepared: PreparedImage) -> Image.Image:
    picture = Image.open(io.BytesIO(prepared.encoded))
    picture.load()
    return picture


def png(width: int, height: int, samples: bytes, bits: int = 8, color: int = 0) -> bytes:
    """Writes a PNG by its specification (PNG, sections 5 and 11), which Pillow does not in every depth."""
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, 0)),
        (b"IDAT", zlib.compress(samples)),
        (b"IEND", b""),
    ]
    body = (struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def smooth(size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Returns a picture without hard edges, so that JPEG changes its samples little."""
    red = Image.linear_gradient("L").resize(size)
    green = Image.radial_gradient("L").resize(size)
    return Image.merge("RGB", (red, green, red.rotate(180)))


def samples(picture: Image.Image) -> NDArray[np.int16]:
    return np.asarray(picture, dtype=np.int16)


def assert_decodes(prepared: PreparedImage) -> Any:
    """Checks a prepared image with TensorFlow, which is what reads it in the end, and returns the pixels."""
    tf = require("tensorflow")
    pixels = tf.io.decode_jpeg(prepared.encoded, channels=3).numpy()
    assert pixels.shape == (prepared.height, prepared.width, 3)
    assert prepared.encoded.startswith(b"\xff\xd8\xff")
    assert prepared.sha256 == hashlib.sha256(prepared.encoded).hexdigest()
    return pixels


@needs_nasty
def test_every_nasty_file_has_its_verdict() -> None:
    """The folder's own texts aside, the table above names just the files that are there."""
    names = {path.name for path in (DATA / "nasty").iterdir()} - {"README.md", "LICENSE.Pillow"}
    assert names == set(NASTY)


def nasty_action(name: str, mode: str) -> str:
    """Returns what becomes of a file that is not rejected, by the tables above."""
    if NASTY[name] != "copied" or name in NASTY_RESIZED.get(mode, ()):
        return "reencoded"
    return "stripped" if mode == "strip" and name not in NASTY_WITHOUT_METADATA else "copied"


@needs_nasty
@pytest.mark.parametrize("mode", NASTY_OPTIONS)
@pytest.mark.parametrize(("name", "verdict"), NASTY.items(), ids=NASTY.keys())
def test_nasty_file(name: str, verdict: str | Reject, mode: str) -> None:
    data = (DATA / "nasty" / name).read_bytes()
    options = NASTY_OPTIONS[mode]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        if isinstance(verdict, Reject):
            assert rejection(data, options).reason is verdict
            return
        prepared = prepare(data, options)
    with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(data)) as picture:
        size, gray = picture.size, picture.mode == "L"
    resized = name in NASTY_RESIZED.get(mode, ())
    assert prepared.resized == resized
    assert prepared.action == nasty_action(name, mode)
    assert prepared.source_format == ("JPEG" if verdict == "copied" else verdict)
    assert (prepared.encoded is data) == (prepared.action == "copied")
    if resized:
        assert max(prepared.width, prepared.height) == 200 or 0.98 < prepared.width * prepared.height / 307_200 <= 1
        assert prepared.width / prepared.height == pytest.approx(size[0] / size[1], rel=0.02)
    else:
        assert (prepared.width, prepared.height) == size
    assert_decodes(prepared)
    if prepared.action == "reencoded":
        header = jpeg.read_header(prepared.encoded)
        assert header is not None
        assert header.kind is jpeg.JpegKind.PLAIN
        assert header.components == (1 if gray else 3)


@needs_real
@pytest.mark.parametrize("options", [COPY, VERIFY], ids=["copy", "verify"])
def test_real_images_are_copied_and_decode(options: ImageOptions) -> None:
    paths = sorted((DATA / "real" / "images").glob("*.jpg"))
    assert paths
    for path in paths[:: 1 if options is COPY else 8]:
        data = path.read_bytes()
        prepared = prepare(data, options)
        assert prepared.encoded is data
        assert_decodes(prepared)


# A BMP cannot hold LA, and TensorFlow reads none with a palette.
@pytest.mark.parametrize(
    ("image_format", "mode"),
    [(f, m) for f in ("PNG", "GIF", "WEBP") for m in ("1", "L", "P", "RGB", "LA", "RGBA")]
    + [("BMP", m) for m in ("L", "RGB", "RGBA")],
)
def test_other_formats_keep_their_pixels(image_format: str, mode: str) -> None:
    """TensorFlow decodes the source with libraries of its own, so it is the judge of the pixels."""
    tf = require("tensorflow")
    source = smooth().convert(mode)
    options: dict[str, Any] = {"lossless": True} if image_format == "WEBP" else {}
    data = encoded_as(source, image_format, **options)
    prepared = prepare(data, COPY)
    channels = 3 if image_format == "PNG" else 0
    expected = tf.io.decode_image(data, channels=channels, expand_animations=False).numpy()[..., :3].astype(np.int16)
    # The mean forgives what JPEG does at the edges of dithered pictures.
    assert np.abs(assert_decodes(prepared) - expected).mean() < 8
    assert (prepared.action, prepared.source_format) == ("reencoded", image_format)


def test_gray_stays_gray() -> None:
    gray = smooth().convert("L")
    for data in (encoded_as(gray, "PNG"), encoded_as(gray.convert("LA"), "PNG"), encoded_as(gray, "BMP")):
        picture = opened(prepare(data, COPY))
        assert picture.mode == "L"
        assert np.abs(samples(picture) - samples(gray)).max() <= 8


def test_sixteen_bits_keep_the_high_byte() -> None:
    """As libpng's `png_set_strip_16` does, and with it TensorFlow."""
    tf = require("tensorflow")
    ramp = b"".join(b"\0" + struct.pack(">64H", *(range(0, 65536, 1024))) for _ in range(8))
    data = png(64, 8, ramp, bits=16)
    picture = opened(prepare(data, COPY))
    assert picture.mode == "L"
    assert np.abs(samples(picture) - tf.io.decode_png(data).numpy()[..., 0].astype(np.int16)).max() <= 3
    rgb = b"".join(
        b"\0" + struct.pack(">192H", *(v for v in range(0, 65536, 1024) for _ in range(3))) for _ in range(8)
    )
    data = png(64, 8, rgb, bits=16, color=2)
    expected = tf.io.decode_png(data).numpy().astype(np.int16)
    assert np.abs(samples(opened(prepare(data, COPY))) - expected).max() <= 3


def transparent_palette() -> bytes:
    picture = Image.new("P", (16, 16), 1)
    picture.putpalette([255, 0, 0, 0, 0, 255])
    return encoded_as(picture, "PNG", transparency=1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: encoded_as(Image.new("RGBA", (16, 16), (200, 0, 0, 0)), "PNG"),
        lambda: encoded_as(Image.new("LA", (16, 16), (10, 0)), "PNG"),
        lambda: encoded_as(Image.new("RGBA", (16, 16), (200, 0, 0, 0)), "WEBP", lossless=True, exact=True),
        lambda: encoded_as(Image.new("RGB", (16, 16), (9, 8, 7)), "PNG", transparency=(9, 8, 7)),
        lambda: encoded_as(Image.new("L", (16, 16), 9), "PNG", transparency=9),
        lambda: encoded_as(Image.new("L", (16, 16), 9), "GIF", transparency=9),
        transparent_palette,
    ],
    ids=["rgba", "la", "webp", "rgb key", "gray key", "gif", "palette"],
)
def test_transparent_pixels_are_white(make: Callable[[], bytes]) -> None:
    assert opened(prepare(make(), COPY)).getextrema() in (((255, 255),) * 3, (255, 255))


def test_half_transparent_pixels_mix_with_white() -> None:
    data = encoded_as(Image.new("RGBA", (16, 16), (0, 0, 255, 128)), "PNG")
    assert np.abs(samples(opened(prepare(data, COPY))) - (127, 127, 255)).max() <= 2


def test_first_picture_of_an_animation() -> None:
    frames = [Image.new("RGB", (20, 10), color) for color in ("red", "lime", "blue")]
    for image_format in ("GIF", "PNG", "WEBP", "MPO"):
        data = encoded_as(frames[0], image_format, save_all=True, append_images=frames[1:])
        prepared = prepare(data, COPY)
        assert (prepared.source_format, prepared.width, prepared.height) == (image_format, 20, 10)
        assert np.abs(samples(opened(prepared)) - (255, 0, 0)).max() <= 3


def test_cmyk_is_what_tensorflow_sees_in_it() -> None:
    tf = require("tensorflow")
    data = encoded_as(smooth().convert("CMYK"), "JPEG", quality=100)
    prepared = prepare(data, COPY)
    assert (prepared.action, prepared.source_format) == ("reencoded", "JPEG")
    expected = tf.io.decode_jpeg(data, channels=3).numpy().astype(np.int16)
    assert np.abs(assert_decodes(prepared) - expected).mean() < 3


def test_pixels_stay_where_they_are_and_metadata_goes() -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    profile = b"\0" * 128
    source = smooth((30, 20))
    for image_format, options in (
        ("PNG", {"exif": tags, "icc_profile": profile}),
        ("WEBP", {"exif": tags, "icc_profile": profile}),
        ("GIF", {"comment": b"a comment"}),
        ("JPEG", {"exif": tags, "icc_profile": profile, "comment": b"a comment"}),
    ):
        picture = source.convert("CMYK") if image_format == "JPEG" else source
        prepared = prepare(encoded_as(picture, image_format, **options), COPY)
        assert (prepared.action, prepared.width, prepared.height) == ("reencoded", 30, 20)
        assert set(opened(prepared).info) <= {"jfif", "jfif_version", "jfif_unit", "jfif_density"}
        assert opened(prepared).getexif().get(0x0112, 1) == 1


def test_orientation_of_a_copied_image_stays_with_it() -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    data = encoded_as(smooth((30, 20)), "JPEG", exif=tags)
    prepared = prepare(data, COPY)
    assert prepared.encoded is data
    assert (prepared.width, prepared.height) == (30, 20)


def test_chroma_is_not_subsampled_and_quality_is_as_asked() -> None:
    data = encoded_as(smooth(), "PNG")
    low, high = (prepare(data, ImageOptions(quality=quality)) for quality in (30, 95))
    assert len(low.encoded) < len(high.encoded)
    for prepared, quality in ((low, 30), (high, 95)):
        expected = Image.open(io.BytesIO(encoded_as(smooth(), "JPEG", quality=quality, subsampling=0)))
        actual = opened(prepared)
        assert isinstance(actual, JpegImagePlugin.JpegImageFile)
        assert isinstance(expected, JpegImagePlugin.JpegImageFile)
        assert actual.quantization == expected.quantization
        assert [layer[1:3] for layer in actual.layer] == [(1, 1)] * 3


def test_the_same_input_gives_the_same_bytes() -> None:
    data = encoded_as(smooth(), "PNG")
    assert prepare(data, COPY) == prepare(bytes(bytearray(data)), COPY)


def test_empty_file() -> None:
    assert rejection(b"").reason is Reject.IMAGE_EMPTY


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xef\xbb\xbf\n <HTML><body>404</body>", "looks like HTML"),
        (b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>', "looks like XML"),
        (b'{"error": "not found"}', "looks like JSON"),
        ("Fichier non trouvé, veuillez réessayer plus tard, s'il vous plaît".encode(), "looks like text"),
        (b"BMW is a maker of cars", "looks like text"),
        (b"II*\0" + bytes(40), "looks like TIFF"),
        (b"%PDF-1.7", "looks like PDF"),
        (b"\0\0\0\x20ftypavif" + bytes(40), "looks like avif"),
        (bytes(100), "starts with zero bytes"),
        (b"\x93\x01\xfe\xff\x88\x99\xaa", "unknown format"),
        (b"\xd8\xff", "unknown format"),
    ],
)
def test_not_an_image_says_what_it_looks_like(data: bytes, words: str) -> None:
    rejected = rejection(data)
    assert rejected.reason is Reject.NOT_AN_IMAGE
    assert words in rejected.detail
    assert repr(data[:4])[2:-1] in rejected.detail


def test_too_many_bytes() -> None:
    data = encoded_as(smooth(), "JPEG")
    assert prepare(data, ImageOptions(max_bytes=len(data))).encoded is data
    rejected = rejection(data, ImageOptions(max_bytes=len(data) - 1))
    assert rejected.reason is Reject.IMAGE_TOO_LARGE
    assert f"{len(data)} bytes" in rejected.detail


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
@pytest.mark.parametrize("mode", ["copy", "verify"])
def test_too_many_pixels(image_format: str, mode: str) -> None:
    data = encoded_as(smooth((30, 20)), image_format)
    assert prepare(data, ImageOptions(mode=mode, max_pixels=600)).width == 30
    assert rejection(data, ImageOptions(mode=mode, max_pixels=599)).reason is Reject.IMAGE_TOO_LARGE


def gif_of(screen: tuple[int, int], frame: tuple[int, int], before: bytes = b"", colors: int = 0) -> bytes:
    """Writes the start of a GIF with one empty picture (GIF89a, sections 18 to 22)."""
    flags = 0x80 | colors - 1 if colors else 0
    table = bytes(3 << colors) if colors else b""
    header = b"GIF89a" + struct.pack("<HHBBB", *screen, flags, 0, 0) + table
    return header + before + b"," + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\x08\x00;"


def webp_of(chunk: bytes, payload: bytes) -> bytes:
    body = b"WEBP" + chunk + struct.pack("<I", len(payload)) + payload
    return b"RIFF" + struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    "data",
    [
        png(60_000, 60_000, b""),
        b"BM" + struct.pack("<IIIIiiHHIIIIII", 60, 0, 54, 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0),
        gif_of((60_000, 60_000), (1, 1)),
        gif_of((1, 1), (60_000, 60_000)),
        gif_of((1, 1), (60_000, 60_000), before=b"!\xfe\x03abc\x02,,\0" + b"\0junk!\xf9\x04\0\0\0\0\0", colors=3),
        webp_of(b"VP8X", b"\0\0\0\0" + b"\xff\x3f\0" * 2),
        webp_of(b"VP8L", b"\x2f\xff\xff\xff\x0f" + bytes(8)),
        webp_of(b"VP8 ", b"\0\0\0\x9d\x01\x2a\xff\x3f\xff\x3f" + bytes(8)),
    ],
    ids=["png", "bmp", "gif screen", "gif frame", "gif extensions", "webp extended", "webp lossless", "webp lossy"],
)
def test_bombs_are_refused_by_their_header(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: ImageFile.ImageFile) -> None:
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rejected = rejection(data)
    assert rejected.reason is Reject.IMAGE_TOO_LARGE
    assert "pixels, more than 178956970" in rejected.detail


def test_no_warning_of_a_large_image_within_the_limit() -> None:
    """Pillow's `Image.open` warns from 89 million pixels on."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert rejection(png(10_000, 10_000, b"")).reason is Reject.IMAGE_BROKEN


def test_longer_than_a_jpeg_can_be() -> None:
    rejected = rejection(encoded_as(Image.new("L", (65_501, 1)), "PNG"))
    assert rejected.reason is Reject.IMAGE_TOO_LARGE
    assert "65500" in rejected.detail


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
def test_cut_in_half(image_format: str) -> None:
    data = encoded_as(Image.effect_noise((40, 30), 90).convert("RGB"), image_format)
    assert rejection(data[: len(data) // 2]).reason is Reject.IMAGE_CUT_OFF


def test_broken_but_whole() -> None:
    data = bytearray(encoded_as(smooth(), "PNG"))
    data[len(data) // 2] ^= 0xFF
    assert rejection(bytes(data)).reason is Reject.IMAGE_BROKEN


def test_height_left_to_a_later_marker_is_broken() -> None:
    data = bytearray(encoded_as(smooth(), "JPEG"))
    frame = data.find(b"\xff\xc0\x00")
    data[frame + 5 : frame + 7] = b"\0\0"
    rejected = rejection(bytes(data))
    assert rejected.reason is Reject.IMAGE_BROKEN
    assert "64x0" in rejected.detail


def test_endless_header_never_reaches_a_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"\xff\xd8" + b"\xff\xe0\0\2" * jpeg.MAX_MARKERS + encoded_as(smooth(), "JPEG")[2:]
    monkeypatch.setattr("oi_tfrecord.images.prepare._decode", lambda *_: pytest.fail("decoded"))
    assert rejection(data).reason is Reject.IMAGE_BROKEN


def test_verify_finds_what_a_header_does_not_show() -> None:
    data = encoded_as(smooth(), "JPEG")
    stray = data[:-2] + b"\xff\xf5" + data[-2:]
    swallowed_end = data[:-2] + b"\xff\xe0" + data[-2:]
    for broken in (stray, swallowed_end):
        assert prepare(broken, COPY).encoded is broken
        assert rejection(broken, VERIFY).reason is Reject.IMAGE_BROKEN


def test_impossible_tables_in_the_header_are_found() -> None:
    data = encoded_as(smooth(), "JPEG")
    huffman = data.find(b"\xff\xc4")
    broken = data[: huffman + 5] + b"\xff" * 16 + data[huffman + 21 :]
    for options in (COPY, VERIFY):
        assert rejection(broken, options).reason is Reject.IMAGE_BROKEN


def test_broken_exif_warns_nobody() -> None:
    """A TIFF directory whose value lies beyond its end, of which Pillow warns when it reads EXIF."""
    beyond = struct.pack(">HHHIII", 1, 0x011A, 5, 1, 9999, 0)
    data = encoded_as(smooth(), "JPEG", exif=b"Exif\0\0MM\0*" + struct.pack(">I", 8) + beyond)
    with pytest.warns(UserWarning, match="Truncated File Read"):
        Image.open(io.BytesIO(data)).getexif().get(0x011A)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert prepare(data, VERIFY).encoded is data


def test_cmyk_with_junk_in_the_header_is_reencoded() -> None:
    data = encoded_as(smooth().convert("CMYK"), "JPEG")
    assert prepare(data[:2] + b"\xff\0" + data[2:], COPY).action == "reencoded"


@given(
    st.sampled_from(["JPEG", "PNG", "GIF", "WEBP", "BMP"]),
    st.sampled_from(["L", "RGB", "CMYK"]),
    st.lists(st.tuples(st.integers(0, 700) | st.integers(0, 10_000), st.integers(0, 255)), max_size=4),
    st.integers(0, 10_000),
    st.sampled_from(["copy", "verify"]),
)
def test_flipped_and_cut_bytes_are_rejected_or_stored(
    image_format: str, mode: str, flips: list[tuple[int, int]], keep: int, check: str
) -> None:
    picture = Image.effect_noise((24, 18), 90).convert("RGB" if image_format != "JPEG" else mode)
    data = bytearray(encoded_as(picture, image_format))
    for offset, value in flips:
        data[offset % len(data)] = value
    if keep < len(data):
        del data[keep:]
    try:
        prepared = prepare(bytes(data), ImageOptions(mode=check))
    except ImageRejected:
        return
    header = jpeg.read_header(prepared.encoded)
    assert header is not None
    assert (header.width, header.height) == (prepared.width, prepared.height)
    if check == "verify" or prepared.action == "reencoded":
        assert_decodes(prepared)


@given(st.binary(max_size=200))
def test_any_bytes_are_rejected(data: bytes) -> None:
    assert rejection(data).detail
    assert rejection(b"GIF89a" + data[:60]).detail
    assert rejection(b"RIFF\xff\0\0\0WEBP" + data).detail


def test_many_threads_agree() -> None:
    inputs = [
        encoded_as(smooth((30 + n, 20)), image_format) for n in range(6) for image_format in ("PNG", "WEBP", "JPEG")
    ]
    before = (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters))
    expected = [prepare(data, VERIFY) for data in inputs]
    start = threading.Barrier(6)

    def work(_: int) -> list[PreparedImage]:
        start.wait()
        return [prepare(data, VERIFY) for data in inputs]

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        assert all(result == expected for result in pool.map(work, range(6)))
    assert (Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, list(warnings.filters)) == before


def test_pillow_is_not_imported_to_copy(tmp_path: Path) -> None:
    path = tmp_path / "image.jpg"
    path.write_bytes(encoded_as(smooth(), "JPEG"))
    program = (
        "import sys; from oi_tfrecord.images.prepare import prepare;"
        "from oi_tfrecord.images.values import ImageOptions;"
        f"data = open({str(path)!r}, 'rb').read();"
        "assert prepare(data, ImageOptions()).encoded is data;"
        "sys.exit('PIL' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parents[2], check=False).returncode == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", "verfy"),
        ("mode", None),
        ("max_bytes", 0),
        ("max_bytes", 1.5),
        ("max_pixels", -1),
        ("max_pixels", "1"),
        ("quality", 0),
        ("quality", 101),
        ("quality", True),
        ("chroma", "4:1:1"),
        ("max_side", -1),
        ("pixel_budget", 1.5),
    ],
)
def test_bad_options_name_the_field(field: str, value: Any) -> None:
    with pytest.raises(ConfigError) as raised:
        ImageOptions(**{field: value})
    assert raised.value.field == field
    assert repr(value) in raised.value.problem


def test_a_mistyped_mode_gets_a_hint() -> None:
    with pytest.raises(ConfigError, match="did you mean 'verify'"):
        ImageOptions(mode="verfy")


def test_a_rejection_survives_pickling() -> None:
    rejected = ImageRejected(Reject.IMAGE_BROKEN, "why")
    copy = pickle.loads(pickle.dumps(rejected))
    assert (copy.reason, copy.detail, str(copy)) == (Reject.IMAGE_BROKEN, "why", "image_broken: why")


@pytest.mark.parametrize("image_format", ["JPEG", "PNG", "GIF", "WEBP", "BMP"])
@pytest.mark.parametrize("size", [(640, 480), (97, 301)])
def test_resized_pictures_show_the_same(image_format: str, size: tuple[int, int]) -> None:
    """Judged by Pillow's own area average, which is another filter and another way."""
    source = smooth(size)
    prepared = prepare(encoded_as(source, image_format), ImageOptions(mode="resize", max_side=64))
    expected = source.resize((prepared.width, prepared.height), Image.Resampling.BOX)
    # GIF has 256 colours.
    assert np.abs(samples(opened(prepared)) - samples(expected)).mean() < (12 if image_format == "GIF" else 4)
    assert prepared.resized
    assert max(prepared.width, prepared.height) == 64


def test_a_jpeg_is_decoded_no_larger_than_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    load = ImageFile.ImageFile.load

    def record(self: ImageFile.ImageFile) -> Any:
        decoded.append(self.size)
        return load(self)

    monkeypatch.setattr(ImageFile.ImageFile, "load", record)
    prepare(encoded_as(smooth((1600, 1200)), "JPEG"), ImageOptions(mode="resize", max_side=390))
    assert set(decoded) == {(400, 300)}


def test_small_images_are_never_enlarged_and_plain_ones_copied() -> None:
    options = ImageOptions(mode="resize", max_side=1000, pixel_budget=10**6)
    data = encoded_as(smooth(), "JPEG")
    assert prepare(data, options).encoded is data
    prepared = prepare(encoded_as(smooth(), "PNG"), options)
    assert (prepared.width, prepared.height, prepared.resized) == (64, 48, False)


def test_a_damaged_image_is_found_when_resized() -> None:
    data = encoded_as(smooth((640, 480)), "JPEG")
    stray = data[:-40] + b"\xff\xf5" + data[-40:]
    assert rejection(stray, RESIZE).reason is Reject.IMAGE_BROKEN
    assert rejection(data[:-40], RESIZE).reason is Reject.IMAGE_CUT_OFF


@pytest.mark.parametrize("chroma", ["4:4:4", "4:2:2", "4:2:0"])
def test_quality_and_chroma_of_resized_images(chroma: str) -> None:
    options = ImageOptions(mode="resize", max_side=64, quality=77, chroma=chroma)
    actual = opened(prepare(encoded_as(smooth((640, 480)), "JPEG"), options))
    expected = Image.open(io.BytesIO(encoded_as(smooth(), "JPEG", quality=77, subsampling=chroma)))
    assert isinstance(actual, JpegImagePlugin.JpegImageFile)
    assert isinstance(expected, JpegImagePlugin.JpegImageFile)
    assert actual.quantization == expected.quantization
    assert actual.layer == expected.layer


@pytest.mark.parametrize("mode", ["copy", "verify", "resize"])
@pytest.mark.parametrize("degrees", [90, 180, 270])
@pytest.mark.parametrize("image_format", ["JPEG", "PNG"])
def test_turned_by_the_angle_of_the_release_and_by_no_other(image_format: str, degrees: int, mode: str) -> None:
    tags = Image.Exif()
    tags[0x0112] = 6
    source = smooth((96, 64))
    options = ImageOptions(mode=mode, max_side=48 if mode == "resize" else 0)
    prepared = prepare(encoded_as(source, image_format, exif=tags), options, degrees)
    assert (prepared.action, prepared.turned) == ("reencoded", True)
    expected = source.rotate(degrees, expand=True).resize((prepared.width, prepared.height), Image.Resampling.BOX)
    assert np.abs(samples(opened(prepared)) - samples(expected)).mean() < 4
    assert sorted((prepared.width, prepared.height)) == ([32, 48] if mode == "resize" else [64, 96])
    assert (prepared.width < prepared.height) == (degrees != 180)
    assert opened(prepared).getexif().get(0x0112, 1) == 1


def test_a_longer_picture_than_a_jpeg_can_be_is_scaled_down() -> None:
    prepared = prepare(encoded_as(Image.new("L", (65_501, 10)), "PNG"), ImageOptions(mode="resize", max_side=1000))
    assert (prepared.width, prepared.height) == (1000, 1)


def test_pictures_wait_for_room_and_a_large_one_is_alone() -> None:
    budget, lock = PixelBudget(100), threading.Lock()
    held: list[int] = []
    seen: list[tuple[int, ...]] = []

    def work(pixels: int) -> None:
        with budget.hold(pixels):
            with lock:
                held.append(pixels)
                seen.append(tuple(held))
            time.sleep(0.001)
            with lock:
                held.remove(pixels)

    sizes = [40, 50, 60, 100, 500] * 12
    random.Random(1).shuffle(sizes)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(work, sizes))
    assert len(seen) == len(sizes)
    assert all(sum(together) <= 100 or together == (500,) for together in seen)
    assert any(len(together) > 1 for together in seen)


def test_a_failure_gives_its_room_back() -> None:
    budget = PixelBudget(10)
    for _ in range(3):
        try:
            with budget.hold(10):
                raise ValueError
        except ValueError:
            continue
    with budget.hold(10):
        pass
