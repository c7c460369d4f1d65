"""The header of a JPEG, read without decoding the image: its kind, its size, whether it is whole.

The markers are those of ITU-T T.81 (ISO/IEC 10918-1), annex B. The reader walks from marker to marker as libjpeg
does, and copies nothing.
"""

import enum
import re
import struct
from typing import NamedTuple

from oi_tfrecord.images.jpeg_segments import FAULT_OF

MAX_MARKERS = 10_000
"""Markers looked at before the image data. Real files have tens; a decoder would keep each of millions of empty
segments in memory."""

MAX_SIDE = 65_500
"""Largest width or height libjpeg decodes or writes (JPEG_MAX_DIMENSION in jmorecfg.h)."""

CHECK_DRAFT = ("L", (1, 1))
"""Mode and least size of a picture that is decoded only to check a plain JPEG: all bits are read, so that each fault of
the data shows, but only an eighth of the pixels of each side is computed, without colours."""

_SKIP, _CHECKED, _FRAME, _SCAN, _ODD = range(5)


def _roles() -> tuple[int, ...]:
    roles = [_ODD] * 256
    for marker in (0xC4, 0xCC, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)):
        roles[marker] = _SKIP
    for marker in range(0xC0, 0xD0):
        if marker not in (0xC4, 0xC8, 0xCC):
            roles[marker] = _FRAME
    for marker in FAULT_OF:
        roles[marker] = _CHECKED
    roles[0xDA] = _SCAN
    return tuple(roles)


_ROLES = _roles()

SEGMENT_MARKERS = frozenset(code for code, role in enumerate(_ROLES) if role != _ODD)
"""Second bytes of the markers that a length follows in a header; other markers stand alone, or are odd."""

_FRAME_FIELDS = struct.Struct(">BHHB")
"""Bits per sample, height, width, components."""

_PROGRESSIVE = frozenset((0xC2, 0xC6, 0xCA, 0xCE))

# Vertical and horizontal sampling of luma for which every decoder works, both chroma components being 1x1; at most ten
# blocks fit in one coded unit (T.81, B.2.3).
_USUAL_SAMPLING = frozenset((0x11, 0x12, 0x21, 0x22, 0x14, 0x41, 0x24, 0x42))

MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
"""A marker in image data, other than a restart marker (T.81, B.1.1.5)."""

# Tables, miscellaneous segments, the next scan header and the number of lines (T.81, B.2.1).
_BETWEEN_SCANS = frozenset((0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)))

_NO_END = "no end-of-image marker"

_PAST_END = "a segment inside the image data runs past the end of the file"

_ANOTHER_START = "another image starts before the end of this one"

_CUT_OFF_FAULTS = (_NO_END, _PAST_END, _ANOTHER_START)


class JpegKind(enum.Enum):
    """How a JPEG can be used, as far as its header shows."""

    PLAIN = "plain"
    """Baseline, extended or progressive Huffman, 8 bits, grayscale or three components, one picture."""
    SPECIAL = "special"
    """A well-formed JPEG of another sort: CMYK, several pictures, 12 bits, arithmetic, lossless."""
    UNSURE = "unsure"
    """With oddities that some decoders accept; only decoding the image shows whether it is good."""
    CUT_OFF = "cut off"
    """The bytes end before the image data starts."""
    BROKEN = "broken"
    """Without image data within `MAX_MARKERS` markers; do not decode such a file."""


class JpegHeader(NamedTuple):
    """What a JPEG says before its image data.

    Attributes:
        kind: a header both special and unsure is special.
        width: pixels as stored, not turned by EXIF; 0 without a frame header.
        height: pixels as stored; 0 without a frame header, or if a DNL marker gives it.
        components: 1 gray, 3 YCbCr or RGB, 4 CMYK or YCCK; 0 without a frame header.
        progressive: whether the frame is progressive.
        multi_picture: whether there is an APP2 segment of the CIPA Multi-Picture Format (DC-007).
        scan_start: offset of the first byte of image data; 0 if there is none.
        note: why the kind is not plain; empty for a plain one.
    """

    kind: JpegKind
    width: int
    height: int
    components: int
    progressive: bool
    multi_picture: bool
    scan_start: int
    note: str


def read_header(data: bytes) -> JpegHeader | None:
    """Reads a JPEG's header up to its first scan.

    Args:
        data: the whole file.

    Returns:
        The header, or None if the bytes are not those of a JPEG. Never raises on any bytes.
    """
    if not data.startswith(b"\xff\xd8\xff") and data != b"\xff\xd8":
        return None
    try:
        return _walk_segments(data)
    except (IndexError, struct.error):
        return _without_scan(JpegKind.CUT_OFF, "the file ends inside the header")


