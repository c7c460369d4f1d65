"""The header of a JPEG, read without decoding it: is it plain, how large is it, is it whole.

The markers are those of ITU-T T.81 (ISO/IEC 10918-1), annex B. The reader walks them as
libjpeg does, from offset to offset inside the bytes it is given, and copies nothing.
"""

import enum
import re
import struct
from typing import NamedTuple

from oi_tfrecord.images.jpeg_segments import CHECKED, segment_fault

MAX_MARKERS = 10_000
"""Markers looked at before the image data. Real files have tens; a decoder handed millions of
empty segments would keep each of them in memory."""

MAX_SIDE = 65_500
"""Largest width or height libjpeg decodes or writes (JPEG_MAX_DIMENSION in jmorecfg.h)."""

_SKIP, _CHECKED, _FRAME, _SCAN, _ODD = range(5)


def _roles() -> tuple[int, ...]:
    roles = [_ODD] * 256
    for marker in (0xC4, 0xCC, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)):
        roles[marker] = _SKIP
    for marker in range(0xC0, 0xD0):
        if marker not in (0xC4, 0xC8, 0xCC):
            roles[marker] = _FRAME
    for marker in CHECKED:
        roles[marker] = _CHECKED
    roles[0xDA] = _SCAN
    return tuple(roles)


_ROLES = _roles()

SEGMENT_MARKERS = frozenset(code for code, role in enumerate(_ROLES) if role != _ODD)
"""Second bytes of the markers that a length follows in a header; others stand alone, or are odd."""

_FRAME_FIELDS = struct.Struct(">BHHB")

# Vertical and horizontal sampling of luma when both chroma components are 1x1, the only
# layouts that every decoder takes; at most ten blocks fit in one coded unit (T.81, B.2.3).
_USUAL_SAMPLING = frozenset((0x11, 0x12, 0x21, 0x22, 0x14, 0x41, 0x24, 0x42))

_MARKER_IN_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

# Tables, miscellaneous segments, the next scan header and the number of lines (T.81, B.2.1).
_BETWEEN_SCANS = frozenset((0xC4, 0xCC, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)))

_NO_END = "no end-of-image marker"

_PAST_END = "a segment inside the image data runs past the end of the file"

_ANOTHER_START = "another image starts before the end of this one"

_CUT_OFF_FAULTS = (_NO_END, _PAST_END, _ANOTHER_START)


class JpegKind(enum.Enum):
    """What the header promises."""

    PLAIN = "plain"
    """Baseline, extended or progressive Huffman, 8 bits, grayscale or three components, one picture."""
    SPECIAL = "special"
    """A well-formed JPEG of another sort: CMYK, several pictures, 12 bits, arithmetic, lossless."""
    UNSURE = "unsure"
    """Oddities that some decoders survive; only a decode tells."""
    CUT_OFF = "cut off"
    """The bytes end before the image data starts."""
    BROKEN = "broken"
    """No image data within `MAX_MARKERS` markers; do not hand it to a decoder."""


