"""Lists the members of tar and zip archives: names, offsets and sizes, no image bytes."""

import dataclasses
import enum
import re
import struct
import tarfile
import zipfile
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

from oi_tfrecord.openimages.image_id import IdForm, is_image_name, name_of_file
from oi_tfrecord.storage.streams import CHUNK_BYTES

HEAD_BYTES = 512
"""Bytes at the start of a file by which its kind is recognised."""

LOCAL_HEADER = struct.Struct("<4sHHHHHIIIHH")
"""Local file header of a zip (APPNOTE.TXT 4.3.7): signature, version, flags, method, time, date, CRC-32,
compressed size, size, length of the name, length of the extra field."""

LOCAL_SIGNATURE = b"PK\x03\x04"

_MASK_NAME = re.compile(rb"([0-9a-f]{16})_.*\.(?i:png)")

# A MID without its slashes starts with m0 or g1, and may hold underscores.
_MASK_OF_MID = re.compile(rb"(.+)_[mg][01][0-9a-z_]*_[^_]+\.(?i:png)")

_MASK_OF_CLASS = re.compile(rb"(.+)_[^_]+_[^_]+\.(?i:png)")

_ENCRYPTED = 1

_SIZES_FOLLOW = 8

_IS_UTF8 = 0x800

_ZIP64 = 0xFFFFFFFF

_ZIP64_COUNT = 0xFFFF

_END_SIGNATURE = b"PK\x05\x06"

_END_RECORD_BYTES = 22

_LARGEST_END_RECORD = _END_RECORD_BYTES + 0xFFFF

_AFTER_FILES = (b"PK\x01\x02", _END_SIGNATURE, b"PK\x06\x06", b"PK\x06\x08")
"""What may follow the last file of a zip: directory, its end record, that of zip64, and an extra record."""

_BAD_DIRECTORY = (zipfile.BadZipFile, NotImplementedError, ValueError, OverflowError, struct.error)
"""What zipfile raises for a directory that is damaged."""

_LARGEST_HEADER = 1 << 24
"""Bytes of a long name or of PAX fields; a path has at most some thousands."""

_LARGEST_PADDING = 1 << 20
"""Zeros at the end of a tar: GNU tar fills up to 10,240 bytes, tapes may take more."""

_BAD_HEADER = (tarfile.TarError, ValueError, IndexError, OverflowError, RecursionError)
"""What tarfile raises for headers that are damaged."""

_UNREAD_KINDS = ((b"BZh", "bzip2"), (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "Zstandard"), (b"7z\xbc\xaf", "7z"))


class ArchiveKind(enum.StrEnum):
    """Kinds of archives that are read in place."""

    TAR = "tar"
    TAR_GZ = "tar.gz"
    ZIP = "zip"


class Storing(enum.IntEnum):
    """How the bytes of a member lie in its archive."""

    PLAIN = 0
    ZIP_STORED = 1
    ZIP_DEFLATED = 2
    KEPT = 3
    """Not in the archive, but in the file of the images that are kept of it (kept_images)."""
    NOT_KEPT = 4
    UNREADABLE = 5


class ArchiveDamaged(Exception):
    """The rest of an archive cannot be listed; the members before it are good."""


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """A file within an archive.

    Attributes:
        name: path within the archive.
        offset: of its first byte in the (unpacked) tar or the file of kept images, or of its local header in the zip.
        size: bytes of the file.
        stored: bytes that the file takes in the archive.
        storing: how these bytes are read.
        crc32: of the file, 0 in a tar.
        header: what the header in a tar says beside name and size: time of change, and sum of all bytes of the header.
    """

    name: str
    offset: int
    size: int
    stored: int
    storing: Storing
    crc32: int = 0
    header: tuple[float, int] = (0, 0)


def find_kind(head: bytes) -> ArchiveKind:
    """Returns the kind of an archive.

    Args:
        head: its first HEAD_BYTES bytes, or all if it has fewer.

    Raises:
        ValueError: naming the kind of the file if it is not read in place.
    """
    if head.startswith(b"\x1f\x8b"):
        return ArchiveKind.TAR_GZ
    if head.startswith((LOCAL_SIGNATURE, _END_SIGNATURE)):
        return ArchiveKind.ZIP
    for start, name in _UNREAD_KINDS:
        if head.startswith(start):
            raise ValueError(f"is compressed with {name}, which gives no access to its middle")
    if not head:
        raise ValueError("is empty")
    # A tar without any file starts with its end mark, which is zeros.
    if any(head):
        try:
            tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            raise ValueError("is neither tar, tar.gz nor zip") from None
    return ArchiveKind.TAR


def find_image_id(name: str, form: IdForm = IdForm.HEX) -> bytes | None:
    """Returns the ImageID in a member's base name, None if that is not the name of an image."""
    return name_of_file(name.rpartition("/")[2], form)


