"""Whole conversions from and to object storage: an S3 server and a GCS emulator on the loopback."""

import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import REPOSITORY, Converted

pytest.importorskip("boto3", reason="the S3 tests need pip install '.[aws]'")
pytest.importorskip("moto", reason="the S3 tests need pip install 'moto[server]'")
pytest.importorskip("google.cloud.storage", reason="the GCS tests need pip install '.[gcp]'")
pytest.importorskip("gcp_storage_emulator", reason="the GCS tests need pip install gcp-storage-emulator")

BUCKET = "open-images-test"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert server.poll() is None, "the server ended at once"
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no answer from {url}")


def upload_plan(sample: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(sample.rglob("*")):
        if path.is_file():
            yield path.relative_to(sample).as_posix(), path.read_bytes()


class Store:
    """A bucket and how the command reaches it."""

    def __init__(self, scheme: str, flags: list[str], environment: dict[str, str]):
        self.root = f"{scheme}://{BUCKET}"
        self.flags = flags
        self.environment = environment

    def put(self, name: str, data: bytes) -> None:
        raise NotImplementedError

    def get_all(self, prefix: str) -> dict[str, bytes]:
        raise NotImplementedError


class S3Store(Store):
    def __init__(self, port: int):
        import boto3

        endpoint = f"http://127.0.0.1:{port}"
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        flags = [
            f"--s3_endpoint_url={endpoint}", "--s3_access_key_id=testing", "--s3_secret_access_key=testing",
            "--s3_region_name=us-east-1",
        ]  # fmt: skip
        super().__init__("s3", flags, {})
        self.client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
        self.client.create_bucket(Bucket=BUCKET)

    def put(self, name: str, data: bytes) -> None:
        self.client.put_object(Bucket=BUCKET, Key=name, Body=data)

    def get_all(self, prefix: str) -> dict[str, bytes]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        names = [item["Key"] for page in pages for item in page.get("Contents", [])]
        return {
            name.removeprefix(prefix): self.client.get_object(Bucket=BUCKET, Key=name)["Body"].read() for name in names
        }


class GcsStore(Store):
    def __init__(self, port: int):
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import storage

        host = f"http://127.0.0.1:{port}"
        super().__init__("gs", ["--no_auth"], {"STORAGE_EMULATOR_HOST": host})
        self.client = storage.Client(
            project="test", credentials=AnonymousCredentials(), client_options={"api_endpoint": host}
        )
        self.bucket = self.client.create_bucket(BUCKET)

    def put(self, name: str, data: bytes) -> None:
        self.bucket.blob(name).upload_from_string(data)

    def get_all(self, prefix: str) -> dict[str, bytes]:
        blobs = self.client.list_blobs(BUCKET, prefix=prefix)
        return {blob.name.removeprefix(prefix): blob.download_as_bytes() for blob in blobs}


@pytest.fixture(params=["s3", "gs"])
def store(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    port = free_port()
    if request.param == "s3":
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    else:
        script = (
            "from gcp_storage_emulator.server import create_server; import time;"
            f"s = create_server('127.0.0.1', {port}, in_memory=True); s.start(); time.sleep(600)"
        )
        command = [sys.executable, "-c", script]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(f"http://127.0.0.1:{port}/", server)
        made: Store = S3Store(port) if request.param == "s3" else GcsStore(port)
        for name, value in made.environment.items():
            monkeypatch.setenv(name, value)
        yield made
    finally:
        server.kill()
        server.wait()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_whole_conversion_reads_from_and_writes_to_the_store(
    store: Store, run: Callable[..., Converted], sample: pathlib.Path, tmp_path: pathlib.Path, workers: int
) -> None:
    local = run(sample, tmp_path / "local")
    expected = {path.name: path.read_bytes() for path in local.shards()}
    for name, data in upload_plan(sample):
        store.put(name, data)
    # A process of its own: Beam keeps one client per process, which would be that of the test before.
    command = [
        sys.executable, "-m", "pipelines.convert", "--config=v3", "--split=train", f"--data_dir={store.root}/2017_11",
        f"--images={store.root}/images/{{split}}/{{image_id}}.jpg", f"--output_dir={store.root}/records",
        "--num_shards=3", f"--workers={workers}", *store.flags,
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, env={**os.environ, **store.environment}
    )
    assert done.returncode == 0, done.stderr[-3000:]
    written = store.get_all("records/")
    assert {name: data for name, data in written.items() if name.startswith("train.tfrecord-")} == expected
    assert {"manifest.json", "label_map.pbtxt", "rejects-train.csv"} <= written.keys()
    assert not [name for name in written if name.startswith(".")]
