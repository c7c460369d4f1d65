import pathlib
from collections.abc import Iterator

import pytest

from oi_tfrecord import storage
from oi_tfrecord.dataset.work_folder import WorkFolder
from tests.support.memory_filesystem import MemoryFileSystem


@pytest.fixture(params=["local", "brackets", "memory"])
def work(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[WorkFolder]:
    MemoryFileSystem.files.clear()
    folder = {"local": str(tmp_path), "brackets": f"{tmp_path}/run [1]*", "memory": "memory://bucket/out"}[
        request.param
    ]
    yield WorkFolder.of(folder, "train")
    MemoryFileSystem.files.clear()


def test_lies_beside_the_output_apart_by_split() -> None:
    assert WorkFolder.of("/out", "train").path == "/out/.oi_tfrecord-train"
    assert WorkFolder.of("gs://bucket/out", "test").path == "gs://bucket/out/.oi_tfrecord-test"


def test_fingerprint_of_the_first_run_stays(work: WorkFolder) -> None:
    assert work.fingerprint() is None
    work.create({"a": 1, "b": ["x"]})
    assert work.fingerprint() == {"a": 1, "b": ["x"]}
    work.create({"a": 2})
    assert work.fingerprint() == {"a": 1, "b": ["x"]}


def test_results_are_given_back_by_shard(work: WorkFolder) -> None:
    work.create({})
    assert list(work.results()) == []
    for shard in (10, 2, 0):
        work.write_result(shard, b"shard %d" % shard)
    work.write_result(2, b"shard 2 again")
    assert list(work.results()) == [b"shard 0", b"shard 2 again", b"shard 10"]


def test_results_that_are_deleted_are_gone(work: WorkFolder) -> None:
    work.create({})
    for shard in (0, 1, 2):
        work.write_result(shard, b"shard %d" % shard)
    work.delete_results([0, 2, 3])
    assert list(work.results()) == [b"shard 1"]


def test_results_are_counted(work: WorkFolder) -> None:
    work.create({})
    assert work.count_results() == 0
    for shard in (3, 1, 3):
        work.write_result(shard, b"x")
    assert work.count_results() == 2


def test_limit_is_kept(work: WorkFolder) -> None:
    work.create({})
    work.write_limit((1 << 64) - 1)
    assert work.limit() == (1 << 64) - 1


def test_rejects_are_given_back_by_name(work: WorkFolder) -> None:
    work.create({})
    work.write_rejects("shard-00000", "c\n")
    work.write_rejects("range-2", "é\r\n")
    work.write_rejects("range-1", "a\n")
    assert list(work.rejects()) == ["a\n", "é\r\n", "c\n"]


def test_an_empty_piece_of_rejects_removes_that_of_an_earlier_run(work: WorkFolder) -> None:
    work.create({})
    work.write_rejects("range-1", "a\n")
    work.write_rejects("range-1", "")
    work.write_rejects("range-2", "")
    assert list(work.rejects()) == []


def test_progress_is_one_per_worker(work: WorkFolder) -> None:
    work.create({})
    for worker, data in (("b", b"1"), ("a", b"2"), ("b", b"3")):
        work.write_progress(worker, data)
    assert list(work.progress()) == [b"2", b"3"]


def test_clear_temporary_keeps_what_is_finished(work: WorkFolder) -> None:
    work.create({"a": 1})
    work.write_result(0, b"result")
    work.write_rejects("range-1", "a\n")
    work.write_progress("a", b"1")
    half = storage.join(work.temporary, "half")
    storage.write(half, b"x", work.temporary)
    work.clear_temporary()
    assert not storage.exists(half)
    assert list(work.progress()) == []
    assert list(work.results()) == [b"result"]
    # Every run reads all ranges again.
    assert list(work.rejects()) == []
    assert work.fingerprint() == {"a": 1}
    work.write_result(1, b"more")
    assert list(work.results()) == [b"result", b"more"]


def test_keep_results_deletes_what_a_killed_run_left_half_written(work: WorkFolder) -> None:
    work.create({"a": 1})
    work.write_result(0, b"result")
    work.write_rejects("range-1", "a\n")
    work.write_progress("a", b"1")
    half = storage.join(work.temporary, "half")
    storage.write(half, b"x", work.temporary)
    assert not work.is_kept()
    for _ in range(2):
        work.keep_results()
        assert work.is_kept()
        assert not storage.exists(half)
        assert list(work.progress()) == []
        assert list(work.results()) == [b"result"]
        assert list(work.rejects()) == []
        assert work.fingerprint() == {"a": 1}


def test_delete_takes_only_this_split(work: WorkFolder) -> None:
    other = WorkFolder(work.path + "-other")
    for folder in (work, other):
        folder.create({"path": folder.path})
        folder.write_result(0, b"x")
    work.delete()
    work.delete()
    assert not storage.exists(work.path)
    assert list(work.results()) == []
    assert other.fingerprint() == {"path": other.path}
    assert list(other.results()) == [b"x"]


def test_parts_of_the_attribution_come_in_order_of_the_shards(work: WorkFolder) -> None:
    work.create({})
    for shard in (10, 0, 2):
        work.write_attribution(shard, str(shard).encode())
    assert list(work.attribution()) == [b"0", b"2", b"10"]
