import pathlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.url_folders import UrlFolders, url_file
from tests.support.memory_filesystem import MemoryFileSystem

ORIGINAL = "https://c1.staticflickr.com/5/4129/5215831864_46f356962f_o.jpg"
THUMBNAIL = "https://c1.staticflickr.com/5/4129/5215831864_ee4e8c6535_z.jpg?zz=1"


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[str]:
    MemoryFileSystem.files.clear()
    yield str(tmp_path / "images") if request.param == "local" else "memory://bucket/images"
    MemoryFileSystem.files.clear()


def put(folder: str, name: str, data: bytes) -> None:
    if folder.startswith("memory://"):
        MemoryFileSystem.files[f"{folder}/{name}"] = data
        return
    path = pathlib.Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def joined(*urls: tuple[str, str]) -> JoinedShard:
    texts = {
        "OriginalURL": pa.array([original.encode() for original, _ in urls], pa.binary()),
        "Thumbnail300KURL": pa.array([thumbnail.encode() for _, thumbnail in urls], pa.binary()),
    }
    return JoinedShard(np.arange(len(urls), dtype=np.uint64), {}, texts, [], {}, {}, 0, np.ones(len(urls), bool))


@pytest.mark.parametrize(
    ("url", "path"),
    [
        (ORIGINAL, "521/5215831864_46f356962f_o.jpg"),
        (THUMBNAIL, "521/5215831864_ee4e8c6535_z.jpg"),
        ("http://x/ab", "ab/ab"),
        ("http://x/", ""),
        ("http://x/..", ""),
    ],
)
def test_layout(url: str, path: str) -> None:
    assert url_file(url) == path


def test_reads_originals_first_and_then_thumbnails(folder: str) -> None:
    put(folder, "train/521/5215831864_ee4e8c6535_z.jpg", b"thumbnail")
    source = UrlFolders(folder + "/{split}", "train", 100)
    images = source.open_shard(joined((ORIGINAL, THUMBNAIL), (ORIGINAL, "")))
    assert images.read(0) == b"thumbnail"
    with pytest.raises(ImageRejected) as raised:
        images.read(1)
    assert raised.value.reason is Reject.IMAGE_MISSING
    assert raised.value.detail == f"{folder}/train/521/5215831864_46f356962f_o.jpg"
    put(folder, "train/521/5215831864_46f356962f_o.jpg", b"original")
    assert images.read(0) == images.read(1) == b"original"
    assert images.path(0) == f"{folder}/train/521/5215831864_46f356962f_o.jpg"


def test_too_large_is_not_missing(folder: str) -> None:
    put(folder, "521/5215831864_46f356962f_o.jpg", b"original")
    put(folder, "521/5215831864_ee4e8c6535_z.jpg", b"small")
    with pytest.raises(ImageRejected) as raised:
        UrlFolders(folder, "", 7).open_shard(joined((ORIGINAL, THUMBNAIL))).read(0)
    assert raised.value.reason is Reject.IMAGE_TOO_LARGE


@pytest.mark.parametrize("url", ["", "http://x/", "http://x/.."])
def test_a_url_that_names_no_file(folder: str, url: str) -> None:
    images = UrlFolders(folder, "", 7).open_shard(joined((url, "")))
    with pytest.raises(ImageRejected) as raised:
        images.read(0)
    assert raised.value.reason is Reject.IMAGE_MISSING
    assert images.path(0) == folder


def test_is_remote_as_its_folder_is(folder: str) -> None:
    assert UrlFolders(folder, "", 100).is_remote is folder.startswith("memory://")
