"""Images of tar.gz archives, which are kept beside the output until they are in records."""

import collections
import gzip
import io
import os
import pathlib
import shutil
import tarfile
from collections.abc import Iterator

import pytest

from oi_tfrecord.conversion import write_shards
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.sources import archive_listing, gunzip, plan_kept_images
from oi_tfrecord.sources.kept_images import ArchiveFacts, KeptFolder
from tests.support import small_release
from tests.support.memory_filesystem import MemoryFileSystem
from tests.support.small_release import Release, convert


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=24, size=(200, 160))


@pytest.fixture(scope="module")
def loose(release: Release, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("loose")
    assert convert(release.flags(folder, workers=1)) == 0
    return small_release.shards(folder)


def files_of(release: Release) -> list[pathlib.Path]:
    return sorted((release.folder / "images").iterdir())


def pack(release: Release, folder: pathlib.Path, kind: str = "tar.gz", count: int = 2) -> str:
    """Packs the images in some archives, whose headers have no times; returns their pattern."""
    for number in range(count):
        with tarfile.open(folder / f"{number}.{kind}", "w") as tar:
            for path in files_of(release)[number::count]:
                info = tarfile.TarInfo(f"train/{path.name}")
                info.size = path.stat().st_size
                tar.addfile(info, io.BytesIO(path.read_bytes()))
        if kind == "tar.gz":
            archive = folder / f"{number}.{kind}"
            # Stored, so that the size is that of the tar whatever the images are.
            archive.write_bytes(gzip.compress(archive.read_bytes(), 0))
    return str(folder / f"?.{kind}")


def run(
    release: Release, output_dir: pathlib.Path | str, archives: str, out: io.StringIO | None = None, **flags: object
) -> int:
    given = {"images": None, "archives": archives, "workers": 1, **flags}
    return convert(release.flags(output_dir, **given), out)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[ArchiveFacts]:
    """The facts of the archives whose images were kept, in the order in which they were unpacked."""
    facts: list[ArchiveFacts] = []
    write = archive_listing.write_facts

    def note(folder: KeptFolder, listing: str, number: int, fact: ArchiveFacts) -> None:
        facts.append(fact)
        write(folder, listing, number, fact)

    monkeypatch.setattr(archive_listing, "write_facts", note)
    return facts


def interrupt(release: Release, output_dir: pathlib.Path, archives: str, after: int = 1) -> None:
    """Runs a conversion that ends when it has written some shards."""
    begun = collections.Counter[str]()
    whole = write_shards.convert_shard

    def stop(*arguments, **named):  # type: ignore[no-untyped-def]
        begun["shards"] += 1
        if begun["shards"] > after:
            raise RuntimeError("killed")
        return whole(*arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_shards, "convert_shard", stop)
        with pytest.raises(Exception, match="killed"):
            run(release, output_dir, archives)
    assert (output_dir / ".oi_tfrecord-train" / "kept").is_dir()


def test_images_are_kept_until_they_are_in_records(
    release: Release, loose: dict[str, bytes], kept: list[ArchiveFacts], tmp_path: pathlib.Path
) -> None:
    out = io.StringIO()
    assert run(release, tmp_path / "out", pack(release, tmp_path), out) == 0
    assert small_release.shards(tmp_path / "out") == loose
    assert sum(facts.kept_bytes for facts in kept) == sum(path.stat().st_size for path in files_of(release))
    assert not list((tmp_path / "out").glob(".oi_tfrecord-train/kept"))
    place = tmp_path / "out" / ".oi_tfrecord-train" / "kept"
    assert (
        f"plan       images of 2 tar.gz archives are kept in {place} until they are in records: about" in out.getvalue()
    )


def test_only_images_that_are_chosen_are_kept(
    release: Release, kept: list[ArchiveFacts], tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan_kept_images, "_CHOOSES_BELOW", 100.0)
    archives = pack(release, tmp_path)
    # Four workers are two processes, which Beam starts.
    for flags in ({"max_images": 3}, {"sample": 0.3, "workers": 4}):
        name = "-".join(flags)
        assert convert(release.flags(tmp_path / f"loose-{name}", **flags)) == 0
        del kept[:]
        out = io.StringIO()
        assert run(release, tmp_path / name, archives, out, **flags) == 0
        assert small_release.shards(tmp_path / name) == small_release.shards(tmp_path / f"loose-{name}")
        if "workers" not in flags:
            images = sum(path.stat().st_size for path in files_of(release))
            assert 0 < sum(facts.kept_bytes for facts in kept) < images / 2
        assert "chosen images of 2 tar.gz archives" in out.getvalue()
        assert not (tmp_path / name / ".oi_tfrecord-train" / "chosen_images").exists()


def fail_to_inflate(self: gunzip.Gunzip) -> Iterator[bytes]:
    raise AssertionError("an archive was inflated again")


@pytest.mark.parametrize("touched", [False, True])
def test_a_resumed_run_inflates_no_archive_again(
    release: Release, loose: dict[str, bytes], touched: bool, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = pack(release, tmp_path)
    interrupt(release, tmp_path / "out", archives)
    [written] = (tmp_path / "out").glob("train.tfrecord-*")
    before = written.stat().st_mtime_ns
    if touched:
        os.utime(tmp_path / "0.tar.gz", (1, 1))
    monkeypatch.setattr(gunzip.Gunzip, "chunks", fail_to_inflate)
    assert run(release, tmp_path / "out", archives) == 0
    assert small_release.shards(tmp_path / "out") == loose
    assert written.stat().st_mtime_ns == before


def test_an_archive_whose_kept_images_are_not_whole_is_inflated_again(
    release: Release, loose: dict[str, bytes], kept: list[ArchiveFacts], tmp_path: pathlib.Path
) -> None:
    archives = pack(release, tmp_path)
    interrupt(release, tmp_path / "out", archives)
    del kept[:]
    images = tmp_path / "out" / ".oi_tfrecord-train" / "kept" / "image_files-00001.images"
    images.write_bytes(images.read_bytes()[:-1])
    assert run(release, tmp_path / "out", archives) == 0
    assert small_release.shards(tmp_path / "out") == loose
    assert [facts.size for facts in kept] == [(tmp_path / "1.tar.gz").stat().st_size]


def test_kept_images_that_are_damaged_are_no_records(release: Release, tmp_path: pathlib.Path) -> None:
    archives = pack(release, tmp_path)
    interrupt(release, tmp_path / "out", archives, after=0)
    images = tmp_path / "out" / ".oi_tfrecord-train" / "kept" / "image_files-00001.images"
    data = bytearray(images.read_bytes())
    data[len(data) // 2] ^= 1
    images.write_bytes(data)
    assert run(release, tmp_path / "out", archives) == 0
    assert (tmp_path / "out" / "rejects-train.csv").read_text().count("checksum_mismatch") == 1


@pytest.mark.parametrize("kind", ["tar.gz", "tar", "zip"])
@pytest.mark.parametrize("finished", [False, True])
def test_archives_are_the_same_by_their_content(
    release: Release, loose: dict[str, bytes], kind: str, finished: bool, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "in").mkdir()
    if kind == "zip":
        shutil.make_archive(str(tmp_path / "in" / "0"), "zip", release.folder / "images")
    else:
        pack(release, tmp_path / "in", kind, count=1)
    archive = tmp_path / "in" / f"0.{kind}"
    if finished:
        assert run(release, tmp_path / "out", str(archive)) == 0
    else:
        interrupt(release, tmp_path / "out", str(archive), after=2)
    written = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("train.tfrecord-*")}
    assert written
    copy = archive.read_bytes()
    archive.unlink()
    archive.write_bytes(copy)
    os.utime(archive, (1, 1))
    assert run(release, tmp_path / "out", str(archive)) == 0
    assert small_release.shards(tmp_path / "out") == loose
    assert {path: path.stat().st_mtime_ns for path in written} == written


@pytest.mark.parametrize("kind", ["tar.gz", "tar"])
def test_a_changed_archive_of_the_same_size_is_not_resumed(release: Release, kind: str, tmp_path: pathlib.Path) -> None:
    archives = pack(release, tmp_path, kind, count=1)
    size = (tmp_path / f"0.{kind}").stat().st_size
    interrupt(release, tmp_path / "out", archives, after=4)
    written = b"".join(small_release.shards(tmp_path / "out").values())
    changed = next(path for path in files_of(release) if path.read_bytes() in written)
    data = changed.read_bytes()
    try:
        # One byte, so that the size and all headers of the tar stay as they are.
        changed.write_bytes(data[:20].replace(b"JFIF", b"JFIX") + data[20:])
        pack(release, tmp_path, kind, count=1)
        assert (tmp_path / f"0.{kind}").stat().st_size == size
        assert run(release, tmp_path / "out", archives) == 0
        assert convert(release.flags(tmp_path / "loose", workers=1)) == 0
        assert small_release.shards(tmp_path / "out") == small_release.shards(tmp_path / "loose")
    finally:
        changed.write_bytes(data)


def test_too_little_room_is_said_before_anything_starts(
    release: Release, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = pack(release, tmp_path)
    usage = shutil.disk_usage(tmp_path)._replace(free=10_000)
    monkeypatch.setattr(plan_kept_images.shutil, "disk_usage", lambda path: usage)
    for flags in ({}, {"dry_run": "true"}):
        with pytest.raises(ConfigError, match=r"archives: tar\.gz takes about .* and .* has 10.0 KB"):
            run(release, tmp_path / "out", archives, **flags)
    assert not small_release.shards(tmp_path / "out")


def test_a_dry_run_says_how_much_disk_the_images_take(release: Release, tmp_path: pathlib.Path) -> None:
    out = io.StringIO()
    assert run(release, tmp_path / "out", pack(release, tmp_path), out, dry_run="true") == 0
    assert "tar.gz archives are kept in" in out.getvalue()


def test_images_are_kept_on_this_machine_if_the_output_is_elsewhere(
    release: Release, loose: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    MemoryFileSystem.files.clear()
    try:
        assert run(release, "memory://bucket/out", pack(release, tmp_path)) == 0
        written = {
            path.rpartition("/")[2]: data for path, data in MemoryFileSystem.files.items() if "tfrecord-" in path
        }
        assert {name: written[name] for name in loose} == loose
        assert not [path for path in MemoryFileSystem.files if "/kept/" in path]
    finally:
        MemoryFileSystem.files.clear()
