import concurrent.futures
import hashlib
import multiprocessing
import os
import pathlib

import pytest

from oi_tfrecord.sources.download_cache import ImageCache, remove_stale, write_file

URL = "https://example.com/images/a.jpg?b=1&c=/../é"


@pytest.fixture
def cache(tmp_path: pathlib.Path) -> ImageCache:
    return ImageCache(tmp_path / "not there yet")


def contents(cache: ImageCache) -> list[pathlib.Path]:
    return [path for path in (cache.folder / "contents").rglob("*") if path.is_file()]


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 4096])
def test_gives_back_what_was_put(cache: ImageCache, data: bytes) -> None:
    assert cache.get(URL) is None
    cache.put(URL, data)
    assert cache.get(URL) == data
    assert cache.get(URL + "x") is None
    assert not list(cache.temporary.iterdir())


def test_equal_contents_are_kept_once(cache: ImageCache) -> None:
    for number in range(5):
        cache.put(f"{URL}{number}", b"same")
    assert [path.name for path in contents(cache)] == [hashlib.sha256(b"same").hexdigest()]
    assert [cache.get(f"{URL}{number}") for number in range(5)] == [b"same"] * 5


def test_a_key_takes_new_content(cache: ImageCache) -> None:
    cache.put(URL, b"old")
    cache.put(URL, b"newer")
    assert cache.get(URL) == b"newer"


@pytest.mark.parametrize("damage", [b"", b"phot", b"phoTo", b"photo and more"])
def test_damaged_content_is_missing_and_can_be_put_again(cache: ImageCache, damage: bytes) -> None:
    cache.put(URL, b"photo")
    contents(cache)[0].write_bytes(damage)
    assert cache.get(URL) is None
    cache.put(URL, b"photo")
    assert cache.get(URL) == b"photo"


@pytest.mark.parametrize("damage", [b"", b"one", b"a b c", b"\xff\xfe 3", b"../../../../etc/hosts 5", b"x y"])
def test_a_damaged_name_is_missing(cache: ImageCache, damage: bytes) -> None:
    cache.put(URL, b"photo")
    names = [path for path in (cache.folder / "urls").rglob("*") if path.is_file()]
    assert len(names) == 1
    names[0].write_bytes(damage)
    assert cache.get(URL) is None


def test_a_name_whose_content_is_gone_is_missing(cache: ImageCache) -> None:
    cache.put(URL, b"photo")
    contents(cache)[0].unlink()
    assert cache.get(URL) is None


def test_keys_that_are_no_utf8(cache: ImageCache) -> None:
    cache.put("http://example.com/\udcff", b"photo")
    assert cache.get("http://example.com/\udcff") == b"photo"


def put_many(folder: pathlib.Path, worker: int) -> int:
    cache = ImageCache(folder)
    wrong = 0
    for number in range(200):
        data = bytes([number]) * 2000
        found = cache.get(f"u{number}")
        wrong += found not in (None, data)
        cache.put(f"u{number}", data)
    return wrong


def test_processes_and_threads_share_it(tmp_path: pathlib.Path) -> None:
    context = multiprocessing.get_context("spawn")
    with (
        concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as processes,
        concurrent.futures.ThreadPoolExecutor(3) as threads,
    ):
        futures = [pool.submit(put_many, tmp_path, worker) for pool in (processes, threads) for worker in range(3)]
        assert [future.result(120) for future in futures] == [0] * 6
    cache = ImageCache(tmp_path)
    assert all(cache.get(f"u{number}") == bytes([number]) * 2000 for number in range(200))
    assert len(contents(cache)) == 200
    assert not list(cache.temporary.iterdir())


def test_a_failed_write_leaves_nothing(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()
    with pytest.raises(OSError, match="folder"):
        write_file(target, b"data", tmp_path / "temporary")
    assert list(tmp_path.glob("temporary/*")) == []


def test_write_replaces(tmp_path: pathlib.Path) -> None:
    for data in (b"one", b"two!"):
        write_file(tmp_path / "a" / "b", data, tmp_path / "temporary")
        assert (tmp_path / "a" / "b").read_bytes() == data


def test_removes_what_is_left_over_for_a_day(tmp_path: pathlib.Path) -> None:
    remove_stale(tmp_path / "not there")
    for name, age in (("old", 90_000), ("new", 3_000)):
        (tmp_path / name).write_bytes(b"half")
        os.utime(tmp_path / name, (10**9 - age, 10**9 - age))
    remove_stale(tmp_path, now=10**9)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
