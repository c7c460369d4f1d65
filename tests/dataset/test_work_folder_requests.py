"""Requests that a work folder on an object store takes: many at once, or one for many files."""

from collections.abc import Iterator

import pytest

from oi_tfrecord import storage
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.storage import store_settings
from tests.support.object_servers import Store, serve
from tests.support.optional import require
from tests.support.slow_store import SlowStore

SHARDS = range(40)

AT_ONCE = 32


@pytest.fixture(scope="module")
def server() -> Iterator[Store]:
    require("boto3")
    require("moto")
    with serve("s3") as made:
        yield made


@pytest.fixture(scope="module")
def proxy(server: Store) -> Iterator[SlowStore]:
    made = SlowStore(server.port)
    yield made
    made.stop()


@pytest.fixture
def work(server: Store, proxy: SlowStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkFolder]:
    monkeypatch.setattr(store_settings._process, "of_stores", {})
    storage.use_options(server.flags(proxy.port))
    made = WorkFolder.of(f"{server.root}/records", "train")
    for shard in SHARDS:
        for name in (f"results/shard-{shard:05d}.json", f"rejects/shard-{shard:05d}.csv"):
            server.put(f"records/.oi_tfrecord-train/{name}", b"x")
        server.put(f"records/.oi_tfrecord-train/attribution/part-{shard:05d}.csv", b"x")
    yield made
    storage.use_options([])


@pytest.mark.parametrize("kind", ["results", "rejects", "attribution"])
def test_what_shards_left_is_read_at_once(kind: str, work: WorkFolder, proxy: SlowStore) -> None:
    # The other files are read at once when the first file of the listing has shown how large they are.
    proxy.set(gather=AT_ONCE, ungathered="list-type|-00000[.]")
    assert len(list(getattr(work, kind)())) == len(SHARDS)
    assert proxy.counts()["most"] >= AT_ONCE


def test_results_are_deleted_with_one_request(work: WorkFolder, proxy: SlowStore) -> None:
    proxy.set()
    work.delete_results(SHARDS)
    assert sum(proxy.counts()["requests"].values()) == 1
    assert work.count_results() == 0


def test_the_folder_is_deleted_with_two_requests(work: WorkFolder, server: Store, proxy: SlowStore) -> None:
    proxy.set()
    work.delete()
    assert sum(proxy.counts()["requests"].values()) == 2
    assert server.get_all("records/") == {}
