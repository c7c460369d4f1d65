import pathlib
import pickle
import threading
import time
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest

from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.reasons import Reject
from oi_tfrecord.settings.allowed_values import UrlKind
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.sources import urls as url_source
from oi_tfrecord.sources.http_policy import FetchSettings
from oi_tfrecord.sources.urls import UrlSource, fetch_settings
from oi_tfrecord.storage.read_ahead import map_in_order
from oi_tfrecord.storage.retry import RetryPolicy
from tests.support.image_server import ImageServer, after, status

COUNT = 60


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ImageServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ImageServer() as running:
        running.files |= {f"/{number}.jpg": b"BM" + b"%d" % number * 50 for number in range(COUNT)}
        yield running


def joined(server: ImageServer, count: int = COUNT) -> JoinedShard:
    files = [server.files[f"/{number}.jpg"] for number in range(count)]
    texts = {
        "OriginalURL": pa.array([server.url(f"/{number}.jpg").encode() for number in range(count)], pa.binary()),
        "OriginalSize": pa.array([b"%d" % len(data) for data in files], pa.binary()),
        "Title": pa.array([b"title"] * count, pa.binary()),
    }
    return JoinedShard(np.arange(count, dtype=np.uint64), {}, texts, [], {}, {}, 0, np.ones(count, bool))


def source(folder: pathlib.Path, **settings: int) -> UrlSource:
    quick = FetchSettings(retry=RetryPolicy(attempts=2, base_delay=0.01), **settings)
    return UrlSource(UrlKind.ORIGINAL, str(folder), quick)


def test_reads_what_the_server_has_each_once(server: ImageServer, tmp_path: pathlib.Path) -> None:
    server.scripts["/7.jpg"] = [status(404)]
    images = source(tmp_path).open_shard(joined(server))

    def read(index: int) -> bytes | Reject:
        try:
            return images.read(index)
        except ImageRejected as rejected:
            return rejected.reason

    found = list(map_in_order(read, range(COUNT), threads=8, max_bytes=1 << 20, size_of=lambda data: 100))
    expected = [server.files[f"/{number}.jpg"] for number in range(COUNT)]
    assert found == [*expected[:7], Reject.IMAGE_UNAVAILABLE, *expected[8:]]
    assert set(server.counts.values()) == {1}
    assert server.most_at_once <= 16

    # A shard that is done again takes all but the one that was missing from the cache.
    again = source(tmp_path).open_shard(joined(server))
    assert [again.read(index) for index in range(COUNT)] == expected
    assert Counter(server.counts.values()) == {1: COUNT - 1, 2: 1}


def test_nothing_is_fetched_before_the_first_read(server: ImageServer, tmp_path: pathlib.Path) -> None:
    images = source(tmp_path).open_shard(joined(server))
    assert images.path(3) == server.url("/3.jpg")
    time.sleep(0.1)
    assert not server.requests


def test_one_reader_keeps_many_connections_busy(server: ImageServer, tmp_path: pathlib.Path) -> None:
    server.pause = 0.05
    images = source(tmp_path, per_host=12).open_shard(joined(server))
    for index in range(COUNT):
        images.read(index)
    assert server.most_at_once == 12


def test_what_is_ahead_is_bounded_by_bytes(
    server: ImageServer, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(url_source, "AHEAD_BYTES", 1)
    images = source(tmp_path, connections=2).open_shard(joined(server))
    for index in range(5):
        images.read(index)
        # Time for what was started to arrive.
        time.sleep(0.05)
    # At most twice the connections ahead of the last one at any time, then none before those were read.
    assert len(server.requests) <= 5 + 2 * 2
    assert [images.read(index) for index in range(5, COUNT)] == [
        server.files[f"/{number}.jpg"] for number in range(5, COUNT)
    ]
    assert set(server.counts.values()) == {1}


def test_any_order_and_reading_twice(server: ImageServer, tmp_path: pathlib.Path) -> None:
    images = source(tmp_path).open_shard(joined(server))
    for index in (9, 3, 3, COUNT - 1, 0, 9):
        assert images.read(index) == server.files[f"/{index}.jpg"]
    assert set(server.counts.values()) == {1}


def test_a_slow_image_does_not_hold_the_others(server: ImageServer, tmp_path: pathlib.Path) -> None:
    server.scripts["/0.jpg"] = [after(1.0)]
    images = source(tmp_path).open_shard(joined(server))
    first: list[bytes] = []
    reader = threading.Thread(target=lambda: first.append(images.read(0)))
    reader.start()
    others = [images.read(index) for index in range(1, COUNT)]
    assert len(others) == COUNT - 1
    assert not first
    reader.join(30)
    assert first == [server.files["/0.jpg"]]


def test_settings_of_the_configuration() -> None:
    config = ConvertConfig(
        fetch_connections=7, fetch_per_host=3, fetch_attempts=2, fetch_timeout=9.5, max_image_bytes=1000
    )
    settings = fetch_settings(config)
    assert (settings.connections, settings.per_host, settings.retry.attempts) == (7, 3, 2)
    assert (settings.total_seconds, settings.max_bytes) == (9.5, 1000)


def test_is_a_remote_source_that_travels(tmp_path: pathlib.Path) -> None:
    travelled = pickle.loads(pickle.dumps(source(tmp_path)))
    assert travelled == source(tmp_path)
    assert travelled.is_remote
    assert travelled.text_columns >= {"OriginalURL", "OriginalSize", "OriginalMD5", "Thumbnail300KURL"}
