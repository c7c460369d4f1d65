"""Finds archives, and lists the images of one in a single pass."""

import contextlib
import dataclasses
import io
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO, NamedTuple, cast

from oi_tfrecord import storage
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.openimages.image_id import IdForm, id_key
from oi_tfrecord.openimages.schema import Listing, Table
from oi_tfrecord.sources.archive_format import (
    HEAD_BYTES,
    ArchiveDamaged,
    ArchiveKind,
    Member,
    find_image_id,
    find_kind,
    find_mask_image,
    list_tar,
    list_zip,
)
from oi_tfrecord.sources.gzip_check import CheckedGzip
from oi_tfrecord.sources.gzip_index import GzipIndexer, GzipPart, load_indexed_gzip
from oi_tfrecord.storage.streams import CHUNK_BYTES, ForwardStream

_REMOTE_BUFFER = 8 << 20


@dataclasses.dataclass(frozen=True)
class ArchiveFile:
    """An archive of images or of masks.

    Attributes:
        listing: whether it holds images or masks.
        number: its place among the archives of the listing.
        path: path of the archive.
        size: bytes of the archive.
        modified: seconds since the epoch.
        id_form: what the ImageIDs are that the names of its files hold.
    """

    listing: Listing
    number: int
    path: str
    size: int
    modified: float
    id_form: IdForm = IdForm.HEX


class FoundImage(NamedTuple):
    """An image, or a mask, in an archive.

    Attributes:
        image_id: key of its ImageID, or of that of the mask's image.
        number: number of the member, from 0.
        member: where it lies.
        part: how to inflate it, if the archive itself is compressed.
    """

    image_id: int
    number: int
    member: Member
    part: GzipPart | None = None


def find_name(file: ArchiveFile, member_name: str) -> bytes | None:
    """Returns the ImageID in the name of a member, None if the name is not that of an image or mask."""
    find = find_mask_image if file.listing is Table.MASK_FILES else find_image_id
    return find(member_name, file.id_form)


def open_archives(
    names: Sequence[str], split: str, listing: Listing = Table.IMAGE_FILES, field: str = "archives"
) -> list[ArchiveFile]:
    """Finds archives and checks that they can be read in place.

    Args:
        names: glob patterns with `{split}`, in the order in which archives are looked into for an image.
        split: name for `{split}`.
        listing: whether the archives hold images or masks.
        field: field of the configuration, for the error.

    Raises:
        ConfigError: if a pattern matches nothing, or a package is missing.
        InputError: if a file is no tar, tar.gz or zip.
    """
    found: dict[str, storage.FileInfo] = {}
    for name in names:
        infos = storage.match(name.replace("{split}", split))
        if not infos:
            raise ConfigError(field, f"no file matches {name.replace('{split}', split)}")
        for info in infos:
            found.setdefault(info.path, info)
    files = []
    for number, info in enumerate(found.values()):
        if read_kind(info.path) is ArchiveKind.TAR_GZ:
            load_indexed_gzip()
        files.append(ArchiveFile(listing, number, info.path, info.size, info.modified))
    return files


def read_kind(path: str) -> ArchiveKind:
    """Returns the kind of the archive at `path`.

    Raises:
        InputError: if it is not of a kind that is read in place.
    """
    try:
        return find_kind(storage.read_range(path, 0, HEAD_BYTES))
    except ValueError as error:
        remedy = "Give tar, tar.gz or zip: unpack or recompress it, or leave it out of --archives"
        raise InputError(path, str(error), remedy) from None


