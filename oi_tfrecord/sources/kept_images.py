"""Images of tar.gz archives, kept in a file beside the output, because nothing but one pass finds them in the archive.

    archive    gzip stream from start to end -> tar -> images --+
                                                                | those that are chosen, one after the other
    KEPT       image_files-00003.images  <----------------------+
               image_files-00003.index   where each lies
               image_files-00003.json    what the archive was; written last

A run that resumes another reads the index in place of the archive.
"""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
from zlib_ng import zlib_ng

from oi_tfrecord import storage
from oi_tfrecord.sources.archive_format import Member, Storing
from oi_tfrecord.storage.streams import ForwardStream

_BATCH = 1 << 14
"""Images of a record batch of an index."""

_COLUMNS = pa.schema(
    [
        ("image_id", pa.uint64()),
        ("number", pa.uint64()),
        ("name", pa.binary()),
        ("offset", pa.uint64()),
        ("size", pa.uint64()),
        ("stored", pa.uint64()),
        ("storing", pa.uint8()),
        ("crc32", pa.uint32()),
    ]
)


@dataclasses.dataclass(frozen=True)
class ArchiveFacts:
    """What an archive was when its images were kept.

    Attributes:
        size: bytes of the archive.
        modified: seconds since the epoch.
        content: CRC-32C of the archive.
        members: number of its files, images or not.
        damage: what is wrong with the tar; empty if nothing is.
        kept_bytes: bytes of the file of its images.
    """

    size: int
    modified: float
    content: int
    members: int
    damage: str
    kept_bytes: int


@dataclasses.dataclass(frozen=True)
class KeptFolder:
    """Where images of archives are kept, and which.

    Attributes:
        path: the folder; empty keeps none.
        temporary: folder on the same storage for files that are being written.
        chosen: file of the keys of the ImageIDs that are kept, sorted, 8 bytes each; empty keeps all.
        max_bytes: larger images are not kept, as they are not read either.
        known: CRC-32C of archives that are known not to have changed, by listing and number, whatever their time says.
    """

    path: str = ""
    temporary: str = ""
    chosen: str = ""
    max_bytes: int = 0
    known: tuple[tuple[str, int, int], ...] = ()

    @functools.cached_property
    def chosen_keys(self) -> np.ndarray:
        """The keys of the ImageIDs that are kept, uint64, sorted."""
        return np.frombuffer(storage.read(self.chosen), "<u8")

    def keeps(self, image_id: int, size: int) -> bool:
        """Returns whether an image of `size` bytes is kept."""
        if not self.path or size > self.max_bytes:
            return False
        if not self.chosen:
            return True
        place = int(np.searchsorted(self.chosen_keys, np.uint64(image_id)))
        return place < len(self.chosen_keys) and int(self.chosen_keys[place]) == image_id

    def find(self, listing: str, number: int, size: int, modified: float) -> ArchiveFacts | None:
        """Returns the facts of an archive whose images an earlier run kept; None if they are to be kept again.

        Args:
            listing: of the archive.
            number: of the archive.
            size: bytes that the archive has now.
            modified: time of its change.
        """
        if not self.path or storage.size(_facts_path(self.path, listing, number)) is None:
            return None
        facts = ArchiveFacts(**json.loads(storage.read(_facts_path(self.path, listing, number))))
        is_same = facts.modified == modified or (listing, number, facts.content) in self.known
        is_whole = storage.size(kept_path(self.path, listing, number)) == facts.kept_bytes
        return facts if is_same and is_whole and facts.size == size else None


def kept_path(folder: str, listing: str, number: int) -> str:
    """Returns the path of the images that are kept of an archive."""
    return storage.join(folder, f"{listing}-{number:05d}.images")


def _index_path(folder: str, listing: str, number: int) -> str:
    return storage.join(folder, f"{listing}-{number:05d}.index")


def _facts_path(folder: str, listing: str, number: int) -> str:
    return storage.join(folder, f"{listing}-{number:05d}.json")


