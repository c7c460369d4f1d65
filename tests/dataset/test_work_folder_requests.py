"""Requests that a work folder on an object store takes: many at once, or one for many files."""

from collections.abc import Iterator

import pytest

from oi_tfrecord import storage
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.storage import store_settings
from tests.support.object_servers import Store
from tests.support.slow_store import SlowStore

SHARDS = range(40)

AT_ONCE = 32


@pytest.fixture
def work(s3_server: Store, s3_proxy: SlowStore, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkFolder]:
    monkeypatch.setattr(store_settings._process, "of_stores", {})
    storage.use_options(s3_server.flags(s3_proxy.port))
    made = WorkFolder.of(f"{s3_server.root}/records", "train")
    for shard in SHARDS:
        for name in (f"results/shard-{shard:05d}.json", f"rejects/shard-{shard:05d}.csv"):
            s3_server.put(f"records/.oi_tfrecord-train/{name}", b"x")
        s3_server.put(f"records/.oi_tfrecord-train/attribution/part-{shard:05d}.csv", b"x")
    yield made
    storage.use_options([])


@pytest.mark.parametrize("kind", ["results", "rejects", "attribution"])
def test_what_shards_left_is_read_at_once(kind: str, work: WorkFolder, s3_proxy: SlowStore) -> None:
    # The other files are read at once when the first file of the listing has shown how large they are.
    s3_proxy.set(gather=AT_ONCE, ungathered="list-type|-00000[.]")
    assert len(list(getattr(work, kind)())) == len(SHARDS)
    assert s3_proxy.counts()["most"] >= AT_ONCE


def test_results_are_deleted_with_one_request(work: WorkFolder, s3_proxy: SlowStore) -> None:
    s3_proxy.set()
    work.delete_results(SHARDS)
    assert sum(s3_proxy.counts()["requests"].values()) == 1
    assert work.count_results() == 0


def test_the_folder_is_deleted_with_two_requests(work: WorkFolder, s3_server: Store, s3_proxy: SlowStore) -> None:
    s3_proxy.set()
    work.delete()
    assert sum(s3_proxy.counts()["requests"].values()) == 2
    assert s3_server.get_all("records/") == {}