class ArchiveListing:
    """The images of an archive, found in one pass.

    Attributes:
        members: number of files found so far, images or not.
        passed: bytes of the archive that were read or skipped.
        damage: the damage at the end of the archive, known when `images` has ended; empty if there is none.
    """

    def __init__(self, file: ArchiveFile, on_progress: Callable[[int], None] = lambda size: None):
        """Reads nothing yet.

        Args:
            file: the archive.
            on_progress: called with the bytes of the archive that were passed since the last call.
        """
        self._file = file
        self._on_progress = on_progress
        self._progress = 0
        self.passed = 0
        self.members = 0
        self.damage = ""

    def images(self) -> Iterator[FoundImage]:
        """Yields the images, an image that the end of the archive cuts off included.

        Raises:
            InputError: if a tar.gz is damaged or cut off. Its only checksum is at the end of a gzip stream, so any
                byte before may be wrong. Or if the archive lists no file.
        """
        kind = read_kind(self._file.path)
        with _open_buffered(self._file.path) as stream:
            try:
                if kind is ArchiveKind.TAR_GZ:
                    yield from self._images_of_tar_gz(stream)
                else:
                    yield from self._select(_list_members(stream, kind, self._file.path))
            except ArchiveDamaged as damage:
                self._take_damage(damage)
        self.passed = self._file.size
        self._pass(self._file.size)

    def _images_of_tar_gz(self, stream: BinaryIO) -> Iterator[FoundImage]:
        checked = CheckedGzip(stream)
        indexer = GzipIndexer(cast(BinaryIO, checked), self._file.size)
        tar = cast(BinaryIO, ForwardStream(indexer.chunks()))
        waiting: deque[FoundImage] = deque()
        damage: ArchiveDamaged | None = None
        try:
            for found in self._select(list_tar(tar)):
                waiting.append(found)
                self.passed = indexer.read_bytes
                # An image waits until the access point behind it is known. Points before it are then not needed.
                while waiting and (part := _find_part(indexer, waiting[0])):
                    yield waiting.popleft()._replace(part=part)
                indexer.forget(waiting[0].member.offset if waiting else found.member.offset)
        except ArchiveDamaged as found_damage:
            damage = found_damage
        if fault := checked.finish(CHUNK_BYTES):
            remedy = "Download it again, and check it with `gzip -t`; or unpack what is good, and give the images"
            raise InputError(self._file.path, fault, remedy)
        if damage is not None:
            self._take_damage(damage)
        indexer.finish()
        for found in waiting:
            yield found._replace(part=_find_part(indexer, found))

    def _select(self, members: Iterable[Member]) -> Iterator[FoundImage]:
        for number, member in enumerate(members):
            self.members = number + 1
            name = find_name(self._file, member.name)
            if name is not None:
                self.passed = member.offset
                self._pass(member.offset)
                yield FoundImage(id_key(name), number, member)

    def _take_damage(self, damage: ArchiveDamaged) -> None:
        if not self.members:
            remedy = "Download it again, and check its size"
            raise InputError(self._file.path, str(damage), remedy) from None
        self.damage = str(damage)

    def _pass(self, offset: int) -> None:
        # The offsets of members of a tar.gz are those of the unpacked tar, which is larger than the file.
        if self._progress < offset <= self._file.size:
            self._on_progress(offset - self._progress)
            self._progress = offset


def _find_part(indexer: GzipIndexer, found: FoundImage) -> GzipPart | None:
    return indexer.part(found.member.offset, found.member.offset + found.member.size)


def _list_members(stream: BinaryIO, kind: ArchiveKind, path: str) -> Iterator[Member]:
    if kind is ArchiveKind.TAR:
        return list_tar(stream)
    # Away from this machine, the headers would cost a request for each file, or the whole zip. They are also looked at
    # when an image is read.
    return list_zip(stream, check_headers=storage.is_local(path))


@contextlib.contextmanager
def _open_buffered(path: str) -> Iterator[BinaryIO]:
    """Opens an archive for jumps from header to header."""
    with storage.open_read(path) as stream:
        if storage.is_local(path):
            yield stream
        else:
            # Reading past an image is cheaper than another request.
            yield cast(BinaryIO, io.BufferedReader(cast(io.RawIOBase, stream), _REMOTE_BUFFER))
