import csv
import functools
import io
import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from oi_tfrecord.images import jpeg_header as jpeg
from oi_tfrecord.images.jpeg_header import JpegHeader, JpegKind

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
needs_real = pytest.mark.skipif(not (DATA / "real").is_dir(), reason="the real images (shared/data/real) are absent")


def encode(mode: str = "RGB", size: tuple[int, int] = (40, 30), **options: Any) -> bytes:
    """Returns a noisy JPEG: noise fills the image data with FF bytes and their stuffing."""
    buffer = io.BytesIO()
    _noise(size).convert(mode).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@functools.cache
def _noise(size: tuple[int, int]) -> Image.Image:
    return Image.effect_noise(size, 90)


def header_of(data: bytes) -> JpegHeader:
    header = jpeg.read_header(data)
    assert header is not None
    return header


def segment(marker: int, payload: bytes) -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload


def frame_offset(data: bytes) -> int:
    """Returns the offset of the frame header in a JPEG made here."""
    return max(data.find(b"\xff\xc0\x00"), data.find(b"\xff\xc2\x00"))


def patched(data: bytes, offset: int, replacement: bytes) -> bytes:
    return data[:offset] + replacement + data[offset + len(replacement) :]


def exif(orientation: int, thumbnail: bytes = b"") -> bytes:
    """Returns an APP1 payload written from the TIFF 6.0 and EXIF layouts."""
    directory = struct.pack(">HHHIHHI", 1, 0x0112, 3, 1, orientation, 0, 0)
    return b"Exif\0\0MM\0*" + struct.pack(">I", 8) + directory + thumbnail


@st.composite
def jpegs(draw: st.DrawFn, progressive: bool | None = None) -> bytes:
    options: dict[str, Any] = {
        "progressive": draw(st.booleans()) if progressive is None else progressive,
        "optimize": draw(st.booleans()),
        "quality": draw(st.sampled_from((10, 75, 100))),
        "restart_marker_blocks": draw(st.sampled_from((0, 1, 5))),
    }
    mode = draw(st.sampled_from(("L", "RGB", "CMYK")))
    if mode == "RGB":
        options["subsampling"] = draw(st.sampled_from((0, 1, 2)))
        options["keep_rgb"] = draw(st.booleans())
        if options["keep_rgb"]:
            options["subsampling"] = 0
    if draw(st.booleans()):
        options["exif"] = exif(draw(st.integers(1, 8)), thumbnail=encode(size=(16, 8)))
    if draw(st.booleans()):
        options["comment"] = draw(st.binary(max_size=40))
    size = (draw(st.integers(1, 70)), draw(st.integers(1, 70)))
    return encode(mode, size, **options)


@given(jpegs(), st.binary(max_size=60))
def test_header_is_what_pillow_reads(data: bytes, trailing: bytes) -> None:
    header = header_of(data + trailing)
    with Image.open(io.BytesIO(data)) as picture:
        assert (header.width, header.height) == picture.size
        assert header.components == len(picture.getbands())
        assert header.progressive == bool(picture.info.get("progressive"))
        assert header.kind is (JpegKind.SPECIAL if picture.mode == "CMYK" else JpegKind.PLAIN)
    assert not jpeg.is_cut_off(data + trailing, header)
    assert jpeg.scan_fault(data + trailing, header) == ""


@given(jpegs(), st.data())
def test_cut_after_the_start_of_scan_is_found(data: bytes, draws: st.DataObject) -> None:
    header = header_of(data)
    cut = data[: draws.draw(st.integers(header.scan_start, len(data) - 1))]
    assert jpeg.read_header(cut) == header
    assert jpeg.is_cut_off(cut, header)
    assert jpeg.is_cut_off(cut + bytes(100), header), "a preallocated file that was not filled"


