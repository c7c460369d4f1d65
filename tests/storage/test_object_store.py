"""Reads of objects through the conversion's own layers, from an S3 server and a GCS emulator behind a proxy."""

import gc
import pathlib

import numpy as np
import pytest

from oi_tfrecord import storage
from oi_tfrecord.openimages.csv.files import find
from oi_tfrecord.openimages.image_id import format_id
from oi_tfrecord.sources.files import PatternReader, PatternSource
from oi_tfrecord.storage.read_ahead import map_in_order
from tests.support.object_servers import Store, files_below
from tests.support.slow_store import SlowStore


@pytest.fixture
def proxied(store: Store, slow: SlowStore, monkeypatch: pytest.MonkeyPatch) -> Store:
    """The store, which this process reaches through the proxy."""
    for name, value in store.environment(slow.port).items():
        monkeypatch.setenv(name, value)
    storage.use_options(store.flags(slow.port))
    return store


def test_as_many_objects_are_read_at_once_as_there_are_readers(proxied: Store, slow: SlowStore) -> None:
    readers = 64
    numbers = np.arange(1, 97, dtype=np.uint64)
    ids = [format_id(number) for number in numbers.tolist()]
    for image_id in ids:
        proxied.put(f"{image_id}.jpg", image_id.encode())
    images = PatternReader(PatternSource(proxied.root + "/{image_id}.jpg", "train", 1 << 20), ids)
    # An answer waits until as many requests are open as there should be. Only the size of the first image, which does
    # not wait, lets `map_in_order` read as many at once.
    slow.set(gather=readers, ungathered=ids[0])
    read = map_in_order(images.read, range(len(ids)), threads=readers, max_bytes=1 << 26, size_of=len, items_per_task=1)
    assert list(read) == [image_id.encode() for image_id in ids]
    counts = slow.counts()
    assert counts["most"] >= readers, counts
    # One request for each; connections are used again, though some are opened while others become free.
    assert [count for target, count in counts["requests"].items() if ".jpg" in target] == [1] * len(ids)
    assert counts["connections"] < 2 * readers


def test_each_table_is_listed_once(proxied: Store, slow: SlowStore, sample: pathlib.Path) -> None:
    for name, data in files_below(sample / "2017_11"):
        proxied.put(f"2017_11/{name}", data)
    slow.set()
    [found] = find(["{split}/annotations-human-bbox.csv"], f"{proxied.root}/2017_11", "train", "boxes")
    assert found.path == f"{proxied.root}/2017_11/train/annotations-human-bbox.csv"
    requests = {target: count for target, count in slow.counts()["requests"].items() if "human-bbox" in target}
    assert list(requests.values()) == [1]


def test_a_read_is_sent_again_while_the_store_fails(proxied: Store, slow: SlowStore) -> None:
    proxied.put("a.jpg", b"data")
    slow.set(failures=2)
    assert storage.read(f"{proxied.root}/a.jpg") == b"data"
    # The Google client looks at the bucket, too, which may take one of the failures.
    requests = sum(count for target, count in slow.counts()["requests"].items() if "a.jpg" in target)
    assert requests in (2, 3)
    with pytest.raises(FileNotFoundError):
        storage.read(f"{proxied.root}/none.jpg")


@pytest.mark.parametrize("store", ["s3"], indirect=True)
@pytest.mark.parametrize("size", [1 << 10, 30 << 20])
def test_an_object_is_written_to_a_store_that_takes_few_requests(proxied: Store, slow: SlowStore, size: int) -> None:
    data = b"x" * size
    slow.set(rate=2.0, limited="^(PUT|POST)")
    for _ in range(3):
        storage.write(f"{proxied.root}/written", data, "")
    counts = slow.counts()
    assert counts["refused"]
    slow.set()
    assert storage.read(f"{proxied.root}/written") == data


def test_ranges_end_where_the_object_does(proxied: Store) -> None:
    data = bytes(range(200))
    proxied.put("a.bin", data)
    proxied.put("empty.bin", b"")
    path = f"{proxied.root}/a.bin"
    for offset, length in ((0, 10), (0, 200), (0, 999), (190, 10), (190, 999), (7, 1)):
        assert storage.read_range(path, offset, length) == data[offset : offset + length]
    assert storage.read_range(path, 200, 5) == b""
    assert storage.read(path) == data
    assert storage.read(f"{proxied.root}/empty.bin") == b""
    assert storage.read_range(f"{proxied.root}/empty.bin", 0, 5) == b""


def test_empty_objects_are_written(proxied: Store) -> None:
    storage.write(f"{proxied.root}/out/empty", b"", "")
    storage.write(f"{proxied.root}/out/short", b"x", "")
    assert proxied.get_all("out/") == {"empty": b"", "short": b"x"}


@pytest.mark.parametrize("size", [0, 10, 20 << 20])
def test_an_object_stays_as_it_is_if_what_is_to_replace_it_fails(proxied: Store, size: int) -> None:
    storage.write(f"{proxied.root}/out/a", b"old", "")
    for name in ("a", "b"):
        with pytest.raises(ValueError, match="bad"), storage.create(f"{proxied.root}/out/{name}", "") as stream:  # noqa: PT012
            stream.write(bytes(size))
            raise ValueError("bad")
        del stream
        gc.collect()
    assert proxied.get_all("out/") == {"a": b"old"}