def find_mask_image(name: str, form: IdForm = IdForm.HEX) -> bytes | None:
    """Returns the ImageID in a member's base name, None if that is not the name of a mask.

    Published masks are named `<ImageID>_<MID without slashes>_<BoxID>.png`.
    """
    base = name.rpartition("/")[2].encode("utf-8", "surrogateescape")
    if form is IdForm.HEX:
        found = _MASK_NAME.fullmatch(base)
        return found[1] if found else None
    found = _MASK_OF_MID.fullmatch(base) or _MASK_OF_CLASS.fullmatch(base)
    return found[1] if found and is_image_name(found[1]) else None


def list_tar(stream: BinaryIO) -> Iterator[Member]:
    """Yields the files of a tar (ustar, GNU or PAX), a file that the end of the tar cuts off included.

    Args:
        stream: the tar; it is moved forward only, apart from the last 512 bytes.

    Raises:
        ArchiveDamaged: after the last good member, if no end mark follows it.
    """
    headers = cast(BinaryIO, _HeaderReads(stream))
    try:
        tar = tarfile.TarFile(fileobj=headers, encoding="utf-8", errors="surrogateescape")
    except _BAD_HEADER as error:
        raise ArchiveDamaged(f"is no tar: {error}") from None
    with tar:
        while True:
            try:
                info = tar.next()
            except tarfile.ReadError as error:
                raise ArchiveDamaged(f"is cut off at byte {tar.offset:,} of the tar: {error}") from None
            except _BAD_HEADER as error:
                raise ArchiveDamaged(f"is damaged: a bad header at byte {tar.offset:,} of the tar: {error}") from None
            if info is None:
                break
            if info.size < 0 or tar.offset <= info.offset:
                raise ArchiveDamaged(
                    f"is damaged: {info.name!r} has a negative size, at byte {info.offset:,} of the tar"
                )
            # TarFile would keep all members for access by name.
            tar.members = []  # type: ignore[attr-defined]
            if info.isreg() and info.sparse is None:
                header = info.mtime, info.chksum
                yield Member(info.name, info.offset_data, info.size, info.size, Storing.PLAIN, header=header)
            elif not info.isdir():
                yield Member(info.name, info.offset_data, 0, 0, Storing.UNREADABLE)
        # tarfile takes any bytes that are no header for the end.
        stream.seek(tar.offset)
        end = stream.read(tarfile.BLOCKSIZE)
        if any(end):
            raise ArchiveDamaged(f"is damaged: no header at byte {tar.offset:,} of the tar")
        if len(end) < tarfile.BLOCKSIZE:
            raise ArchiveDamaged(f"ends at byte {tar.offset + len(end):,} of the tar, without its end mark")
        _check_padding(stream, tar.offset)


class _HeaderReads:
    """A tar of which tarfile reads headers: their size is bounded, as a damaged header may ask for any size."""

    def __init__(self, stream: BinaryIO):
        self._stream = stream
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int, /) -> bytes:
        if not 0 <= size <= _LARGEST_HEADER:
            raise ValueError(f"a header of {size} bytes")
        return self._stream.read(size)


def _check_padding(stream: BinaryIO, end: int) -> None:
    """Checks that only zeros follow the end mark of a tar, and not many of them.

    Args:
        stream: the tar, behind its end mark.
        end: offset of the end mark.
    """
    place = end + tarfile.BLOCKSIZE
    while data := stream.read(CHUNK_BYTES):
        if zeros := len(data) - len(data.lstrip(b"\0")) if any(data) else 0:
            place += zeros
        if any(data):
            problem = f"zeros from byte {end:,} of the tar on, and data from byte {place:,} on"
            raise ArchiveDamaged(f"is damaged: {problem}. Two archives were joined, or a part was not downloaded")
        place += len(data)
    if place - end > _LARGEST_PADDING:
        raise ArchiveDamaged(
            f"ends in {place - end:,} zeros from byte {end:,} of the tar on: a part was not downloaded"
        )


def list_zip(stream: BinaryIO, *, check_headers: bool = True) -> Iterator[Member]:
    """Yields the files of a zip, from its directory or, if that is damaged, from the header before each file.

    Args:
        stream: the zip.
        check_headers: whether to compare the directory, which has no checksum, with the header before each file.

    Raises:
        ArchiveDamaged: after the last good member, if the directory is missing or damaged.
    """
    try:
        infos = zipfile.ZipFile(stream).infolist()
        _check_count(stream, len(infos))
        if any(info.header_offset < 0 for info in infos):
            raise zipfile.BadZipFile("a file would lie before its start")
    except _BAD_DIRECTORY as error:
        yield from _scan_zip(stream)
        raise ArchiveDamaged(f"has no good directory at its end, it is cut off or damaged: {error}") from None
    faults: list[str] = []
    for info in infos:
        if not info.is_dir():
            if check_headers and not faults:
                faults += _find_header_fault(stream, info)
            storing = _zip_storing(info.flag_bits, info.compress_type)
            yield Member(info.filename, info.header_offset, info.file_size, info.compress_size, storing, info.CRC)
    if faults:
        raise ArchiveDamaged(f"is damaged: its directory and its files differ, {faults[0]}")
    _check_borders(stream, infos)


