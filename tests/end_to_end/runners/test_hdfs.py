"""Whole conversions from and to HDFS: Hadoop's own, one name node and one data node on the loopback."""

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import REPOSITORY, Converted
from tests.support.object_servers import HdfsStore, files_below, serve_hdfs
from tests.support.optional import require

require("hdfs")


@pytest.fixture(scope="module")
def store() -> Iterator[HdfsStore]:
    with serve_hdfs() as made:
        yield made


@pytest.fixture(scope="module")
def client(store: HdfsStore, sample: pathlib.Path) -> Any:
    """A client of its own, with the sample in data."""
    for name, data in files_below(sample):
        store.put(f"data/{name}", data)
    return store.client


def convert_on(store: HdfsStore, output_dir: str, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "oi_tfrecord", "convert", "--config=v3", "--split=train", "--num_shards=3",
        f"--data_dir={store.root}/data/2017_11", f"--images={store.root}/data/images/{{split}}/{{image_id}}.jpg",
        f"--output_dir={store.root}/{output_dir}", *store.flags(), *flags,
    ]  # fmt: skip
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env={**os.environ})


@pytest.mark.parametrize("workers", [1, 4])
def test_a_whole_conversion_reads_from_and_writes_to_hdfs(
    store: HdfsStore,
    client: Any,
    run: Callable[..., Converted],
    sample: pathlib.Path,
    tmp_path: pathlib.Path,
    workers: int,
) -> None:
    expected = {path.name: path.read_bytes() for path in run(sample, tmp_path / "local").shards()}
    done = convert_on(store, f"records{workers}", f"--workers={workers}")
    assert done.returncode == 0, done.stderr[-3000:]
    names = client.list(f"records{workers}")
    written = {}
    for name in names:
        if name.startswith("train.tfrecord-"):
            with client.read(f"records{workers}/{name}") as stream:
                written[name] = stream.read()
    assert written == expected
    assert {"manifest.json", "label_map.pbtxt", "rejects-train.csv"} <= set(names)


def test_a_file_that_is_not_there_is_a_reject(store: HdfsStore, client: Any) -> None:
    image = client.list("data/images/train")[0]
    client.rename(f"data/images/train/{image}", "data/away.jpg")
    try:
        done = convert_on(store, "rejected", "--workers=1", "--max_rejects=100%")
        assert done.returncode == 0, done.stderr[-3000:]
        with client.read("rejected/rejects-train.csv") as stream:
            assert f"{store.root}/data/images/train/{image}" in stream.read().decode()
    finally:
        client.rename("data/away.jpg", f"data/images/train/{image}")
