import io
import pathlib
import warnings
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oi_tfrecord.images import jpeg_header as jpeg
from oi_tfrecord.images.jpeg_metadata import strip_metadata
from oi_tfrecord.images.prepare import prepare
from oi_tfrecord.images.values import ImageOptions, ImageRejected, PreparedImage
from tests.support.optional import tensorflow as tf

DATA = pathlib.Path(__file__).resolve().parents[3] / "shared" / "data"
STRIP = ImageOptions(strip_metadata=True)


def segment(code: int, payload: bytes) -> bytes:
    return bytes((0xFF, code)) + (len(payload) + 2).to_bytes(2, "big") + payload


def noise(mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture = Image.effect_noise((40, 30), 90)
    if mode == "RGB":
        picture = Image.merge("RGB", (picture, picture.rotate(180), picture.rotate(90).resize((40, 30))))
    picture.save(buffer, "JPEG", **options)
    return buffer.getvalue()


def strip(data: bytes) -> bytes:
    header = jpeg.read_header(data)
    assert header is not None
    return strip_metadata(data, header)


def pixels(data: bytes) -> np.ndarray:
    return tf.io.decode_jpeg(data, channels=3).numpy()


EXIF = b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0"
XMP = b"http://ns.adobe.com/xap/1.0/\0<x/>"
JFIF = b"JFIF\0\x01\x02\0\0\x01\0\x01"


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_all_metadata_goes_and_no_sample_changes(mode: str, progressive: bool) -> None:
    plain = noise(mode, progressive=progressive)
    rich = b"".join(
        [
            b"\xff\xd8",
            segment(0xE0, JFIF + b"\x02\x01" + b"\x50" * 6),
            segment(0xE0, b"JFXX\0\x10secret"),
            segment(0xE1, EXIF),
            segment(0xE1, XMP + b"secret"),
            segment(0xE2, b"ICC_PROFILE\0\x01\x01secret"),
            segment(0xED, b"Photoshop 3.0\0secret"),
            segment(0xFE, b"secret"),
            b"\xff\xff",
            plain[20:-2],
            b"\xff\xd9",
            b"secret after the end",
        ]
    )
    assert plain[:20] == b"\xff\xd8" + segment(0xE0, JFIF + b"\0\0")[:18].replace(b"\x01\x02", b"\x01\x01", 1)
    stripped = strip(rich)
    assert stripped == b"\xff\xd8" + segment(0xE0, JFIF + b"\0\0") + plain[20:]
    assert (pixels(stripped) == pixels(rich)).all()


def test_metadata_between_scans_goes() -> None:
    plain = noise(progressive=True)
    second = plain.rfind(b"\xff\xc4")
    assert second > plain.find(b"\xff\xda")
    rich = plain[:second] + segment(0xFE, b"secret") + segment(0xE1, EXIF) + plain[second:]
    assert strip(rich) == plain
    assert (pixels(rich) == pixels(plain)).all()


def test_what_has_no_metadata_is_passed_on() -> None:
    data = noise()
    assert strip(data) is data
    prepared = prepare(data, STRIP)
    assert prepared.encoded is data
    assert prepared.action == "copied"


@pytest.mark.parametrize("jfif", [True, False])
@pytest.mark.parametrize("transform", [0, 1])
def test_the_colour_space_stays(jfif: bool, transform: int) -> None:
    """Without APP14 a decoder would take an RGB JPEG for YCbCr; TensorFlow's decoder is libjpeg."""
    body = noise()[20:]
    adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))
    start = b"\xff\xd8" + (segment(0xE0, JFIF + b"\0\0") if jfif else b"")
    rich = start + segment(0xE1, EXIF) + adobe + body
    stripped = strip(rich)
    assert stripped == start + adobe + body
    assert (pixels(stripped) == pixels(rich)).all()
    if not jfif and not transform:
        assert (pixels(start + body) != pixels(rich)).any()


def check_stripped(data: bytes, prepared: PreparedImage) -> None:
    """Judges a stripped image by the decoder of training and by Pillow's reader of metadata."""
    again = Image.open(io.BytesIO(prepared.encoded))
    assert not set(again.info) - {"jfif", "jfif_version", "jfif_unit", "jfif_density", "adobe", "adobe_transform",
                                  "progressive", "progression", "dpi"}  # fmt: skip
    assert not dict(again.getexif())
    if prepared.action != "reencoded":
        assert (pixels(prepared.encoded) == pixels(data)).all()
        assert len(prepared.encoded) <= len(data)
    assert (prepared.width, prepared.height) == again.size


@pytest.mark.skipif(not (DATA / "nasty").is_dir(), reason="the nasty images (shared/data/nasty) are absent")
def test_broken_files_keep_their_pixels() -> None:
    done = {}
    for path in sorted((DATA / "nasty").glob("*.*")):
        data = path.read_bytes()
        try:
            plain, prepared = prepare(data, ImageOptions()), prepare(data, STRIP)
        except ImageRejected:
            continue
        with warnings.catch_warnings(action="ignore"):
            check_stripped(data, prepared)
        done[path.name] = prepared.action
        if plain.action == "reencoded":
            assert prepared == plain
    assert {"copied", "reencoded", "stripped"} >= set(done.values()) >= {"reencoded", "stripped"}
    assert done["hopper_orientation_6.jpg"] == done["icc_profile_big.jpg"] == "stripped"
    data = (DATA / "nasty" / "icc_profile_big.jpg").read_bytes()
    profile = Image.open(io.BytesIO(data)).info["icc_profile"]
    assert len(prepare(data, STRIP).encoded) <= len(data) - len(profile)


@pytest.mark.skipif(not (DATA / "real").is_dir(), reason="the real images (shared/data/real) are absent")
def test_real_images_keep_their_pixels() -> None:
    for path in sorted((DATA / "real" / "images").glob("*.jpg"))[::12]:
        data = path.read_bytes()
        check_stripped(data, prepare(data, STRIP))


def test_bytes_between_markers_go_if_the_picture_stays() -> None:
    data = noise()
    junk = data[:20] + b"secret" + segment(0xFE, b"more secret") + data[20:]
    header = jpeg.read_header(junk)
    assert header is not None
    assert header.kind is jpeg.JpegKind.UNSURE
    prepared = prepare(junk, STRIP)
    assert prepared.encoded == data
    assert prepared.action == "stripped"


def test_where_stripping_would_change_the_picture_it_is_encoded_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    data = noise()
    junk = data[:20] + b"junk" + data[20:]
    monkeypatch.setattr("oi_tfrecord.images.prepare.strip_metadata", lambda data, header: noise("L"))
    prepared = prepare(junk, STRIP)
    assert prepared.action == "reencoded"
    assert np.abs(pixels(prepared.encoded).astype(int) - pixels(data)).mean() < 6


def test_resized_and_verified_images_have_none_either() -> None:
    rich = noise(comment=b"secret", exif=EXIF)
    for options in (
        ImageOptions(mode="verify", strip_metadata=True),
        ImageOptions(mode="resize", max_side=100, strip_metadata=True),
        ImageOptions(mode="resize", max_side=20),
    ):
        encoded = prepare(rich, options).encoded
        assert b"secret" not in encoded
        assert b"Exif" not in encoded
    assert prepare(rich, ImageOptions(mode="resize", max_side=100)).encoded is rich
