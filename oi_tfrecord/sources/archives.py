"""Images in archives: the join gives the bytes at which each image lies, in the archive or in what is kept of it."""

import dataclasses
import zlib

import numpy as np
from zlib_ng import zlib_ng

from oi_tfrecord import storage
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.join.archive_places import ImageFiles
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.openimages.image_id import IdForm, format_id
from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.archive_format import LOCAL_HEADER, LOCAL_SIGNATURE, ArchiveKind, Storing
from oi_tfrecord.sources.archive_listing import ArchiveFile
from oi_tfrecord.sources.kept_images import kept_path
from oi_tfrecord.sources.protocol import ImageReader

_NAME_BYTES = 512
"""Bytes read for the name and extra field before the data of a zip's member; if they are longer, it is read twice."""

_OVERHEAD = 1 << 20
"""Bytes that a compressed image may take in its archive above its own size; with more it is too large to read."""


@dataclasses.dataclass(frozen=True)
class ArchiveSource:
    """Images in tar, tar.gz and zip archives on any storage.

    Attributes:
        archives: the archives, by number.
        max_bytes: largest image that is read.
        kept_folder: where the images of each tar.gz are kept; empty until a run decides.
    """

    archives: tuple[ArchiveFile, ...]
    max_bytes: int
    kept_folder: str = ""

    @property
    def is_remote(self) -> bool:
        """Whether images are read from elsewhere than this machine."""
        return any(not storage.is_local(self._path(archive)) for archive in self.archives)

    @property
    def text_columns(self) -> frozenset[str]:
        """Empty: the listing of an archive names the ImageIDs."""
        return frozenset()

    def open_shard(self, joined: JoinedShard) -> "ArchiveReader":
        """Returns the reader of a shard's images."""
        return ArchiveReader(self, joined.image_files)

    def read(self, archive: int, row: np.void, name: str) -> bytes:
        """Returns the bytes of an image or mask.

        Args:
            archive: number of its archive.
            row: the IMAGE_FILE_ROW of the image.
            name: what its name in the archive contains, or empty. A zip whose directory is damaged may name another.

        Raises:
            ImageRejected: if the image is too large, cut off or damaged.
            StorageError: if remote storage fails, so that the runner tries again.
        """
        path, size, stored = self.archives[archive].path, int(row["size"]), int(row["stored"])
        storing = Storing(int(row["storing"]))
        if storing is Storing.UNREADABLE:
            detail = f"{path}: it is encrypted, a link, or compressed in a way that is not read"
            raise ImageRejected(Reject.IMAGE_UNREADABLE, detail)
        if max(size, stored - _OVERHEAD) > self.max_bytes:
            raise ImageRejected(Reject.IMAGE_TOO_LARGE, f"{path}: {size} bytes, {stored} in the archive")
        if storing is Storing.NOT_KEPT:
            # A fault of this program, which must not look like a missing image.
            raise ImageRejected(Reject.IMAGE_UNREADABLE, f"{path}: was not kept when the archive was unpacked")
        try:
            data = self._read_stored(self._path(self.archives[archive]), row, storing, name)
        except OSError as error:
            if not storage.is_local(path):
                raise
            raise ImageRejected(Reject.IMAGE_UNREADABLE, f"{path}: {error.strerror}") from None
        except zlib.error as error:
            raise ImageRejected(Reject.IMAGE_BROKEN, f"{path}: {error}") from None
        if len(data) < size:
            detail = f"{path}: the archive holds {len(data)} of its {size} bytes"
            raise ImageRejected(Reject.IMAGE_CUT_OFF, detail)
        if storing is not Storing.PLAIN and zlib_ng.crc32(data) != int(row["crc32"]):
            raise ImageRejected(Reject.CHECKSUM_MISMATCH, f"{path}: CRC-32 differs from that in the archive")
        return data

    def _path(self, archive: ArchiveFile) -> str:
        """Returns the path of the file that holds the images of an archive."""
        if archive.kind is ArchiveKind.TAR_GZ and self.kept_folder:
            return kept_path(self.kept_folder, archive.listing, archive.number)
        return archive.path

    def _read_stored(self, path: str, row: np.void, storing: Storing, name: str) -> bytes:
        offset, stored, size = int(row["offset"]), int(row["stored"]), int(row["size"])
        if not size:
            return b""
        if storing in (Storing.PLAIN, Storing.KEPT):
            return storage.read_range(path, offset, min(size, stored))
        data = _read_member(path, offset, stored, name)
        # One byte more than the size is enough for the check of the CRC-32 to fail.
        return (
            zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, size + 1) if storing is Storing.ZIP_DEFLATED else data
        )


@dataclasses.dataclass(frozen=True)
class ArchiveReader(ImageReader):
    """Reads the images of one shard from an ArchiveSource.

    Attributes:
        source: the archives.
        files: places of the images in the archives; None if no archive holds an image of the shard.
    """

    source: ArchiveSource
    files: ImageFiles | None

    def read(self, index: int) -> bytes:
        """Returns the bytes of the image at `index`; raises as `ArchiveSource.read`, or if no archive holds it."""
        if self.files is None or (archive := int(self.files.archives[index])) < 0:
            raise ImageRejected(Reject.IMAGE_MISSING, f"{len(self.source.archives)} archives do not hold it")
        row = self.files.rows[index]
        # Zips encode other characters in several ways, so only the CRC-32 checks files with such names.
        name = format_id(int(row["image_id"])) if self.source.archives[archive].id_form is IdForm.HEX else ""
        return self.source.read(archive, row, name)

    def path(self, index: int) -> str:
        """Returns the archive of the image at `index`, or the first one if none holds it."""
        archive = -1 if self.files is None else int(self.files.archives[index])
        return self.source.archives[max(archive, 0)].path


def _read_member(path: str, offset: int, stored: int, in_name: str) -> bytes:
    """Returns the stored bytes of a zip's member, whose local header lies at `offset` and has `in_name` in its name."""
    data = storage.read_range(path, offset, LOCAL_HEADER.size + _NAME_BYTES + stored)
    if len(data) < LOCAL_HEADER.size:
        return b""
    signature, *_, name_bytes, extra_bytes = LOCAL_HEADER.unpack_from(data)
    if signature != LOCAL_SIGNATURE:
        raise zlib.error(f"no member of the zip at byte {offset}")
    start = LOCAL_HEADER.size + name_bytes + extra_bytes
    name = data[LOCAL_HEADER.size :][:name_bytes]
    if len(name) == name_bytes and in_name.encode() not in name:
        raise zlib.error(f"the file at byte {offset} is {name!r}, not that of the image {in_name}")
    if name_bytes + extra_bytes > _NAME_BYTES:
        return storage.read_range(path, offset + start, stored)
    return data[start : start + stored]