class JpegHeader(NamedTuple):
    """What stands before the image data.

    Args:
        kind: see `JpegKind`; a header both special and unsure is special.
        width: pixels as stored, not turned by EXIF; 0 where no frame header was seen.
        height: pixels as stored; 0 also where the file leaves it to a DNL marker.
        components: 1 gray, 3 YCbCr or RGB, 4 CMYK or YCCK; 0 where no frame header was seen.
        progressive: the frame is progressive.
        multi_picture: an APP2 segment of the CIPA Multi-Picture Format (DC-007) is present.
        scan_start: offset of the first byte of image data; 0 where there is none.
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
        The header, or None when the bytes are not those of a JPEG. Never raises on any bytes.
    """
    if not data.startswith(b"\xff\xd8\xff") and data != b"\xff\xd8":
        return None
    position = 2
    width = height = components = marker = 0
    multi_picture = False
    special = odd = ""
    try:
        for _ in range(MAX_MARKERS):
            if data[position] != 0xFF:
                odd = odd or f"bytes between markers at offset {position}"
                position = data.find(b"\xff", position)
                if position < 0:
                    raise IndexError
            code = data[position + 1]
            role = _ROLES[code]
            if role == _ODD:
                if code == 0xFF:
                    position += 1
                    continue
                odd = odd or f"marker FF{code:02X} in the header at offset {position}"
                position += 2
                continue
            length = data[position + 2] << 8 | data[position + 3]
            if role == _CHECKED:
                multi_picture = multi_picture or (code == 0xE2 and data.startswith(b"MPF\0", position + 4))
                odd = odd or segment_fault(data, code, position + 4, position + 2 + length)
            elif role == _FRAME:
                if components:
                    odd = odd or "two frame headers"
                marker = code
                precision, height, width, components = _FRAME_FIELDS.unpack_from(data, position + 4)
                special = special or _special_frame(marker, precision, components)
                odd = odd or _odd_frame(data, position, length, width, height, components)
            elif role == _SCAN:
                break
            if length < 2:
                odd = odd or f"segment length {length} at offset {position}"
                length = 2
            position += 2 + length
        else:
            return _without_scan(JpegKind.BROKEN, f"no image data within {MAX_MARKERS} markers")
        scan_start = position + 2 + length
        if length != 6 + 2 * data[position + 4]:
            odd = odd or "the scan header has a wrong length"
    except (IndexError, struct.error):
        return _without_scan(JpegKind.CUT_OFF, "the file ends inside the header")
    if scan_start > len(data):
        return _without_scan(JpegKind.CUT_OFF, "the file ends inside the scan header")
    if not components:
        odd = odd or "no frame header before the image data"
    if multi_picture:
        special = special or "several pictures in one file (MPF)"
    kind = JpegKind.SPECIAL if special else JpegKind.UNSURE if odd else JpegKind.PLAIN
    progressive = marker in (0xC2, 0xC6, 0xCA, 0xCE)
    return JpegHeader(kind, width, height, components, progressive, multi_picture, scan_start, special or odd)


def _without_scan(kind: JpegKind, note: str) -> JpegHeader:
    return JpegHeader(kind, 0, 0, 0, False, False, 0, note)


def _special_frame(marker: int, precision: int, components: int) -> str:
    """Returns why a frame header (T.81, B.2.2) is not of a plain JPEG, or an empty string."""
    if marker > 0xC2:
        return f"coding process SOF{marker - 0xC0} (lossless, hierarchical or arithmetic)"
    if precision != 8:
        return f"{precision} bits per sample"
    if components not in (1, 3):
        return f"{components} components"
    return ""


def _odd_frame(data: bytes, position: int, length: int, width: int, height: int, components: int) -> str:
    """Returns what in a frame header (T.81, B.2.2) decoders disagree on, or an empty string."""
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
    """Tells whether a JPEG ends before its end-of-image marker, without decoding it.

    Inside image data a byte FF is always followed by 00 or a restart marker (T.81, B.1.1.5),
    so FFD9 cannot be part of it. A file that closes with the marker is taken as whole, the
    common case at a glance (`scan_fault` looks inside); in one with more bytes after it the
    markers are walked, so that those of another file appended to a cut-off one do not count.

    Args:
        data: the whole file.
        header: what `read_header` returned for these bytes.

    Returns:
        True when the end-of-image marker is missing.
    """
    if not header.scan_start:
        return True
    end = data.rfind(b"\xff\xd9", header.scan_start)
    if end < 0:
        return True
    return end + 2 != len(data) and scan_fault(data, header) in _CUT_OFF_FAULTS


def scan_fault(data: bytes, header: JpegHeader) -> str:
    """Walks the markers from the image data to the end of the image, over every scan.

    Pillow stops at the last row; decoders that go on to the end of the image, as TensorFlow's
    does, refuse what is found here.

    Args:
        data: the whole file.
        header: what `read_header` returned for these bytes, with a `scan_start`.

    Returns:
        What is wrong, or an empty string.
    """
    position = header.scan_start
    while found := _MARKER_IN_SCAN.search(data, position):
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
