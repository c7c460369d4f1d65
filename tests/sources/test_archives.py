import gzip
import io
import pathlib
import random
import tarfile
import zipfile
from collections.abc import Iterator

import numpy as np
import pytest

from oi_tfrecord.errors import InputError, StorageError
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.join.archive_places import ImageFiles, locate_files
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.join.shard_rows import ShardRows
from oi_tfrecord.openimages.schema import IMAGE_FILE_ROW, RangeKey, Table
from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.archive_format import ArchiveKind
from oi_tfrecord.sources.archive_listing import ArchiveFile, ArchiveListing, FoundImage, open_archives
from oi_tfrecord.sources.archives import ArchiveSource
from oi_tfrecord.sources.kept_images import KeptFolder
from oi_tfrecord.storage.retry import RetryPolicy
from tests.support.memory_filesystem import MemoryFileSystem

FLIPS = 1000

IMAGES = {number << 60 | number: bytes([number]) * 300 * number for number in range(1, 8)}


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[str]:
    MemoryFileSystem.files.clear()
    yield str(tmp_path) if request.param == "local" else "memory://bucket"
    MemoryFileSystem.files.clear()


def put(path: str, data: bytes) -> None:
    if path.startswith("memory://"):
        MemoryFileSystem.files[path] = data
    else:
        pathlib.Path(path).write_bytes(data)


def get(path: str) -> bytes:
    return MemoryFileSystem.files[path] if path.startswith("memory://") else pathlib.Path(path).read_bytes()


def pack(path: str, kind: ArchiveKind, images: dict[int, bytes], method: int = zipfile.ZIP_STORED) -> None:
    out = io.BytesIO()
    names = {f"train/{image_id:016x}.jpg": data for image_id, data in images.items()}
    if kind is ArchiveKind.ZIP:
        with zipfile.ZipFile(out, "w", method) as zipped:
            for name, data in names.items():
                zipped.writestr(name, data)
        put(path, out.getvalue())
        return
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, data in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    put(path, gzip.compress(out.getvalue()) if kind is ArchiveKind.TAR_GZ else out.getvalue())


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> KeptFolder:
    """Where images of tar.gz are kept; each test writes them again, as each archive has another time or size."""
    path = str(tmp_path_factory.mktemp("kept"))
    return KeptFolder(path, path, max_bytes=1 << 20)


def source_of(kept: KeptFolder, *paths: str, max_bytes: int = 10_000) -> ArchiveSource:
    return ArchiveSource(tuple(open_archives(paths, "train")), max_bytes, kept.path)


def list_again(archive: ArchiveFile, kept: KeptFolder) -> ArchiveListing:
    """Returns the listing of an archive that is read, whatever was kept of another."""
    for path in pathlib.Path(kept.path).glob(f"*-{archive.number:05d}.json"):
        path.unlink()
    return ArchiveListing(archive, kept=kept)


def read_all(source: ArchiveSource, kept: KeptFolder) -> dict[int, bytes | ImageRejected]:
    """Returns what becomes of each image that the archives list."""
    read: dict[int, bytes | ImageRejected] = {}
    for archive in source.archives:
        for found in list(list_again(archive, kept).images()):
            try:
                read[found.image_id] = source.read(archive.number, row_of(found), f"{found.image_id:016x}")
            except ImageRejected as rejected:
                read[found.image_id] = rejected
    return read


def row_of(found: FoundImage) -> np.void:
    member = found.member
    row = np.zeros(1, IMAGE_FILE_ROW)
    row["image_id"], row["size"], row["crc32"] = found.image_id, member.size, member.crc32
    row["offset"], row["stored"], row["storing"] = member.offset, member.stored, member.storing
    return row[0]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("kind", ArchiveKind)
def test_reads_all_bytes(folder: str, kind: ArchiveKind, method: int, kept: KeptFolder) -> None:
    pack(f"{folder}/x", kind, IMAGES | {0: b""}, method)
    assert read_all(source_of(kept, f"{folder}/x"), kept) == IMAGES | {0: b""}


@pytest.mark.parametrize("kind", ArchiveKind)
def test_too_large_images_are_not_read(folder: str, kind: ArchiveKind, kept: KeptFolder) -> None:
    pack(f"{folder}/x", kind, IMAGES)
    read = read_all(source_of(kept, f"{folder}/x", max_bytes=1200), kept)
    for image_id, data in IMAGES.items():
        found = read[image_id]
        if len(data) <= 1200:
            assert found == data
        else:
            assert isinstance(found, ImageRejected)
            assert found.reason is Reject.IMAGE_TOO_LARGE


