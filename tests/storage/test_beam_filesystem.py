import gc
from collections.abc import Iterator

import pytest

from oi_tfrecord import storage
from oi_tfrecord.errors import StorageError
from oi_tfrecord.storage import beam_filesystem
from oi_tfrecord.storage.retry import RetryPolicy
from tests.support.memory_filesystem import MemoryFileSystem, _Upload

OBJECT = "memory://bucket/out/a.bin"
TEMPORARY = "memory://bucket/out/temporary"


@pytest.fixture(autouse=True)
def empty_memory() -> Iterator[None]:
    MemoryFileSystem.files.clear()
    yield
    MemoryFileSystem.files.clear()


def test_object_is_created_under_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beam_filesystem, "ATOMIC_CREATE", ("memory://",))
    with storage.create(OBJECT, TEMPORARY) as stream:
        stream.write(b"whole")
        assert not storage.exists(OBJECT)
        assert not MemoryFileSystem.files
    assert MemoryFileSystem.files == {OBJECT: b"whole"}


def test_object_does_not_appear_when_the_block_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beam_filesystem, "ATOMIC_CREATE", ("memory://",))
    with pytest.raises(ValueError, match="bad"), storage.create(OBJECT, TEMPORARY) as stream:  # noqa: PT012
        stream.write(b"half")
        raise ValueError("bad")
    del stream
    gc.collect()
    assert MemoryFileSystem.files == {}


def test_an_object_stays_as_it_is_if_its_upload_cannot_be_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(beam_filesystem, "ATOMIC_CREATE", ("memory://",))
    storage.write(OBJECT, b"old", TEMPORARY)

    def fail(upload: object) -> None:
        raise ConnectionError("the store is away")

    with monkeypatch.context() as patched:
        patched.setattr(_Upload, "close", fail)
        with pytest.raises(StorageError, match="the store is away"):
            storage.write(OBJECT, b"new", TEMPORARY)
    gc.collect()
    assert MemoryFileSystem.files == {OBJECT: b"old"}


def test_options_reach_the_filesystem() -> None:
    try:
        storage.use_options(["--hdfs_host=one", "--hdfs_user=me"])
        storage.use_options(["--hdfs_host=two"])
        storage.exists(OBJECT)
        options = MemoryFileSystem.options
        assert options is not None
        assert options.get_all_options()["hdfs_host"] == "two"
        assert options.get_all_options()["hdfs_user"] is None
        assert storage.given_options() == ("--hdfs_host=two",)
    finally:
        storage.use_options([])
        storage.exists(OBJECT)


def test_a_rename_refuses_a_name_that_is_taken() -> None:
    storage.write(OBJECT, b"old", TEMPORARY)
    storage.write(OBJECT + "2", b"new", TEMPORARY)
    with pytest.raises(Exception, match="exists"):
        storage.rename(OBJECT + "2", OBJECT)
    storage.rename(OBJECT, OBJECT + "3")
    assert MemoryFileSystem.files == {OBJECT + "2": b"new", OBJECT + "3": b"old"}


def test_replacing_by_the_same_bytes_leaves_the_target_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    deleted: list[str] = []
    monkeypatch.setattr(MemoryFileSystem, "delete", lambda self, paths: deleted.extend(paths))
    for data, gone in ((b"old", TEMPORARY), (b"new", OBJECT)):
        MemoryFileSystem.files.update({OBJECT: b"old", TEMPORARY: data})
        if data == b"old":
            beam_filesystem.replace(TEMPORARY, OBJECT)
        else:
            # The target is in the way, as nothing is deleted here.
            with pytest.raises(Exception, match="exists"):
                beam_filesystem.replace(TEMPORARY, OBJECT)
        assert deleted.pop() == gone


def test_one_listing_answers_which_ending_there_is() -> None:
    for name in ("a.csv.gz", "a.csv.bz2", "b.csv"):
        storage.write(f"memory://bucket/in/{name}", b"x", TEMPORARY)
    found = beam_filesystem.match_first("memory://bucket/in/a.csv", ["", ".bz2", ".gz"])
    assert [info.path for info in found] == ["memory://bucket/in/a.csv.bz2"]
    assert beam_filesystem.match_first("memory://bucket/in/c.csv", ["", ".gz"]) == []


def test_a_request_is_sent_again_unless_its_client_does_so(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def fail(self: MemoryFileSystem, path: str) -> bool:
        calls.append(path)
        raise ConnectionError("away")

    monkeypatch.setattr(MemoryFileSystem, "exists", fail)
    monkeypatch.setattr(beam_filesystem, "RETRY", RetryPolicy(attempts=3, base_delay=0.001))
    with pytest.raises(StorageError, match="away"):
        storage.exists(OBJECT)
    assert calls == [OBJECT] * 3
    monkeypatch.setattr(beam_filesystem, "ATOMIC_CREATE", ("memory://",))
    with pytest.raises(StorageError, match="away"):
        storage.exists(OBJECT)
    assert calls == [OBJECT] * 4
