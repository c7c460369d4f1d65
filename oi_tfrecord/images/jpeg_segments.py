"""Faults inside the segments of a JPEG's header, which one decoder or another refuses.

Each function takes the whole file and the byte range of a segment's contents, after its length, within the data. It
returns the fault, or an empty string. The tables are checked by ITU-T T.81, sections B.2.4.1 and B.2.4.2, and by what
libjpeg accepts (jdmarker.c); the application segments by what Pillow's reader needs to open a file
(PIL/JpegImagePlugin.py).
"""

from collections.abc import Callable, Mapping

_PHOTOSHOP = b"Photoshop 3.0\0"

_RESOURCE = b"8BIM"


def quantization_fault(data: bytes, start: int, end: int) -> str:
    """Checks the tables of a DQT segment."""
    while start < end:
        if data[start] & 15 > 3:
            break
        start += 129 if data[start] > 15 else 65
    return "" if start == end else "damaged quantization table"


def huffman_fault(data: bytes, start: int, end: int) -> str:
    """Checks the tables of a DHT segment."""
    while start + 17 <= end:
        values = sum(data[start + 1 : start + 17])
        if data[start] & 0xEF > 3 or values > 256:
            break
        start += 17 + values
    return "" if start == end else "damaged Huffman table"


def jfif_fault(data: bytes, start: int, end: int) -> str:
    """Checks an APP0 segment."""
    return "the segment APP0 is too short" if end - start < 7 and data.startswith(b"JFIF", start, end) else ""


def icc_fault(data: bytes, start: int, end: int) -> str:
    """Checks an APP2 segment."""
    return "the segment APP2 is too short" if end - start < 14 and data.startswith(b"ICC_PROFILE\0", start, end) else ""


def photoshop_fault(data: bytes, start: int, end: int) -> str:
    """Checks the resources of an APP13 segment."""
    too_short = "the segment APP13 is too short"
    if not data.startswith(_PHOTOSHOP, start, end):
        return ""
    at = start + len(_PHOTOSHOP)
    while data.startswith(_RESOURCE, at, end):
        name = at + len(_RESOURCE) + 2
        if name >= end:
            return too_short if name == end else ""
        # The name with its length, and the data, are padded to an even number of bytes from the segment's start.
        size = name + 1 + data[name]
        size += (size - start) & 1
        if size + 4 > end:
            return ""
        at = size + 4 + int.from_bytes(data[size : size + 4], "big")
        at += (at - start) & 1
    return ""


def adobe_fault(data: bytes, start: int, end: int) -> str:
    """Checks an APP14 segment."""
    return "the segment APP14 is too short" if end - start < 7 and data.startswith(b"Adobe", start, end) else ""


FAULT_OF: Mapping[int, Callable[[bytes, int, int], str]] = {
    0xDB: quantization_fault,
    0xC4: huffman_fault,
    0xE0: jfif_fault,
    0xE2: icc_fault,
    0xED: photoshop_fault,
    0xEE: adobe_fault,
}
"""The function for each segment that is checked, by the second byte of its marker."""
