"""Objects of an S3 server: what patterns match, what uploads leave, and how many requests a deletion takes."""

import contextlib
import io
import multiprocessing
import random
from collections.abc import Iterator

import pytest

from oi_tfrecord import storage
from oi_tfrecord.errors import ConfigError, StorageError
from oi_tfrecord.storage import object_streams, store_settings
from oi_tfrecord.storage.object_store import PART_BYTES
from tests.support.object_servers import BUCKET, Store
from tests.support.slow_store import SlowStore

ROOT = f"s3://{BUCKET}"


@pytest.fixture(autouse=True)
def flags(s3_server: Store, s3_proxy: SlowStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(store_settings._process, "of_stores", {})
    s3_proxy.set()
    storage.use_options(s3_server.flags(s3_proxy.port))
    yield
    storage.use_options([])


def test_patterns_match_as_on_other_storage(s3_server: Store) -> None:
    for name in ("m/a.csv", "m/a.csv.gz", "m/ab.csv", "m/[1].csv", "m/deep/a.csv", "m2/a.csv", "top.csv"):
        s3_server.put(name, name.encode())

    def names(pattern: str) -> list[str]:
        return [info.path.removeprefix(ROOT + "/") for info in storage.match(f"{ROOT}/{pattern}")]

    assert names("m/a.csv") == ["m/a.csv"]
    assert names("m/*.csv") == ["m/[1].csv", "m/a.csv", "m/ab.csv"]
    assert names("m/a*") == ["m/a.csv", "m/a.csv.gz", "m/ab.csv"]
    assert names("m/ab*") == ["m/ab.csv"]
    assert names("m/?.csv") == ["m/a.csv"]
    assert names("m/**") == ["m/[1].csv", "m/a.csv", "m/a.csv.gz", "m/ab.csv", "m/deep/a.csv"]
    assert names("m*/a.csv") == ["m/a.csv", "m2/a.csv"]
    assert names("m/*/a.csv") == ["m/deep/a.csv"]
    assert names("*.csv") == ["top.csv"]
    assert names("m/none*") == names("m/none.csv") == names("none/*") == []
    [info] = storage.match(f"{ROOT}/m/a.csv")
    assert (info.size, info.modified > 1e9) == (7, True)


def test_images_beside_the_folders_of_a_pattern_are_not_listed(s3_server: Store, s3_proxy: SlowStore) -> None:
    for name in ("wide/a[1]/t/x.csv", "wide/b/t/x.csv.gz", "wide/b/t/y.csv", "wide/images/1.jpg"):
        s3_server.put(name, b"")
    found = storage.match(f"{ROOT}/wide/*/t/x.csv")
    assert [info.path for info in found] == [f"{ROOT}/wide/a[1]/t/x.csv"]
    found = storage.match_first(f"{ROOT}/wide/b*/t/x.csv", ("", ".gz"))
    assert [info.path for info in found] == [f"{ROOT}/wide/b/t/x.csv.gz"]
    s3_proxy.set()
    storage.match(f"{ROOT}/wide/*/t/*.csv")
    assert all("delimiter" in target for target in s3_proxy.counts()["requests"])


def test_an_object_and_a_folder_of_objects_are_there(s3_server: Store) -> None:
    s3_server.put("there/a.csv", b"")
    assert storage.exists(f"{ROOT}/there/a.csv")
    assert storage.exists(f"{ROOT}/there")
    assert storage.exists(f"{ROOT}/there/")
    assert not storage.exists(f"{ROOT}/the")
    assert not storage.exists(f"{ROOT}/there/b.csv")


def test_a_folder_is_deleted_with_few_requests(s3_server: Store, s3_proxy: SlowStore) -> None:
    for number in range(40):
        s3_server.put(f"work/{number % 4}/{number}", b"x")
    s3_server.put("workbench", b"x")
    s3_proxy.set()
    storage.delete_folder(f"{ROOT}/work")
    assert sum(s3_proxy.counts()["requests"].values()) == 2
    assert s3_server.get_all("work") == {"bench": b"x"}
    storage.delete_folder(f"{ROOT}/work")
    storage.delete(f"{ROOT}/workbench")
    storage.delete(f"{ROOT}/workbench")
    assert s3_server.get_all("work") == {}


def test_many_files_are_deleted_and_read_at_once(s3_server: Store, s3_proxy: SlowStore) -> None:
    names = [f"{number:03d}" for number in range(30)]
    for name in names:
        s3_server.put(f"many/{name}", name.encode())
    # The other files are read at once when the first file has shown how large they are.
    s3_proxy.set(gather=16, ungathered="many/000")
    assert list(storage.read_all([f"{ROOT}/many/{name}" for name in names])) == [name.encode() for name in names]
    assert s3_proxy.counts()["most"] >= 16
    s3_proxy.set()
    storage.delete_all(f"{ROOT}/many", [*names[1:], "none"])
    assert sum(s3_proxy.counts()["requests"].values()) == 1
    assert s3_server.get_all("many/") == {"000": b"000"}
    storage.delete_all(f"{ROOT}/many", [])


def test_large_objects_are_written_in_parts(s3_server: Store) -> None:
    data = random.Random(3).randbytes(2 * PART_BYTES + 7)
    with storage.create(f"{ROOT}/large", "") as stream:
        for start in range(0, len(data), 3 << 20):
            stream.write(memoryview(data)[start : start + (3 << 20)])
        assert stream.tell() == len(data)
        assert not storage.exists(f"{ROOT}/large")
    assert storage.read(f"{ROOT}/large") == data


def test_an_upload_that_ends_early_leaves_no_parts(s3_server: Store) -> None:
    with pytest.raises(ValueError, match="bad"), storage.create(f"{ROOT}/early", "") as stream:  # noqa: PT012
        stream.write(bytes(3 * PART_BYTES))
        raise ValueError("bad")
    assert not storage.exists(f"{ROOT}/early")
    assert "Uploads" not in s3_server.client.list_multipart_uploads(Bucket=BUCKET)  # type: ignore[attr-defined]


def test_an_upload_that_the_store_refuses_is_one_error(s3_proxy: SlowStore) -> None:
    s3_proxy.set(broken="refused")
    for size in (1, 6 * PART_BYTES):
        with pytest.raises(StorageError, match="access is denied"):
            storage.write(f"{ROOT}/refused", bytes(size), "")


def test_a_stream_reads_small_ranges_after_jumps_and_large_ones_in_order(
    s3_server: Store, s3_proxy: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(object_streams, "FIRST_BYTES", 1 << 10)
    monkeypatch.setattr(object_streams, "_MOST_BYTES", 8 << 10)
    data = random.Random(4).randbytes(100_000)
    s3_server.put("ranges", data)
    with storage.open_read(f"{ROOT}/ranges") as stream:
        assert stream.seek(0, io.SEEK_END) == len(data)
        assert stream.read(5) == b""
        for place in (70_000, 10, 99_990, 50_000):
            stream.seek(place)
            assert stream.read(12) == data[place : place + 12]
    s3_proxy.set()
    with storage.open_read(f"{ROOT}/ranges") as stream:
        assert stream.read() == data
    assert sum(s3_proxy.counts()["requests"].values()) < 20
    with storage.open_read(f"{ROOT}/ranges") as stream:
        assert b"".join(iter(lambda: stream.read(777), b"")) == data
    with pytest.raises(FileNotFoundError):
        storage.open_read(f"{ROOT}/none")


def _read_in_child(results: "multiprocessing.Queue[object]") -> None:
    found = storage.read(f"{ROOT}/forked"), [info.path for info in storage.match(f"{ROOT}/forked*")]
    try:
        storage.read(f"{ROOT}/none")
    except FileNotFoundError:
        results.put(found)


def test_a_forked_process_reads_objects(s3_server: Store) -> None:
    s3_server.put("forked", b"data")
    # The parent's requests start the threads that the child lacks.
    assert storage.read(f"{ROOT}/forked") == b"data"
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[object] = context.Queue()
    child = context.Process(target=_read_in_child, args=(results,), daemon=True)
    child.start()
    assert results.get(timeout=60) == (b"data", [f"{ROOT}/forked"])
    child.join()


def _write_in_child(results: "multiprocessing.Queue[object]") -> None:
    with storage.create(f"{ROOT}/whole", "") as stream:
        for _ in range(3):
            stream.write(b"x" * (7 << 20))
            # The helper answers requests between the parts.
            stream.write(storage.read(f"{ROOT}/forked"))
    with contextlib.suppress(ValueError), storage.create(f"{ROOT}/half", "") as stream:
        stream.write(b"x" * (17 << 20))
        raise ValueError
    results.put("written")


def test_a_forked_process_writes_large_objects(s3_server: Store) -> None:
    s3_server.put("forked", b"data")
    assert storage.read(f"{ROOT}/forked") == b"data"
    context = multiprocessing.get_context("fork")
    results: multiprocessing.Queue[object] = context.Queue()
    child = context.Process(target=_write_in_child, args=(results,), daemon=True)
    child.start()
    assert results.get(timeout=60) == "written"
    child.join()
    assert s3_server.get_all("whole")[""] == (b"x" * (7 << 20) + b"data") * 3
    assert s3_server.get_all("half") == {}


def test_settings_of_a_caller_go_before_the_flags(s3_server: Store, s3_proxy: SlowStore) -> None:
    s3_server.put("own", b"data")
    storage.use_options(["--s3_endpoint_url=http://127.0.0.1:1"])
    storage.use_store(
        ROOT + "/folder",
        {
            "endpoint": f"http://127.0.0.1:{s3_server.port}",
            "region": "us-east-1",
            "access_key_id": "a",
            "secret_access_key": "b",
        },
    )
    assert storage.read(f"{ROOT}/own") == b"data"
    assert not s3_proxy.counts()["requests"]


@pytest.mark.parametrize(
    ("path", "options", "problem"),
    [
        (ROOT, {"endpont": "http://host"}, "'endpont' is no setting of a store; did you mean 'endpoint'?"),
        (ROOT, {"anonymous": "yes"}, "anonymous must be True or False, not 'yes'"),
        (ROOT, {"region": 1}, "region must be a text, not 1"),
        ("records", {"region": "x"}, "records lies in no object store"),
    ],
)
def test_a_bad_setting_is_named(path: str, options: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match="storage_options") as raised:
        storage.use_store(path, options)
    assert problem in str(raised.value)
