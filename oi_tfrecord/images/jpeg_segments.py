"""Faults inside the segments of a JPEG's header, which one decoder or another refuses.

The tables are those of ITU-T T.81, sections B.2.4.1 and B.2.4.2, held to what libjpeg accepts (jdmarker.c). The
application segments are held to what Pillow's reader needs to open a file (PIL/JpegImagePlugin.py).
"""

_DQT, _DHT = 0xDB, 0xC4

_APP0, _APP2, _APP13, _APP14 = 0xE0, 0xE2, 0xED, 0xEE

_PHOTOSHOP = b"Photoshop 3.0\0"

_RESOURCE = b"8BIM"

CHECKED = frozenset((_DQT, _DHT, _APP0, _APP2, _APP13, _APP14))
"""Second bytes of the markers of the segments that `segment_fault` looks into."""


def segment_fault(data: bytes, marker: int, start: int, end: int) -> str:
    """Tells what is wrong inside a segment.

    Args:
        data: the whole file.
        marker: second byte of the segment's marker; one of CHECKED.
        start, end: byte range of the segment's contents, after its length, within the data.

    Returns:
        The fault, or an empty string.
    """
    if marker == _DQT:
        return "" if _has_whole_quantization_tables(data, start, end) else "damaged quantization table"
    if marker == _DHT:
        return "" if _has_whole_huffman_tables(data, start, end) else "damaged Huffman table"
    if _is_short_application(data, marker, start, end):
        return f"the segment APP{marker - _APP0} is too short"
    return ""


def _has_whole_quantization_tables(data: bytes, start: int, end: int) -> bool:
    while start < end:
        if data[start] & 15 > 3:
            return False
        start += 129 if data[start] > 15 else 65
    return start == end


def _has_whole_huffman_tables(data: bytes, start: int, end: int) -> bool:
    while start + 17 <= end:
        values = sum(data[start + 1 : start + 17])
        if data[start] & 0xEF > 3 or values > 256:
            return False
        start += 17 + values
    return start == end


def _is_short_application(data: bytes, marker: int, start: int, end: int) -> bool:
    length = end - start
    if marker == _APP0:
        return length < 7 and data.startswith(b"JFIF", start, end)
    if marker == _APP2:
        return length < 14 and data.startswith(b"ICC_PROFILE\0", start, end)
    if marker == _APP14:
        return length < 7 and data.startswith(b"Adobe", start, end)
    if not data.startswith(_PHOTOSHOP, start, end):
        return False
    at = start + len(_PHOTOSHOP)
    while data.startswith(_RESOURCE, at, end):
        name = at + len(_RESOURCE) + 2
        if name >= end:
            return name == end
        # The name's length and the name are padded to even bytes of the segment, as are a resource's data.
        size = name + 1 + data[name]
        size += (size - start) & 1
        if size + 4 > end:
            return False
        at = size + 4 + int.from_bytes(data[size : size + 4], "big")
        at += (at - start) & 1
    return False
