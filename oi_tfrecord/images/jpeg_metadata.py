"""Removes the metadata of a JPEG without decoding the image.

EXIF, XMP, IPTC, ICC profiles and all other application segments, comments, the thumbnail in a JFIF segment, fill
bytes and all bytes behind the end of the image are removed. The segments that decoding needs stay: JFIF and Adobe's
APP14, from which libjpeg takes the colour space (jdapimin.c, `default_decompress_parms`).
Sources: ITU-T T.81, annex B; JFIF 1.02 (ITU-T T.871), section 10.1.
"""

from oi_tfrecord.images.jpeg_header import MARKER_IN_SCAN, SEGMENT_MARKERS, JpegHeader

_COMMENT = 0xFE

_APPLICATION = range(0xE0, 0xF0)

_JFIF, _ADOBE = 0xE0, 0xEE

_END = 0xD9

_JFIF_LENGTH = 16


def strip_metadata(data: bytes, header: JpegHeader) -> bytes:
    """Returns a JPEG without its metadata; the image data is the same to the byte.

    Args:
        data: the whole file.
        header: what `read_header` returned for these bytes, with a `scan_start`.

    Returns:
        The stripped file, or `data` itself if it holds no metadata. The pixels of a plain JPEG are the same; of an
        unsure one (`JpegKind.UNSURE`) they may differ.
    """
    kept = [b"\xff\xd8"]
    position = 2
    while position < header.scan_start:
        position = data.find(b"\xff", position)
        code = data[position + 1]
        if code not in SEGMENT_MARKERS:
            # The second of two FF may start the marker.
            position += 1 if code == 0xFF else 2
            continue
        end = position + 2 + max(int.from_bytes(data[position + 2 : position + 4], "big"), 2)
        kept += _kept(data, position, end)
        position = end
    stripped = b"".join([*kept, *_strip_scans(data, header.scan_start)])
    return data if stripped == data else stripped


def _strip_scans(data: bytes, start: int) -> list[bytes]:
    """Returns the image data from `start` on, without the metadata between scans and after the end."""
    kept = []
    position = start
    while found := MARKER_IN_SCAN.search(data, position):
        marker, code = found.start(), data[found.end() - 1]
        if code == _END:
            kept.append(data[start : marker + 2])
            return kept
        position = marker + 2 + max(int.from_bytes(data[marker + 2 : marker + 4], "big"), 2)
        if code == _COMMENT or code in _APPLICATION:
            kept.append(data[start:marker])
            kept += _kept(data, marker, position)
            start = position
    kept.append(data[start:])
    return kept


def _kept(data: bytes, start: int, end: int) -> list[bytes]:
    """Returns the bytes that stay of a segment, which reaches from its marker at `start` to `end`."""
    code = data[start + 1]
    if code == _JFIF and data.startswith(b"JFIF\0", start + 4) and end - start >= _JFIF_LENGTH + 2:
        # Marker, length, identifier, version and density; then a thumbnail of no pixels.
        return [b"\xff\xe0\0\x10", data[start + 4 : start + 16], b"\0\0"]
    if code == _ADOBE and data.startswith(b"Adobe", start + 4):
        return [data[start:end]]
    if code == _COMMENT or code in _APPLICATION:
        return []
    return [data[start:end]]
