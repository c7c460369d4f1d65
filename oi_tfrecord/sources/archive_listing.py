"""Finds archives, and lists the images of one in a single pass, which also keeps the images of a tar.gz."""

import contextlib
import dataclasses
import io
import itertools
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import BinaryIO, NamedTuple, cast

import google_crc32c

from oi_tfrecord import storage
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.openimages.image_id import IdForm, id_key
from oi_tfrecord.openimages.schema import Listing, Table
from oi_tfrecord.sources.archive_format import (
    HEAD_BYTES,
    ArchiveDamaged,
    ArchiveKind,
    Member,
    Storing,
    find_image_id,
    find_kind,
    find_mask_image,
    list_tar,
    list_zip,
)
from oi_tfrecord.sources.gunzip import Gunzip, GzipDamaged
from oi_tfrecord.sources.kept_images import ArchiveFacts, KeptFolder, create_kept, read_kept, write_facts
from oi_tfrecord.storage.read_ahead import iterate_ahead
from oi_tfrecord.storage.streams import CHUNK_BYTES, ForwardStream

_REMOTE_BUFFER = 8 << 20

_CHUNKS_AHEAD = 8
"""Chunks of a tar.gz that are inflated while the images before are written."""

_SAMPLE_BYTES = 1 << 12
"""Bytes at the start and the end of each file in a tar by which a changed file is noticed: those that the system reads
with the headers before and behind the file anyway."""


@dataclasses.dataclass(frozen=True)
class ArchiveFile:
    """An archive of images or of masks.

    Attributes:
        listing: whether it holds images or masks.
        number: its place among the archives of the listing.
        path: path of the archive.
        size: bytes of the archive.
        modified: seconds since the epoch.
        kind: tar, tar.gz or zip.
        id_form: what the ImageIDs are that the names of its files hold.
    """

    listing: Listing
    number: int
    path: str
    size: int
    modified: float
    kind: ArchiveKind
    id_form: IdForm = IdForm.HEX