class KeptWriter:
    """Writes the images that are kept of an archive, and their index."""

    def __init__(self, folder: KeptFolder, images: BinaryIO, index: BinaryIO):
        """Writes nothing yet.

        Args:
            folder: which images are kept.
            images: takes the bytes of the images.
            index: takes the index.
        """
        self._folder = folder
        self._images = images
        self._index = pa.ipc.new_stream(index, _COLUMNS)
        self._rows: list[tuple[Any, ...]] = []
        self.kept_bytes = 0

    def add(self, image_id: int, number: int, member: Member, tar: ForwardStream) -> Member:
        """Keeps an image if it is chosen; returns where it is kept.

        Args:
            image_id: key of its ImageID.
            number: of the member.
            member: where the image lies in the tar.
            tar: the unpacked tar, behind the header of the member.
        """
        if member.storing is not Storing.PLAIN:
            kept = member
        elif not self._folder.keeps(image_id, member.size):
            kept = dataclasses.replace(member, offset=0, stored=0, storing=Storing.NOT_KEPT)
        else:
            kept = self._copy(member, tar)
        row = (image_id, number, member.name.encode("utf-8", "surrogateescape"))
        self._rows.append((*row, kept.offset, kept.size, kept.stored, int(kept.storing), kept.crc32))
        if len(self._rows) == _BATCH:
            self._write_rows()
        return kept

    def close(self) -> None:
        """Writes the rest of the index."""
        self._write_rows()
        self._index.close()

    def _copy(self, member: Member, tar: ForwardStream) -> Member:
        start, crc32 = self.kept_bytes, 0
        for piece in tar.pieces(member.offset, member.offset + member.size):
            crc32 = zlib_ng.crc32(piece, crc32)
            _write(self._images, piece)
            self.kept_bytes += len(piece)
        # The end of a tar may cut off its last image.
        stored = self.kept_bytes - start
        return dataclasses.replace(member, offset=start, stored=stored, storing=Storing.KEPT, crc32=crc32)

    def _write_rows(self) -> None:
        if self._rows:
            columns = zip(*self._rows, strict=True)
            arrays = [pa.array(list(column), field.type) for column, field in zip(columns, _COLUMNS, strict=True)]
            self._index.write_batch(pa.record_batch(arrays, schema=_COLUMNS))
            self._rows = []


def _write(stream: BinaryIO, data: memoryview) -> None:
    while data:
        data = data[stream.write(data) :]


@contextlib.contextmanager
def create_kept(folder: KeptFolder, listing: str, number: int) -> Iterator[KeptWriter]:
    """Opens the files that take the images of an archive and their index; neither is there if the block raises.

    Args:
        folder: where images are kept, and which.
        listing: of the archive.
        number: of the archive.
    """
    with (
        storage.create(kept_path(folder.path, listing, number), folder.temporary) as images,
        storage.create(_index_path(folder.path, listing, number), folder.temporary) as index,
    ):
        writer = KeptWriter(folder, images, index)
        yield writer
        writer.close()


def write_facts(folder: KeptFolder, listing: str, number: int, facts: ArchiveFacts) -> None:
    """Stores what an archive was, by which its images and their index are known to be whole."""
    data = json.dumps(dataclasses.asdict(facts)).encode()
    storage.write(_facts_path(folder.path, listing, number), data, folder.temporary)


def read_kept(folder: KeptFolder, listing: str, number: int) -> Iterator[tuple[int, int, Member]]:
    """Yields (key of the ImageID, number of the member, where the image is kept) of each image of an index."""
    with storage.open_read(_index_path(folder.path, listing, number)) as file, pa.ipc.open_stream(file) as batches:
        for batch in batches:
            for image_id, place, name, offset, size, stored, storing, crc32 in zip(
                *(column.to_pylist() for column in batch.columns), strict=True
            ):
                text = name.decode("utf-8", "surrogateescape")
                yield image_id, place, Member(text, offset, size, stored, Storing(storing), crc32)