@given(jpegs(progressive=False), st.data())
def test_end_of_an_image_appended_to_a_cut_off_one_is_no_end(data: bytes, draws: st.DataObject) -> None:
    header = header_of(data)
    cut = data[: draws.draw(st.integers(header.scan_start, len(data) - 2))]
    appended = cut.removesuffix(b"\xff") + encode()
    assert "another image starts" in jpeg.scan_fault(appended, header)
    assert jpeg.is_cut_off(appended + b"\n", header)


@given(jpegs(), st.data())
def test_cut_before_the_image_data_is_found(data: bytes, draws: st.DataObject) -> None:
    cut = data[: draws.draw(st.integers(2, header_of(data).scan_start - 1))]
    header = header_of(cut)
    assert header.kind is JpegKind.CUT_OFF
    assert jpeg.is_cut_off(cut, header)


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise(rest: bytes) -> None:
    for data in (rest, b"\xff\xd8\xff" + rest, encode()[:200] + rest, encode() + rest):
        header = jpeg.read_header(data)
        assert (header is None) == (data[:2] != b"\xff\xd8" or data[2:3] not in (b"", b"\xff"))
        if header is not None:
            jpeg.is_cut_off(data, header)
            jpeg.scan_fault(data, header)


@given(st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255)), min_size=1, max_size=5), jpegs())
def test_flipped_bytes_do_not_make_it_raise(flips: list[tuple[int, int]], data: bytes) -> None:
    flipped = bytearray(data)
    for offset, value in flips:
        flipped[offset % len(flipped)] = value
    header = jpeg.read_header(bytes(flipped))
    if header is not None:
        assert header.scan_start <= len(flipped)
        jpeg.is_cut_off(bytes(flipped), header)


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xd8\xff", b"\xff\xd8\0", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"<html>"])
def test_other_files_are_no_jpeg(data: bytes) -> None:
    assert jpeg.read_header(data) is None


def test_end_marker_in_a_segment_between_scans_is_no_end() -> None:
    data = encode(progressive=True)
    second_scan = data.find(b"\xff\xda", header_of(data).scan_start)
    tables = data.find(b"\xff\xc4", header_of(data).scan_start)
    between = min(offset for offset in (second_scan, tables) if offset > 0)
    with_comment = data[:between] + segment(0xFE, b"..\xff\xd9..") + data[between:]
    header = header_of(with_comment)
    assert not jpeg.is_cut_off(with_comment, header)
    assert jpeg.is_cut_off(with_comment[: between + 200], header)


def test_end_marker_in_an_exif_thumbnail_is_no_end() -> None:
    data = encode(exif=exif(1, thumbnail=encode(size=(8, 8))))
    header = header_of(data)
    assert (header.width, header.height) == (40, 30)
    assert b"\xff\xd9" in data[: header.scan_start]
    assert jpeg.is_cut_off(data[:-2], header)


@pytest.mark.parametrize(
    ("junk", "note"),
    [
        (b"hello", "bytes between markers"),
        (b"\xff\0", "marker FF00"),
        (b"\xff\xd8", "marker FFD8"),
        (b"\xff\xe0\0\0", "segment length 0"),
        (b"\xff\xe0\0\1", "segment length 1"),
    ],
)
def test_junk_between_markers_is_unsure_but_still_read(junk: bytes, note: str) -> None:
    data = encode()
    with_junk = data[:20] + junk + data[20:]
    header = header_of(with_junk)
    assert (header.kind, header.width, header.height) == (JpegKind.UNSURE, 40, 30)
    assert note in header.note
    assert header.scan_start == header_of(data).scan_start + len(junk)
    assert not jpeg.is_cut_off(with_junk, header)


def test_fill_bytes_before_a_marker_are_plain() -> None:
    """T.81, B.1.1.2: any marker may be preceded by any number of bytes FF."""
    data = encode()
    assert header_of(data[:20] + b"\xff\xff\xff" + data[20:]).kind is JpegKind.PLAIN


