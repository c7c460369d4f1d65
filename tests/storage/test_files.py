import gc
import os
import pathlib
from collections.abc import Iterator

import pytest

from oi_tfrecord import storage
from tests.support.memory_filesystem import MemoryFileSystem


@pytest.fixture(autouse=True)
def empty_memory() -> Iterator[None]:
    MemoryFileSystem.files.clear()
    yield
    MemoryFileSystem.files.clear()


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> str:
    """A folder that exists, on each kind of storage."""
    return str(tmp_path) if request.param == "local" else "memory://bucket/out"


def names_in(folder: str) -> list[str]:
    return [info.path.removeprefix(folder + "/") for info in storage.match(f"{folder}/*")]


def test_written_file_is_found_and_read(folder: str) -> None:
    path = storage.join(folder, "a.bin")
    assert not storage.exists(path)
    assert storage.match(path) == []
    storage.write(path, b"0123456789", folder)
    assert storage.exists(path)
    assert storage.exists(folder)
    assert storage.read(path) == b"0123456789"
    assert names_in(folder) == ["a.bin"]
    [info] = storage.match(path)
    assert (info.path, info.size) == (path, 10)


@pytest.mark.parametrize(
    ("offset", "length", "expected"),
    [(0, 4, b"0123"), (3, 4, b"3456"), (8, 4, b"89"), (10, 4, b""), (99, 1, b""), (2, 0, b"")],
)
def test_read_range(folder: str, offset: int, length: int, expected: bytes) -> None:
    path = storage.join(folder, "a.bin")
    storage.write(path, b"0123456789", folder)
    assert storage.read_range(path, offset, length) == expected


def test_read_range_continues_after_a_short_read(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"0123456789")
    pread = os.pread
    monkeypatch.setattr(os, "pread", lambda descriptor, length, offset: pread(descriptor, min(length, 3), offset))
    assert storage.read_range(str(path), 1, 8) == b"12345678"
    assert storage.read_range(str(path), 5, 99) == b"56789"


def test_bytes_of_compressed_files_are_read_as_stored(folder: str) -> None:
    path = storage.join(folder, "a.csv.gz")
    storage.write(path, b"\x1f\x8b not really", folder)
    with storage.open_read(path) as stream:
        assert stream.read() == b"\x1f\x8b not really"


def test_match_sorts_and_leaves_out_folders(folder: str) -> None:
    for name in ("b.csv", "a.csv", "c.txt"):
        storage.write(storage.join(folder, name), b"x", folder)
    if storage.is_local(folder):
        storage.make_folder(storage.join(folder, "d.csv"))
    assert [info.path for info in storage.match(f"{folder}/*.csv")] == [f"{folder}/a.csv", f"{folder}/b.csv"]
    assert storage.match(f"{folder}/*.none") == []


def test_size_and_time_of_a_local_file_are_listed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"123")
    os.utime(path, (5, 7.5))
    assert storage.match(str(path)) == [storage.FileInfo(str(path), 3, 7.5)]
    assert storage.match(str(tmp_path)) == []


def test_dangling_link_is_no_file(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.csv").symlink_to(tmp_path / "gone")
    assert storage.match(f"{tmp_path}/*") == []


def test_create_shows_the_file_only_when_it_is_complete(folder: str) -> None:
    path = storage.join(folder, "a.bin")
    temporary = storage.join(folder, "temporary")
    storage.make_folder(temporary)
    with storage.create(path, temporary) as stream:
        stream.write(b"half")
        assert not storage.exists(path)
        stream.write(b" whole")
    assert storage.read(path) == b"half whole"
    assert names_in(temporary) == []


def test_create_replaces_a_file(folder: str) -> None:
    path = storage.join(folder, "a.bin")
    storage.write(path, b"old and longer", folder)
    storage.write(path, b"new", folder)
    assert storage.read(path) == b"new"
    assert names_in(folder) == ["a.bin"]


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_create_leaves_nothing_when_the_block_raises(folder: str, error: BaseException) -> None:
    path = storage.join(folder, "a.bin")
    with pytest.raises(type(error)), storage.create(path, folder) as stream:  # noqa: PT012
        stream.write(b"half")
        raise error
    gc.collect()
    assert names_in(folder) == []


def test_create_keeps_the_old_file_when_the_block_raises(folder: str) -> None:
    path = storage.join(folder, "a.bin")
    storage.write(path, b"old", folder)
    with pytest.raises(ValueError, match="bad"), storage.create(path, folder) as stream:  # noqa: PT012
        stream.write(b"new")
        raise ValueError("bad")
    gc.collect()
    assert storage.read(path) == b"old"
    assert names_in(folder) == ["a.bin"]


def test_create_leaves_nothing_when_the_rename_fails(tmp_path: pathlib.Path) -> None:
    with pytest.raises(OSError, match="directory"):
        storage.write(f"{tmp_path}/none/a.bin", b"data", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_file_is_not_replaced(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name, kind in (("pipe", "a pipe"), ("folder", "a folder")):
        with pytest.raises(OSError, match=f"Is {kind}, not a file.*{name}"):
            storage.write(f"{tmp_path}/{name}", b"data", str(tmp_path))
    with pytest.raises(OSError, match="Is a device"):
        storage.write("/dev/null", b"data", str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]


def test_make_folder_takes_one_that_exists(folder: str) -> None:
    deep = storage.join(folder, "a", "b")
    storage.make_folder(deep)
    storage.make_folder(deep)
    storage.write(storage.join(deep, "c"), b"x", deep)
    assert storage.read(storage.join(deep, "c")) == b"x"


def test_delete_takes_a_file_that_is_not_there(folder: str) -> None:
    path = storage.join(folder, "a.bin")
    storage.delete(path)
    storage.write(path, b"x", folder)
    storage.delete(path)
    assert not storage.exists(path)


def test_delete_folder_deletes_all_in_it_and_no_more(folder: str) -> None:
    inner = storage.join(folder, "inner")
    deep = storage.join(inner, "deep")
    storage.make_folder(deep)
    for path in (storage.join(inner, "a"), storage.join(deep, "b"), storage.join(folder, "inner-too")):
        storage.write(path, b"x", folder)
    storage.delete_folder(inner)
    storage.delete_folder(inner)
    assert not storage.exists(inner)
    assert names_in(folder) == ["inner-too"]


def test_working_folder_is_where_relative_paths_start(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pathlib.Path("a").write_bytes(b"x")
    assert storage.read(storage.join(storage.working_folder(), "a")) == b"x"