def _walk_segments(data: bytes) -> JpegHeader:
    """Walks the segments from the start of the image to its first scan.

    Raises:
        IndexError, struct.error: if the file ends before the scan header.
    """
    position = 2
    frame: tuple[int, ...] = ()
    multi_picture = False
    special = odd = ""
    for _ in range(MAX_MARKERS):
        if data[position] != 0xFF:
            odd = odd or f"bytes between markers at offset {position}"
            position = _next_marker(data, position)
        code = data[position + 1]
        role = _ROLES[code]
        if role == _ODD:
            if code == 0xFF:
                # A fill byte before the marker.
                position += 1
                continue
            odd = odd or f"marker FF{code:02X} in the header at offset {position}"
            position += 2
            continue
        length = data[position + 2] << 8 | data[position + 3]
        if role == _CHECKED:
            multi_picture = multi_picture or (code == 0xE2 and data.startswith(b"MPF\0", position + 4))
            odd = odd or FAULT_OF[code](data, position + 4, position + 2 + length)
        elif role == _FRAME:
            odd = odd or ("two frame headers" if frame else "")
            frame = (code, *_FRAME_FIELDS.unpack_from(data, position + 4))
            special = special or _special_frame(frame)
            odd = odd or _odd_frame(data, position, length, frame)
        elif role == _SCAN:
            return _header_at_scan(data, position, length, frame, multi_picture, special, odd)
        if length < 2:
            odd = odd or f"segment length {length} at offset {position}"
            length = 2
        position += 2 + length
    return _without_scan(JpegKind.BROKEN, f"no image data within {MAX_MARKERS} markers")


def _next_marker(data: bytes, position: int) -> int:
    found = data.find(b"\xff", position)
    if found < 0:
        raise IndexError(position)
    return found


def _header_at_scan(
    data: bytes, position: int, length: int, frame: tuple[int, ...], multi_picture: bool, special: str, odd: str
) -> JpegHeader:
    """Returns the header, given where its scan header lies and what the segments before it say."""
    scan_start = position + 2 + length
    if length != 6 + 2 * data[position + 4]:
        odd = odd or "the scan header has a wrong length"
    if scan_start > len(data):
        return _without_scan(JpegKind.CUT_OFF, "the file ends inside the scan header")
    if not frame:
        odd = odd or "no frame header before the image data"
    if multi_picture:
        special = special or "several pictures in one file (MPF)"
    marker, _, height, width, components = frame or (0, 0, 0, 0, 0)
    kind = JpegKind.SPECIAL if special else JpegKind.UNSURE if odd else JpegKind.PLAIN
    return JpegHeader(
        kind, width, height, components, marker in _PROGRESSIVE, multi_picture, scan_start, special or odd
    )


def _without_scan(kind: JpegKind, note: str) -> JpegHeader:
    return JpegHeader(kind, 0, 0, 0, False, False, 0, note)


def _special_frame(frame: tuple[int, ...]) -> str:
    """Returns why a frame header (T.81, B.2.2) is not of a plain JPEG, or an empty string."""
    marker, precision, _, _, components = frame
    if marker > 0xC2:
        return f"coding process SOF{marker - 0xC0} (lossless, hierarchical or arithmetic)"
    if precision != 8:
        return f"{precision} bits per sample"
    if components not in (1, 3):
        return f"{components} components"
    return ""


def _odd_frame(data: bytes, position: int, length: int, frame: tuple[int, ...]) -> str:
    """Returns what in a frame header (T.81, B.2.2) decoders disagree on, or an empty string."""
    _, _, height, width, components = frame
    if not (0 < width <= MAX_SIDE and 0 < height <= MAX_SIDE):
        return f"size {width}x{height}"
    if length != 8 + 3 * components:
        return "the frame header has a wrong length"
    if data[position + 11] not in _USUAL_SAMPLING or (
        components == 3 and not data[position + 14] == data[position + 17] == 0x11
    ):
        return "unusual chroma sampling"
    return ""


def is_cut_off(data: bytes, header: JpegHeader) -> bool:
    """Returns whether a JPEG ends before its end-of-image marker, without decoding it.

    Inside image data a byte FF is always followed by 00 or a restart marker (T.81, B.1.1.5), so FFD9 cannot be part
    of the data. A file that ends with the marker counts as whole; `scan_fault` looks inside. If more bytes follow the
    marker, the markers are walked, so that the end of another file behind a cut-off one does not count.

    Args:
        data: the whole file.
        header: what `read_header` returned for these bytes.

    Returns:
        Whether the end-of-image marker is missing.
    """
    if not header.scan_start:
        return True
    end = data.rfind(b"\xff\xd9", header.scan_start)
    if end < 0:
        return True
    return end + 2 != len(data) and scan_fault(data, header) in _CUT_OFF_FAULTS


def scan_fault(data: bytes, header: JpegHeader) -> str:
    """Walks the markers from the image data to the end of the image, over every scan.

    Pillow stops at the last row. Decoders that read to the end of the image, as TensorFlow's does, refuse a file with
    a fault that this function returns.

    Args:
        data: the whole file.
        header: what `read_header` returned for these bytes, with a `scan_start`.

    Returns:
        The fault, or an empty string.
    """
    position = header.scan_start
    while found := MARKER_IN_SCAN.search(data, position):
        position = found.end()
        marker = data[position - 1]
        if marker == 0xD9:
            return ""
        if marker == 0xD8:
            return _ANOTHER_START
        if marker not in _BETWEEN_SCANS:
            return f"marker FF{marker:02X} inside the image data at offset {position - 2}"
        length = int.from_bytes(data[position : position + 2], "big")
        if length < 2:
            return f"segment length {length} inside the image data at offset {position - 2}"
        position += length
    return _PAST_END if position > len(data) else _NO_END