@pytest.mark.parametrize(
    ("offset", "replacement", "note"),
    [
        (5, b"\0\0", "size 40x0"),
        (7, b"\0\0", "size 0x30"),
        (7, b"\xff\xdd", "size 65501x30"),
        (11, b"\x31", "sampling"),
        (14, b"\x21", "sampling"),
        (2, b"\0\x10", "wrong length"),
    ],
)
def test_odd_frame_header_is_unsure(offset: int, replacement: bytes, note: str) -> None:
    """Offsets inside the frame header: T.81, figure B.3."""
    data = encode(subsampling=0)
    header = header_of(patched(data, frame_offset(data) + offset, replacement))
    assert header.kind is JpegKind.UNSURE
    assert note in header.note


@pytest.mark.parametrize("components", [1, 4])
def test_odd_scan_header_is_unsure(components: int) -> None:
    """The length of a scan header follows from its number of components: T.81, B.2.3."""
    data = encode()
    header = header_of(patched(data, data.rfind(b"\xff\xda") + 4, bytes((components,))))
    assert (header.kind, header.note) == (JpegKind.UNSURE, "the scan header has a wrong length")


def test_two_frame_headers_are_unsure() -> None:
    data = encode()
    frame = frame_offset(data)
    assert header_of(data[:frame] + data[frame : frame + 19] + data[frame:]).note == "two frame headers"


def test_scan_without_a_frame_is_unsure() -> None:
    data = encode()
    frame = frame_offset(data)
    header = header_of(data[:frame] + data[frame + 19 :])
    assert (header.kind, header.width, header.height, header.components) == (JpegKind.UNSURE, 0, 0, 0)


@pytest.mark.parametrize(
    ("offset", "replacement", "note"),
    [
        (1, b"\xc3", "SOF3"),
        (1, b"\xc9", "SOF9"),
        (1, b"\xca", "SOF10"),
        (4, b"\x0c", "12 bits"),
        (9, b"\x02", "2 components"),
        (9, b"\x05", "5 components"),
    ],
)
def test_other_coding_processes_are_special(offset: int, replacement: bytes, note: str) -> None:
    data = encode()
    header = header_of(patched(data, frame_offset(data) + offset, replacement))
    assert header.kind is JpegKind.SPECIAL
    assert note in header.note


def test_several_pictures_are_special() -> None:
    buffer = io.BytesIO()
    _noise((20, 10)).save(buffer, "MPO", save_all=True, append_images=[_noise((20, 10))])
    header = header_of(buffer.getvalue())
    assert (header.kind, header.multi_picture, header.width, header.height) == (JpegKind.SPECIAL, True, 20, 10)
    assert not jpeg.is_cut_off(buffer.getvalue(), header)


def test_other_app2_segments_are_plain() -> None:
    assert header_of(encode(icc_profile=b"MPF\0" * 40_000)).kind is JpegKind.PLAIN


def test_endless_header_is_broken() -> None:
    endless = b"\xff\xd8" + segment(0xE0, b"") * jpeg.MAX_MARKERS + encode()[2:]
    header = header_of(endless)
    assert header.kind is JpegKind.BROKEN
    assert header.scan_start == 0


@pytest.mark.parametrize("marker", [0xF5, 0x02, 0xC0, 0xC8])
def test_stray_marker_in_the_image_data_is_a_fault(marker: int) -> None:
    data = encode()
    header = header_of(data)
    stray = data[: header.scan_start] + bytes((0xFF, marker)) + data[header.scan_start :]
    assert f"FF{marker:02X}" in jpeg.scan_fault(stray, header)


@needs_real
def test_real_images_are_plain_and_whole() -> None:
    with (DATA / "real" / "images.manifest.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert rows
    for row in rows:
        data = (DATA / "real" / "images" / f"{row['ImageID']}.jpg").read_bytes()
        header = header_of(data)
        assert header.kind is JpegKind.PLAIN, row["ImageID"]
        assert (header.width, header.height) == (int(row["width"]), int(row["height"]))
        assert header.progressive == bool(int(row["progressive"]))
        assert not jpeg.is_cut_off(data, header)
        assert jpeg.scan_fault(data, header) == ""
        assert jpeg.is_cut_off(data[: len(data) * 3 // 5], header)