def _check_borders(stream: BinaryIO, infos: Sequence[zipfile.ZipInfo]) -> None:
    """Checks that a zip begins with a file of its directory and ends with its end record; zipfile allows more bytes."""
    size, end, place = _read_end_record(stream)
    behind = size - place - _END_RECORD_BYTES - int.from_bytes(end[20:22], "little")
    before = min((info.header_offset for info in infos), default=0)
    if before > 0:
        problem = f"the {before:,} bytes before its first file are in no directory"
        raise ArchiveDamaged(f"is damaged: {problem}. Two archives were joined")
    if behind > 0:
        raise ArchiveDamaged(f"is damaged: the {behind:,} bytes behind its end record are of no file")


def _read_end_record(stream: BinaryIO) -> tuple[int, bytes, int]:
    """Returns the size of a zip, its last bytes from the end record on, and the offset of the record; -1 for none."""
    size = stream.seek(0, 2)
    start = max(size - _LARGEST_END_RECORD, 0)
    stream.seek(start)
    end = stream.read(_LARGEST_END_RECORD)
    place = end.rfind(_END_SIGNATURE)
    return (size, end[place:], start + place) if place >= 0 else (size, b"", -1)


def _check_count(stream: BinaryIO, count: int) -> None:
    """Checks the number of members in the end record of a zip (APPNOTE.TXT 4.3.16), which zipfile does not read."""
    _, end, place = _read_end_record(stream)
    expected = int.from_bytes(end[10:12], "little")
    if place < 0 or expected not in (_ZIP64_COUNT, count):
        raise zipfile.BadZipFile(f"it names {count:,} of {expected:,} files")


def _find_header_fault(stream: BinaryIO, info: zipfile.ZipInfo) -> list[str]:
    """Returns how the header of a file differs from the directory of the zip; empty if it does not."""
    stream.seek(info.header_offset)
    data = stream.read(LOCAL_HEADER.size).ljust(LOCAL_HEADER.size, b"\0")
    signature, _, flags, *_, name_bytes, _ = LOCAL_HEADER.unpack(data)
    if signature != LOCAL_SIGNATURE:
        return [f"there is no file at byte {info.header_offset:,}"]
    name = _decode_name(stream.read(name_bytes), flags)
    if name != info.orig_filename:
        return [f"the file at byte {info.header_offset:,} is {info.orig_filename!r} in one and {name!r} in the other"]
    return []


def _decode_name(name: bytes, flags: int) -> str:
    return name.decode("utf-8" if flags & _IS_UTF8 else "cp437", "replace")


def _scan_zip(stream: BinaryIO) -> Iterator[Member]:
    offset = 0
    while True:
        stream.seek(offset)
        data = stream.read(LOCAL_HEADER.size)
        if len(data) < LOCAL_HEADER.size:
            return
        signature, _, flags, method, _, _, crc32, stored, size, name_bytes, extra_bytes = LOCAL_HEADER.unpack(data)
        if signature != LOCAL_SIGNATURE:
            if signature not in _AFTER_FILES:
                raise ArchiveDamaged(f"is damaged: no header of a file at byte {offset:,}, and no good directory")
            return
        name = _decode_name(stream.read(name_bytes), flags)
        extra = stream.read(extra_bytes)
        if stored == _ZIP64 and extra[:2] == b"\x01\0" and len(extra) >= 20:
            size, stored = struct.unpack_from("<QQ", extra, 4)
        if flags & _SIZES_FOLLOW and not stored:
            raise ArchiveDamaged(f"is cut off; the sizes of its files from byte {offset:,} on are lost with its end")
        if not name.endswith("/"):
            yield Member(name, offset, size, stored, _zip_storing(flags, method), crc32)
        offset += LOCAL_HEADER.size + name_bytes + extra_bytes + stored


def _zip_storing(flags: int, method: int) -> Storing:
    if flags & _ENCRYPTED:
        return Storing.UNREADABLE
    known = {zipfile.ZIP_STORED: Storing.ZIP_STORED, zipfile.ZIP_DEFLATED: Storing.ZIP_DEFLATED}
    return known.get(method, Storing.UNREADABLE)
