"""Whole conversions from and to object storage: an S3 server and a GCS emulator on the loopback."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from oi_tfrecord import storage
from oi_tfrecord.image_source import PatternImages, PatternSource
from oi_tfrecord.inputs import find
from oi_tfrecord.prefetch import map_in_order
from tests.conftest import REPOSITORY, Converted
from tests.object_servers import Store, files_below, free_port, serve
from tests.slow_store import SlowStore

pytest.importorskip("boto3", reason="the S3 tests need pip install '.[aws]'")
pytest.importorskip("moto", reason="the S3 tests need pip install 'moto[server]'")
pytest.importorskip("google.cloud.storage", reason="the GCS tests need pip install '.[gcp]'")
pytest.importorskip("gcp_storage_emulator", reason="the GCS tests need pip install gcp-storage-emulator")


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest) -> Iterator[Store]:
    with serve(request.param) as made:
        yield made


@pytest.fixture
def slow(store: Store) -> Iterator[SlowStore]:
    proxy = SlowStore(free_port(), store.port)
    yield proxy
    proxy.stop()


def convert_on(store: Store, port: int, *flags: str) -> subprocess.CompletedProcess[str]:
    """Converts in a process of its own, as Beam keeps credentials for a process."""
    command = [
        sys.executable, "-m", "pipelines.convert", "--config=v3", "--split=train", f"--data_dir={store.root}/2017_11",
        f"--images={store.root}/images/{{split}}/{{image_id}}.jpg", f"--output_dir={store.root}/records",
        "--num_shards=3", *flags, *store.flags(port),
    ]  # fmt: skip
    environment = {**os.environ, **store.environment(port)}
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=environment)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_whole_conversion_reads_from_and_writes_to_the_store(
    store: Store, run: Callable[..., Converted], sample: pathlib.Path, tmp_path: pathlib.Path, workers: int
) -> None:
    local = run(sample, tmp_path / "local")
    expected = {path.name: path.read_bytes() for path in local.shards()}
    for name, data in files_below(sample):
        store.put(name, data)
    done = convert_on(store, store.port, f"--workers={workers}")
    assert done.returncode == 0, done.stderr[-3000:]
    written = store.get_all("records/")
    assert {name: data for name, data in written.items() if name.startswith("train.tfrecord-")} == expected
    assert {"manifest.json", "label_map.pbtxt", "rejects-train.csv"} <= written.keys()
    assert not [name for name in written if name.startswith(".")]


def test_as_many_objects_are_read_at_once_as_there_are_readers(
    store: Store, slow: SlowStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    readers = 64
    for name, value in store.environment(slow.port).items():
        monkeypatch.setenv(name, value)
    storage.use_options(store.flags(slow.port))
    ids = [f"{number:016x}" for number in range(1, 97)]
    for image_id in ids:
        store.put(f"{image_id}.jpg", image_id.encode())
    images = PatternImages(PatternSource(store.root + "/{image_id}.jpg", "train", 1 << 20), ids)
    # An answer waits until as many requests are open as there should be.
    slow.set(gather=readers)
    read = map_in_order(images.read, range(len(ids)), threads=readers, max_bytes=1 << 26, size_of=len, chunk=1)
    assert list(read) == [image_id.encode() for image_id in ids]
    counts = slow.counts()
    assert counts["most"] >= readers, counts
    # One request for each, and no connection thrown away between them. The Google client looks at the bucket once.
    assert [count for target, count in counts["requests"].items() if ".jpg" in target] == [1] * len(ids)
    assert counts["connections"] <= readers + 2


def test_each_table_is_listed_once(store: Store, slow: SlowStore, sample: pathlib.Path, monkeypatch: Any) -> None:
    for name, data in files_below(sample / "2017_11"):
        store.put(f"2017_11/{name}", data)
    for name, value in store.environment(slow.port).items():
        monkeypatch.setenv(name, value)
    storage.use_options(store.flags(slow.port))
    slow.set()
    [found] = find(["{split}/annotations-human-bbox.csv"], f"{store.root}/2017_11", "train", "boxes")
    assert found.path == f"{store.root}/2017_11/train/annotations-human-bbox.csv"
    asked = {target: count for target, count in slow.counts()["requests"].items() if "human-bbox" in target}
    assert list(asked.values()) == [1]


def test_a_store_that_fails_for_a_while_is_asked_again(store: Store, slow: SlowStore, monkeypatch: Any) -> None:
    for name, value in store.environment(slow.port).items():
        monkeypatch.setenv(name, value)
    storage.use_options(store.flags(slow.port))
    store.put("a.jpg", b"data")
    slow.set(failures=2)
    assert storage.read(f"{store.root}/a.jpg") == b"data"
    assert sum(slow.counts()["requests"].values()) == 3
    with pytest.raises(FileNotFoundError):
        storage.read(f"{store.root}/none.jpg")


def test_a_store_that_goes_away_ends_in_one_line_and_a_rerun_goes_on(
    store: Store, slow: SlowStore, sample: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, data in files_below(sample):
        store.put(name, data)
    # All that is not temporary about the shuffle's folder of a run with remote output.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    slow.set(broken=".jpg")
    done = convert_on(store, slow.port, "--workers=1")
    assert done.returncode == 1
    # Beam warns at length that it found no credentials of Google.
    [line] = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert "StorageError" not in done.stderr
    assert line.startswith(f"error: {store.root}/images/train/")
    assert "run the same command again" in line
    assert not list(tmp_path.glob("oi_tfrecord-*"))
    slow.set()
    done = convert_on(store, slow.port, "--workers=1")
    assert done.returncode == 0, done.stderr[-3000:]
    assert "manifest.json" in store.get_all("records/")
