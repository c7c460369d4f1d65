"""Whole conversions from and to HDFS: Hadoop's own, one name node and one data node on the loopback."""

import importlib.util
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import REPOSITORY, Converted
from tests.object_servers import files_below
from tests.processes import wait_until

if importlib.util.find_spec("hdfs") is None:
    pytest.skip("the HDFS tests need pip install '.[hadoop]'", allow_module_level=True)

HADOOP = REPOSITORY / ".hadoop"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of WebHDFS."""
    subprocess.run([REPOSITORY / "tests" / "hdfs" / "install.sh", HADOOP], check=True, capture_output=True)
    if not (HADOOP / "complete").exists():
        pytest.skip("the HDFS tests need Java 17 and Maven")
    folder = tmp_path_factory.mktemp("hdfs")
    source = REPOSITORY / "tests" / "hdfs" / "Hdfs.java"
    server = subprocess.Popen(
        ["java", "-Xmx512m", "-cp", f"{HADOOP}/jars/*", source, folder / "dfs", folder / "port"], cwd=folder,
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        wait_until(lambda: (folder / "port").exists() or server.poll() is not None, "HDFS has started")
        assert server.poll() is None, "HDFS ended at once"
        yield int((folder / "port").read_text())
    finally:
        server.kill()
        server.wait()


@pytest.fixture(scope="module")
def client(port: int, sample: pathlib.Path) -> Any:
    """A client of its own, with the sample in /data."""
    import hdfs

    made = hdfs.InsecureClient(f"http://127.0.0.1:{port}", user="root")
    for name, data in files_below(sample):
        made.write(f"/data/{name}", data=data)
    return made


def convert_on(port: int, output_dir: str, *flags: str) -> subprocess.CompletedProcess[str]:
    command = [
        sys.executable, "-m", "pipelines.convert", "--config=v3", "--split=train", "--data_dir=hdfs://data/2017_11",
        "--images=hdfs://data/images/{split}/{image_id}.jpg", f"--output_dir={output_dir}", "--num_shards=3",
        "--hdfs_host=127.0.0.1", f"--hdfs_port={port}", "--hdfs_user=root", *flags,
    ]  # fmt: skip
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env={**os.environ})


@pytest.mark.parametrize("workers", [1, 4])
def test_a_whole_conversion_reads_from_and_writes_to_hdfs(
    port: int, client: Any, run: Callable[..., Converted], sample: pathlib.Path, tmp_path: pathlib.Path, workers: int
) -> None:
    expected = {path.name: path.read_bytes() for path in run(sample, tmp_path / "local").shards()}
    done = convert_on(port, f"hdfs://records{workers}", f"--workers={workers}")
    assert done.returncode == 0, done.stderr[-3000:]
    names = client.list(f"/records{workers}")
    written = {}
    for name in names:
        if name.startswith("train.tfrecord-"):
            with client.read(f"/records{workers}/{name}") as stream:
                written[name] = stream.read()
    assert written == expected
    assert {"manifest.json", "label_map.pbtxt", "rejects-train.csv"} <= set(names)


def test_a_file_that_is_not_there_is_a_reject(port: int, client: Any) -> None:
    image = client.list("/data/images/train")[0]
    client.rename(f"/data/images/train/{image}", "/data/away.jpg")
    try:
        done = convert_on(port, "hdfs://rejected", "--workers=1", "--max_rejects=100%")
        assert done.returncode == 0, done.stderr[-3000:]
        with client.read("/rejected/rejects-train.csv") as stream:
            assert f"hdfs://data/images/train/{image}" in stream.read().decode()
    finally:
        client.rename("/data/away.jpg", f"/data/images/train/{image}")