class FoundImage(NamedTuple):
    """An image, or a mask, in an archive.

    Attributes:
        image_id: key of its ImageID, or of that of the mask's image.
        number: number of the member, from 0.
        member: where it lies, in the archive or in the file of the images that are kept of a tar.gz.
    """

    image_id: int
    number: int
    member: Member


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
        ConfigError: if a pattern matches nothing.
        InputError: if a file is no tar, tar.gz or zip.
    """
    found: dict[str, storage.FileInfo] = {}
    for name in names:
        infos = storage.match(name.replace("{split}", split))
        if not infos:
            raise ConfigError(field, f"no file matches {name.replace('{split}', split)}")
        for info in infos:
            found.setdefault(info.path, info)
    return [
        ArchiveFile(listing, number, info.path, info.size, info.modified, read_kind(info.path))
        for number, info in enumerate(found.values())
    ]


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
        damage: the damage at the end of the archive, known when `images` has ended; empty if there is none.
        content: CRC-32C of what was found so far, by which a changed archive is known (see `find_content`).
    """

    def __init__(
        self,
        file: ArchiveFile,
        on_progress: Callable[[int], None] = lambda size: None,
        kept: KeptFolder = KeptFolder(),  # noqa: B008 (frozen)
    ):
        """Reads nothing yet.

        Args:
            file: the archive.
            on_progress: called with the bytes of the archive that were passed since the last call.
            kept: where images of a tar.gz are kept, and which; by default, none are.
        """
        self._file = file
        self._on_progress = on_progress
        self._kept = kept
        self._progress = 0
        self.members = 0
        self.damage = ""
        self.content = 0

    def images(self) -> Generator[FoundImage, None, None]:
        """Yields the images, an image that the end of the archive cuts off included.

        Raises:
            InputError: if a tar.gz is damaged or cut off. Its only checksum is at the end of a gzip stream, so any
                byte before may be wrong. Or if the archive lists no file.
        """
        file = self._file
        if file.kind is not ArchiveKind.TAR_GZ:
            yield from self._images_in_place()
        elif facts := self._kept.find(file.listing, file.number, file.size, file.modified):
            yield from itertools.starmap(FoundImage, read_kept(self._kept, file.listing, file.number))
            self.members, self.damage, self.content = facts.members, facts.damage, facts.content
        else:
            yield from self._images_of_tar_gz()
        self._pass(file.size)

    def _images_in_place(self) -> Iterator[FoundImage]:
        with _open_buffered(self._file.path) as stream:
            try:
                for member in _list_members(stream, self._file.kind, self._file.path):
                    sample = _read_sample(stream, member) if self._file.kind is ArchiveKind.TAR else b""
                    identity = (member.name, member.offset, member.size, member.crc32, member.header)
                    self.content = google_crc32c.extend(self.content, ascii(identity).encode() + sample)
                    yield from self._select(member)
                    self._pass(member.offset)
            except ArchiveDamaged as damage:
                self._take_damage(damage)

    def _images_of_tar_gz(self) -> Iterator[FoundImage]:
        file = self._file
        with storage.open_read(file.path) as stream:
            gunzip = Gunzip(stream)
            tar = ForwardStream(iterate_ahead(gunzip.chunks(), _CHUNKS_AHEAD))
            try:
                if self._kept.path:
                    yield from self._keep(tar, gunzip)
                else:
                    for found in self._list(tar, gunzip):
                        yield found._replace(member=dataclasses.replace(found.member, storing=Storing.NOT_KEPT))
            except GzipDamaged as fault:
                remedy = "Download it again, and check it with `gzip -t`; or unpack what is good, and give the images"
                raise InputError(file.path, str(fault), remedy) from None
        self.content = gunzip.crc32c

    def _keep(self, tar: ForwardStream, gunzip: Gunzip) -> Iterator[FoundImage]:
        """Yields the images with the places where they are kept."""
        file = self._file
        with create_kept(self._kept, file.listing, file.number) as writer:
            for found in self._list(tar, gunzip):
                yield found._replace(member=writer.add(*found, tar))
        facts = ArchiveFacts(file.size, file.modified, gunzip.crc32c, self.members, self.damage, writer.kept_bytes)
        write_facts(self._kept, file.listing, file.number, facts)

    def _list(self, tar: ForwardStream, gunzip: Gunzip) -> Iterator[FoundImage]:
        """Yields the images of an unpacked tar, and reads all of it, so that its checksums are compared."""
        damage: ArchiveDamaged | None = None
        try:
            for member in list_tar(cast(BinaryIO, tar)):
                yield from self._select(member)
                self._pass(gunzip.read_bytes)
        except ArchiveDamaged as found:
            damage = found
        while tar.read(CHUNK_BYTES):
            pass
        if damage is not None:
            self._take_damage(damage)

    def _select(self, member: Member) -> Iterator[FoundImage]:
        self.members += 1
        name = find_name(self._file, member.name)
        if name is not None:
            yield FoundImage(id_key(name), self.members - 1, member)

    def _take_damage(self, damage: ArchiveDamaged) -> None:
        if not self.members:
            remedy = "Download it again, and check its size"
            raise InputError(self._file.path, str(damage), remedy) from None
        self.damage = str(damage)

    def _pass(self, offset: int) -> None:
        if offset > self._progress:
            self._on_progress(offset - self._progress)
            self._progress = offset


def find_content(file: ArchiveFile) -> int:
    """Returns the CRC-32C by which a changed archive is known, whatever its time of change says.

    Of a tar.gz, of all its bytes; of a zip, of the names, places, sizes and CRC-32 in its directory; of a tar, of its
    headers and the first and last 4 KiB of each file, because a tar has no checksum of its files.

    Args:
        file: the archive.

    Raises:
        InputError: if the archive lists no file.
    """
    if file.kind is not ArchiveKind.TAR_GZ:
        listing = ArchiveListing(file)
        for _ in listing.images():
            pass
        return listing.content
    crc32c = 0
    with storage.open_read(file.path) as stream:
        while data := stream.read(CHUNK_BYTES):
            crc32c = google_crc32c.extend(crc32c, data)
    return crc32c


def find_archive_content(path: str) -> int:
    """Returns `find_content` of the archive at a path."""
    info = next(iter(storage.match(storage.escape(path))))
    return find_content(ArchiveFile(Table.IMAGE_FILES, 0, path, info.size, info.modified, read_kind(path)))


def _read_sample(stream: BinaryIO, member: Member) -> bytes:
    stream.seek(member.offset)
    first = stream.read(min(member.size, _SAMPLE_BYTES))
    rest = min(member.size - len(first), _SAMPLE_BYTES)
    stream.seek(member.offset + member.size - rest)
    return first + stream.read(rest)


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
