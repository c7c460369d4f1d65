"""Images to estimate from, before any shard is written: how large they are, and some of their bytes.

Only files named by ImageID can be found by it. Other sources give stand-ins, one of the first images for each ImageID.
"""

import contextlib
import dataclasses
import functools
import gzip
import itertools
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import BinaryIO, ClassVar, Protocol, TypeVar, cast

from oi_tfrecord import storage
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.image_id import id_key
from oi_tfrecord.settings.allowed_values import UrlKind
from oi_tfrecord.sources.archive_format import ArchiveKind, find_image_id
from oi_tfrecord.sources.archive_listing import ArchiveFile, read_kind
from oi_tfrecord.sources.archives import ArchiveSource
from oi_tfrecord.sources.files import PatternSource
from oi_tfrecord.sources.image_urls import ImageUrls, sample_image_urls
from oi_tfrecord.sources.url_folders import UrlFolders

_SAMPLED_ARCHIVES = 4

_IMAGES_OF_AN_ARCHIVE = 8

_THUMBNAIL_BYTES = 120_000

_ORIGINAL_BYTES = 2_000_000

_DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, struct.error, EOFError, OSError),
    *(ValueError, IndexError, OverflowError, RuntimeError, MemoryError),
)
"""What damaged or encrypted archives raise. The listing names what is wrong; here there are only fewer images."""

Item = TypeVar("Item")


class ImageSamples(Protocol):
    """Images of a source, or stand-ins for them, by ImageID.

    Attributes:
        has_stand_ins: whether other images of the source, or none, stand for those that are asked for.
    """

    has_stand_ins: ClassVar[bool]

    def size(self, image_id: str) -> int | None:
        """Returns the bytes of an image's file, None if it is not there or its size is not known."""

    def read(self, image_id: str) -> bytes | None:
        """Returns the bytes of an image, None if it cannot be read."""

    def path(self, image_id: str) -> str:
        """Returns the path at which the image is looked for, for a message."""


@dataclasses.dataclass(frozen=True)
class FileSamples:
    """Images of a PatternSource.

    Attributes:
        source: the files.
    """

    has_stand_ins: ClassVar[bool] = False

    source: PatternSource

    def size(self, image_id: str) -> int | None:
        """Returns the bytes of the image's file, None if there is none."""
        return self.source.size(image_id)

    def read(self, image_id: str) -> bytes | None:
        """Returns the bytes of the image."""
        with contextlib.suppress(ImageRejected):
            return self.source.read(image_id)
        return None

    def path(self, image_id: str) -> str:
        """Returns the path of the image's file."""
        return self.source.path(image_id)


@dataclasses.dataclass(frozen=True)
class FolderSamples:
    """Stand-ins from UrlFolders: the first images of the metadata, as other URLs are known only in shards.

    Attributes:
        source: the folders.
        metadata: the metadata files.
    """

    has_stand_ins: ClassVar[bool] = True

    source: UrlFolders
    metadata: tuple[InputFile, ...]

    def size(self, image_id: str) -> int | None:
        """Returns the bytes of the stand-in's file, None if there is none."""
        sizes = map(FileSamples(self.source.files).size, self._names(image_id))
        return next((size for size in sizes if size is not None), None)

    def read(self, image_id: str) -> bytes | None:
        """Returns the bytes of the stand-in."""
        with contextlib.suppress(ImageRejected):
            return self.source.read_first(self._names(image_id))
        return None

    def path(self, image_id: str) -> str:
        """Returns the path at which the stand-in is looked for first."""
        return self.source.files.path(next(iter(self._names(image_id)), ""))

    def _names(self, image_id: str) -> list[str]:
        image = _stand_in(image_id, self._images)
        return [] if image is None else self.source.names(image)

    @functools.cached_property
    def _images(self) -> list[ImageUrls]:
        return sample_image_urls(self.metadata)


@dataclasses.dataclass(frozen=True)
class ArchiveSamples:
    """Stand-ins from archives: the first images of a few, as archives are not listed yet.

    Attributes:
        source: the archives.
    """

    has_stand_ins: ClassVar[bool] = True

    source: ArchiveSource

    def size(self, image_id: str) -> int | None:
        """Returns the bytes of the stand-in, None if the archives start with no image."""
        data = self.read(image_id)
        return None if data is None else len(data)

    def read(self, image_id: str) -> bytes | None:
        """Returns the stand-in, None if the archives start with no image."""
        return _stand_in(image_id, self._images)

    def path(self, image_id: str) -> str:
        """Returns the path of the first archive."""
        return self.source.archives[0].path

    @functools.cached_property
    def _images(self) -> list[bytes]:
        archives = self.source.archives
        step = max(len(archives) // _SAMPLED_ARCHIVES, 1)
        first = [
            itertools.islice(_first_images(archive, self.source.max_bytes), _IMAGES_OF_AN_ARCHIVE)
            for archive in archives[::step][:_SAMPLED_ARCHIVES]
        ]
        return list(itertools.chain.from_iterable(first))


@dataclasses.dataclass(frozen=True)
class UrlSamples:
    """Sizes of images by URL, without a request to any server.

    Attributes:
        kind: which of an image's files.
        metadata: the metadata files, with the sizes of originals.
    """

    has_stand_ins: ClassVar[bool] = True

    kind: UrlKind
    metadata: tuple[InputFile, ...]

    def size(self, image_id: str) -> int | None:
        """Returns about how many bytes an image has."""
        if self.kind is UrlKind.THUMBNAIL:
            return _THUMBNAIL_BYTES
        size = _stand_in(image_id, self._sizes)
        return _ORIGINAL_BYTES if size is None else size

    def read(self, image_id: str) -> bytes | None:
        """Returns None: a download would measure the network, not this machine."""
        return None

    def path(self, image_id: str) -> str:
        """Returns a text, as URLs are known only in shards."""
        return f"the {self.kind} URLs of the metadata"

    @functools.cached_property
    def _sizes(self) -> list[int]:
        return [int(image.size) for image in sample_image_urls(self.metadata) if image.size.isdecimal()]


def _stand_in(image_id: str, items: Sequence[Item]) -> Item | None:
    """Returns the item that stands for an image, None if there are no items."""
    return items[id_key(image_id.encode()) % len(items)] if items else None


def _first_images(archive: ArchiveFile, max_bytes: int) -> Iterator[bytes]:
    """Yields the images at the start of an archive, up to where the archive cannot be read."""
    kind, form = read_kind(archive.path), archive.id_form
    with contextlib.suppress(*_DAMAGE), storage.open_read(archive.path) as stream:
        if kind is ArchiveKind.ZIP:
            zipped = zipfile.ZipFile(stream)
            for entry in zipped.infolist():
                if find_image_id(entry.filename, form) is not None and entry.file_size <= max_bytes:
                    yield zipped.read(entry)
            return
        unpacked = gzip.GzipFile(fileobj=stream) if kind is ArchiveKind.TAR_GZ else stream
        tar = tarfile.TarFile(fileobj=cast(BinaryIO, unpacked))
        for member in tar:
            if member.isreg() and find_image_id(member.name, form) is not None and member.size <= max_bytes:
                file = tar.extractfile(member)
                if file is not None and len(data := file.read()) == member.size:
                    yield data
