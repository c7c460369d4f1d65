import pathlib
from collections.abc import Iterator

import pytest

from oi_tfrecord import storage
from oi_tfrecord.openimages.csv.files import InputFile, open_table
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.settings.allowed_values import UrlKind
from oi_tfrecord.sources.archive_format import ArchiveKind
from oi_tfrecord.sources.files import PatternSource
from oi_tfrecord.sources.kept_images import KeptFolder
from oi_tfrecord.sources.samples import ArchiveSamples, FileSamples, FolderSamples, UrlSamples
from oi_tfrecord.sources.url_folders import UrlFolders
from tests.sources.test_archives import IMAGES, pack, source_of
from tests.support.memory_filesystem import MemoryFileSystem

IMAGE_ID = "000a1249af2bc5f0"


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[str]:
    MemoryFileSystem.files.clear()
    yield str(tmp_path) if request.param == "local" else "memory://bucket"
    MemoryFileSystem.files.clear()


def put(folder: str, name: str, data: bytes) -> None:
    if storage.is_local(folder):
        pathlib.Path(folder, name).parent.mkdir(exist_ok=True)
    storage.write(f"{folder}/{name}", data, folder)


def metadata(folder: pathlib.Path, columns: str, rows: list[str]) -> tuple[InputFile, ...]:
    lines = [columns, *(f"{number:016x},{row}" for number, row in enumerate(rows))]
    (folder / "images.csv").write_text("".join(f"{line}\n" for line in lines))
    return tuple(open_table(Table.METADATA, ("images.csv",), str(folder), ""))


def test_files_are_the_images_themselves(folder: str) -> None:
    put(folder, f"[x] {IMAGE_ID}", b"12345")
    samples = FileSamples(PatternSource(folder + "/[x] {image_id}", "train", 99))
    assert samples.read(IMAGE_ID) == b"12345"
    assert samples.path(IMAGE_ID) == f"{folder}/[x] {IMAGE_ID}"
    if storage.is_local(folder):
        # Beam's patterns have no escape, so only local names may hold brackets here.
        assert samples.size(IMAGE_ID) == 5
    missing = FileSamples(PatternSource(folder + "/none-{image_id}", "train", 99))
    assert (missing.size(IMAGE_ID), missing.read(IMAGE_ID)) == (None, None)


def test_folders_give_the_first_images_of_the_metadata(folder: str, tmp_path: pathlib.Path) -> None:
    files = metadata(tmp_path, "ImageID,OriginalURL", [f"http://x/abc{number}.jpg" for number in range(10)])
    samples = FolderSamples(UrlFolders(folder, "", 100), files)
    for number in range(5):
        put(folder, f"abc/abc{number}.jpg", b"x" * 30)
    sizes = [samples.size(f"{number:016x}") for number in range(1000)]
    assert sizes.count(30) == sizes.count(None) == 500
    assert samples.read("0" * 16) == b"x" * 30
    assert samples.path(f"{7:016x}") == f"{folder}/abc/abc7.jpg"
    assert samples.read(f"{7:016x}") is None
    assert FolderSamples(UrlFolders(folder, "", 100), ()).size("0" * 16) is None


@pytest.mark.parametrize("kind", ArchiveKind)
def test_archives_give_their_first_images(folder: str, kind: ArchiveKind) -> None:
    pack(f"{folder}/x", kind, IMAGES)
    whole = storage.read(f"{folder}/x")
    put(folder, "cut", whole[: len(whole) // 2])
    samples, cut = (ArchiveSamples(source_of(KeptFolder(), f"{folder}/{name}")) for name in ("x", "cut"))
    image_ids = [f"{number:016x}" for number in range(100)]
    assert set(map(samples.read, image_ids)) == set(IMAGES.values())
    assert set(map(samples.size, image_ids)) == set(map(len, IMAGES.values()))
    assert set(map(cut.size, image_ids)) <= {None, *map(len, IMAGES.values())}


def test_archives_without_images_give_none(folder: str) -> None:
    pack(f"{folder}/x", ArchiveKind.TAR, {})
    samples = ArchiveSamples(source_of(KeptFolder(), f"{folder}/x"))
    assert (samples.size("0" * 16), samples.read("0" * 16)) == (None, None)
    assert samples.path("0" * 16) == f"{folder}/x"


def test_sizes_by_url_are_those_of_the_metadata(tmp_path: pathlib.Path) -> None:
    rows = [f"http://127.0.0.1:1/{number}.jpg,{number + 100}" for number in range(1000)]
    original = UrlSamples(UrlKind.ORIGINAL, metadata(tmp_path, "ImageID,OriginalURL,OriginalSize", rows))
    sizes = [original.size(f"{number:016x}") for number in range(0, 1 << 40, 1 << 33)]
    assert all(size is not None and 100 <= size < 1100 for size in sizes)
    assert original.read("0" * 16) is None
    thumbnail = UrlSamples(UrlKind.THUMBNAIL, ())
    assert 50_000 < (thumbnail.size("0" * 16) or 0) < 300_000
    assert UrlSamples(UrlKind.ORIGINAL, ()).size("0" * 16)