def test_damage_in_a_zip_is_found_by_its_checksum(folder: str, kept: KeptFolder) -> None:
    pack(f"{folder}/x", ArchiveKind.ZIP, IMAGES)
    data = bytearray(get(f"{folder}/x"))
    image_id, image = list(IMAGES.items())[3]
    data[data.index(image) + 20] ^= 1
    put(f"{folder}/x", bytes(data))
    read = read_all(source_of(kept, f"{folder}/x"), kept)
    rejected = read.pop(image_id)
    assert isinstance(rejected, ImageRejected)
    assert rejected.reason is Reject.CHECKSUM_MISMATCH
    assert read == {number: data for number, data in IMAGES.items() if number != image_id}


def test_damage_in_a_deflated_member_is_broken(folder: str, kept: KeptFolder) -> None:
    pack(f"{folder}/x", ArchiveKind.ZIP, {1: bytes(range(256)) * 8}, zipfile.ZIP_DEFLATED)
    data = bytearray(get(f"{folder}/x"))
    start = data.index(b".jpg") + 4
    data[start : start + 20] = b"\xff" * 20
    put(f"{folder}/x", bytes(data))
    rejected = read_all(source_of(kept, f"{folder}/x"), kept)[1]
    assert isinstance(rejected, ImageRejected)
    assert rejected.reason is Reject.IMAGE_BROKEN


def test_a_long_name_in_a_zip_costs_another_read(folder: str, kept: KeptFolder) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as zipped:
        zipped.writestr("folder/" * 200 + f"{5:016x}.jpg", b"data")
        zipped.writestr("z", bytes(5000))
    put(f"{folder}/x", out.getvalue())
    assert read_all(source_of(kept, f"{folder}/x"), kept) == {5: b"data"}


def test_an_encrypted_member_is_unreadable(folder: str, kept: KeptFolder) -> None:
    pack(f"{folder}/x", ArchiveKind.ZIP, {1: b"x"})
    data = bytearray(get(f"{folder}/x"))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    put(f"{folder}/x", bytes(data))
    rejected = read_all(source_of(kept, f"{folder}/x"), kept)[1]
    assert isinstance(rejected, ImageRejected)
    assert rejected.reason is Reject.IMAGE_UNREADABLE


def test_images_of_a_shard_are_found_by_the_join(folder: str, kept: KeptFolder) -> None:
    pack(f"{folder}/0", ArchiveKind.TAR, {1: b"one", 2: b"two"})
    pack(f"{folder}/1", ArchiveKind.TAR_GZ, {3: b"three"})
    source = source_of(kept, f"{folder}/0", f"{folder}/1")
    listed = [(n, found) for n in range(2) for found in list_again(source.archives[n], kept).images()]
    rows = np.array([row_of(found) for _, found in listed], IMAGE_FILE_ROW)
    ids = np.array([3, 4, 1], np.uint64)
    image_of = np.array([2, 0, 0])
    known = np.isin(rows["image_id"], ids)
    keys = tuple(RangeKey(Table.IMAGE_FILES, n, 0) for n in range(2))
    table = ShardRows(rows, (), keys, np.array([n for n, _ in listed]), {})
    located = locate_files(table, image_of, known, count=3)
    assert (located.repeated.tolist(), located.unmatched_count) == ([], 1)
    images = source.open_shard(joined(ids, located.files))
    assert [images.read(0), images.read(2)] == [b"three", b"one"]
    assert [images.path(index) for index in (0, 2)] == [f"{folder}/1", f"{folder}/0"]
    with pytest.raises(ImageRejected) as raised:
        images.read(1)
    assert raised.value.reason is Reject.IMAGE_MISSING
    with pytest.raises(ImageRejected):
        source.open_shard(joined(ids, None)).read(0)


def joined(ids: np.ndarray, files: ImageFiles | None) -> JoinedShard:
    return JoinedShard(ids, {}, {}, [], {}, {}, 0, np.ones(len(ids), bool), files)


def test_is_remote_as_its_archives_are(folder: str, kept: KeptFolder) -> None:
    pack(f"{folder}/x", ArchiveKind.TAR, IMAGES)
    assert source_of(kept, f"{folder}/x").is_remote is folder.startswith("memory://")


