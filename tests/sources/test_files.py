import os
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from oi_tfrecord.errors import StorageError
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.files import PatternReader, PatternSource
from oi_tfrecord.storage.retry import RetryPolicy
from tests.support.memory_filesystem import MemoryFileSystem

IMAGE_ID = "000a1249af2bc5f0"


@pytest.fixture(params=["local", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[str]:
    MemoryFileSystem.files.clear()
    yield str(tmp_path) if request.param == "local" else "memory://bucket"
    MemoryFileSystem.files.clear()


def put(folder: str, name: str, data: bytes) -> None:
    if folder.startswith("memory://"):
        MemoryFileSystem.files[f"{folder}/{name}"] = data
        return
    path = pathlib.Path(folder, name)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)


def reason_of(source: PatternSource, image_id: str = IMAGE_ID) -> tuple[Reject, str]:
    with pytest.raises(ImageRejected) as raised:
        source.read(image_id)
    return raised.value.reason, raised.value.detail


def test_path_takes_split_and_image_id() -> None:
    source = PatternSource("gs://b/{split}/{image_id}.jpg?{split}", "train", 1)
    assert source.path(IMAGE_ID) == f"gs://b/train/{IMAGE_ID}.jpg?train"


def test_other_braces_stand_for_themselves(folder: str) -> None:
    put(folder, f"{{a}}{IMAGE_ID}%s", b"data")
    assert PatternSource(folder + "/{a}{image_id}%s", "train", 9).read(IMAGE_ID) == b"data"


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 3000])
def test_reads_all_bytes(folder: str, data: bytes) -> None:
    put(folder, f"train/{IMAGE_ID}.jpg", data)
    assert PatternSource(folder + "/{split}/{image_id}.jpg", "train", 1 << 20).read(IMAGE_ID) == data


def test_images_of_a_shard_are_read_by_their_place(folder: str) -> None:
    ids = np.array([0xB, 0xA], np.uint64)
    for image_id in ids:
        put(folder, f"train/{image_id:016x}.jpg", b"%d" % image_id)
    none: dict[Table, Any] = {}
    joined = JoinedShard(ids, none, {}, [], none, none, 0, np.zeros(2, bool))
    images = PatternSource(folder + "/{split}/{image_id}.jpg", "train", 99).open_shard(joined)
    assert [images.read(index) for index in (0, 1)] == [b"11", b"10"]
    assert images.path(1) == f"{folder}/train/000000000000000a.jpg"


def test_remote_is_what_is_not_on_this_machine() -> None:
    assert PatternSource("gs://b/{image_id}", "train", 9).is_remote
    assert not PatternSource("/b/{image_id}", "train", 9).is_remote
    assert PatternSource("/b/{image_id}", "train", 9).text_columns == frozenset()


def test_missing_file(folder: str) -> None:
    put(folder, "other.jpg", b"x")
    reason, detail = reason_of(PatternSource(folder + "/{image_id}.jpg", "train", 9))
    assert reason is Reject.IMAGE_MISSING
    assert detail == f"{folder}/{IMAGE_ID}.jpg"


@pytest.mark.parametrize(("size", "accepted"), [(99, True), (100, True), (101, False)])
def test_size_is_limited(folder: str, size: int, accepted: bool) -> None:
    put(folder, f"{IMAGE_ID}.jpg", bytes(size))
    source = PatternSource(folder + "/{image_id}.jpg", "train", 100)
    if accepted:
        assert len(source.read(IMAGE_ID)) == size
    else:
        reason, detail = reason_of(source)
        assert reason is Reject.IMAGE_TOO_LARGE
        # The size of a local file is looked up; a remote file is read to the limit only.
        assert "101 bytes" in detail or "more than 100 bytes" in detail


def test_a_folder_is_unreadable(tmp_path: pathlib.Path) -> None:
    (tmp_path / IMAGE_ID).mkdir()
    reason, detail = reason_of(PatternSource(f"{tmp_path}/{{image_id}}", "train", 1 << 20))
    assert reason is Reject.IMAGE_UNREADABLE
    assert IMAGE_ID in detail


def test_a_file_without_permission_is_unreadable(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str, flags: int) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "open", refuse)
    reason, detail = reason_of(PatternSource(f"{tmp_path}/{{image_id}}", "train", 9))
    assert reason is Reject.IMAGE_UNREADABLE
    assert "Permission denied" in detail


def test_a_fault_of_the_disk_is_no_fault_of_the_image_and_closes_the_file(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / IMAGE_ID).write_bytes(b"data")
    descriptors = []

    def fail(descriptor: int, length: int) -> bytes:
        descriptors.append(descriptor)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "read", fail)
    with pytest.raises(OSError, match="Input/output error") as raised:
        PatternSource(f"{tmp_path}/{{image_id}}", "train", 9).read(IMAGE_ID)
    assert raised.value.filename == f"{tmp_path}/{IMAGE_ID}"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptors[0])


def test_short_reads_are_completed(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / IMAGE_ID).write_bytes(b"0123456789")
    read = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, length: read(descriptor, min(length, 3)))
    assert PatternSource(f"{tmp_path}/{{image_id}}", "train", 99).read(IMAGE_ID) == b"0123456789"


def test_a_file_that_shrinks_while_it_is_read_ends(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / IMAGE_ID
    path.write_bytes(b"0123456789")
    read = os.read

    def shrink(descriptor: int, length: int) -> bytes:
        os.truncate(path, 4)
        return read(descriptor, length)

    monkeypatch.setattr(os, "read", shrink)
    assert PatternSource(f"{tmp_path}/{{image_id}}", "train", 99).read(IMAGE_ID) == b"0123"


def test_faults_of_remote_storage_are_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: MemoryFileSystem, path: str, *_: object, **__: object) -> None:
        raise ConnectionError("try again")

    put("memory://bucket", IMAGE_ID, b"x")
    monkeypatch.setattr(MemoryFileSystem, "open", fail)
    monkeypatch.setattr("oi_tfrecord.storage.beam_filesystem.RETRY", RetryPolicy(attempts=1))
    with pytest.raises(StorageError, match="try again"):
        PatternSource("memory://bucket/{image_id}", "train", 9).read(IMAGE_ID)


def images_of(folder: str, ids: list[int]) -> PatternReader:
    source = PatternSource(folder + "/{image_id}.jpg", "train", 100)
    return PatternReader(source, [f"{image_id:016x}" for image_id in ids])


def test_the_images_of_a_shard_are_its_files(folder: str) -> None:
    put(folder, "00000000000000ff.jpg", b"one")
    images = images_of(folder, [0xFF])
    assert images.path(0) == folder + "/00000000000000ff.jpg"
    assert images.read(0) == b"one"


def test_only_files_of_this_machine_are_read_ahead(folder: str) -> None:
    put(folder, "00000000000000ff.jpg", b"one")
    images = images_of(folder, [0xFF, 0xFE])
    expected = not folder.startswith("memory://") and hasattr(os, "posix_fadvise")
    # A file that is missing is rejected when it is read.
    assert [images.expect(index) for index in range(2)] == [expected] * 2


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="the system reads nothing ahead")
def test_an_expected_file_is_read_ahead_by_one_call(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(str(tmp_path), "00000000000000ff.jpg", b"one")
    calls = []
    monkeypatch.setattr(
        os, "posix_fadvise", lambda descriptor, *what: calls.append((os.fstat(descriptor).st_size, what))
    )
    open_before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert images_of(str(tmp_path), [0xFF]).expect(0)
    assert calls == [(3, (0, 0, os.POSIX_FADV_WILLNEED))]
    assert not open_before or len(os.listdir("/proc/self/fd")) == open_before


def test_a_pipe_is_unreadable(tmp_path: pathlib.Path) -> None:
    os.mkfifo(tmp_path / IMAGE_ID)
    reason, detail = reason_of(PatternSource(f"{tmp_path}/{{image_id}}", "train", 9))
    assert reason is Reject.IMAGE_UNREADABLE
    assert detail.endswith("Is a pipe, not a file")