def test_an_archive_that_is_gone_makes_its_images_unreadable(tmp_path: pathlib.Path, kept: KeptFolder) -> None:
    pack(str(tmp_path / "x"), ArchiveKind.TAR, IMAGES)
    source = source_of(kept, str(tmp_path / "x"))
    [first, *_] = list_again(source.archives[0], kept).images()
    (tmp_path / "x").unlink()
    with pytest.raises(ImageRejected) as raised:
        source.read(0, row_of(first), "")
    assert raised.value.reason is Reject.IMAGE_UNREADABLE


def test_faults_of_remote_storage_are_raised(monkeypatch: pytest.MonkeyPatch, kept: KeptFolder) -> None:
    pack("memory://bucket/x", ArchiveKind.TAR, IMAGES)
    source = source_of(kept, "memory://bucket/x")
    [first, *_] = list_again(source.archives[0], kept).images()

    def fail(self: MemoryFileSystem, path: str, *_: object, **__: object) -> None:
        raise ConnectionError("try again")

    monkeypatch.setattr(MemoryFileSystem, "open", fail)
    monkeypatch.setattr("oi_tfrecord.storage.beam_filesystem.RETRY", RetryPolicy(attempts=1))
    with pytest.raises(StorageError, match="try again"):
        source.read(0, row_of(first), "")
    MemoryFileSystem.files.clear()


def test_remote_streams_fetch_no_more_than_the_image(monkeypatch: pytest.MonkeyPatch, kept: KeptFolder) -> None:
    pack("memory://bucket/x", ArchiveKind.TAR, IMAGES | {9: bytes(1 << 20)})
    source = source_of(kept, "memory://bucket/x")
    found = list(list_again(source.archives[0], kept).images())
    fetched = []

    class Store(io.BytesIO):
        """The stream beneath the buffered one of S3."""

        def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]
            count = super().readinto(buffer)
            fetched.append(count)
            return count

        def read(self, size: int | None = -1) -> bytes:
            data = super().read(size)
            fetched.append(len(data))
            return data

    def open_store(self: MemoryFileSystem, path: str, *_: object, **__: object) -> io.BufferedReader:
        return io.BufferedReader(Store(self.files[path]), 1 << 24)  # type: ignore[arg-type]

    monkeypatch.setattr(MemoryFileSystem, "open", open_store)
    for item in found[:3]:
        fetched.clear()
        assert source.read(0, row_of(item), "") == IMAGES[item.image_id]
        assert sum(fetched) == len(IMAGES[item.image_id])
    MemoryFileSystem.files.clear()


def test_rows_of_another_file_do_not_crash(folder: str, kept: KeptFolder) -> None:
    # An archive that was replaced while a conversion ran.
    pack(f"{folder}/x", ArchiveKind.ZIP, IMAGES, zipfile.ZIP_DEFLATED)
    source = source_of(kept, f"{folder}/x")
    [first, *_] = list_again(source.archives[0], kept).images()
    row = row_of(first)
    put(f"{folder}/x", b"other bytes" * 1000)
    with pytest.raises(ImageRejected) as raised:
        source.read(0, row, "")
    assert raised.value.reason is Reject.IMAGE_BROKEN


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        (ArchiveKind.TAR_GZ, zipfile.ZIP_STORED),
        (ArchiveKind.ZIP, zipfile.ZIP_STORED),
        (ArchiveKind.ZIP, zipfile.ZIP_DEFLATED),
    ],
)
def test_no_flipped_bit_gives_other_bytes_or_hides_an_image(
    kind: ArchiveKind, method: int, tmp_path: pathlib.Path, kept: KeptFolder
) -> None:
    path = tmp_path / "x"
    chosen = random.Random(20)
    images = {image_id: chosen.randbytes(len(data)) for image_id, data in IMAGES.items()}
    pack(str(path), kind, images, method)
    whole = path.read_bytes()
    effects = 0
    for place in chosen.sample(range(8 * len(whole)), FLIPS):
        data = bytearray(whole)
        data[place // 8] ^= 1 << place % 8
        path.write_bytes(data)
        try:
            source = source_of(kept, str(path))
            listing = list_again(source.archives[0], kept)
            found = list(listing.images())
        except InputError:
            effects += 1
            continue
        read = read_all(source, kept)
        assert all(read[i] == images.get(i) for i in read if isinstance(read[i], bytes)), place
        rejected = [item for item in read.values() if isinstance(item, ImageRejected)]
        assert len(found) == len(images) or listing.damage or rejected, place
        assert read.keys() == images.keys() or listing.damage, place
        effects += bool(rejected or listing.damage)
    assert effects > FLIPS // 2
