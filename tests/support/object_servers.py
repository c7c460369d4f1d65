"""Stores on the loopback, each a process of its own: an S3 server (moto), a GCS emulator, and Hadoop's HDFS."""

import contextlib
import os
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

import pytest

from tests.support.processes import wait_until

BUCKET = "open-images-test"
HDFS = pathlib.Path(__file__).resolve().parent / "hdfs"
HADOOP = HDFS.parents[2] / ".hadoop"

_SERVERS = {
    "s3": """
import threading
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
threading.Event().wait()
""",
    "gs": """
import threading
from gcp_storage_emulator.server import create_server
server = create_server("127.0.0.1", 0, in_memory=True)
server.start()
print(server._api._httpd.server_port, flush=True)
threading.Event().wait()
""",
}
"""Programs that serve on a port that is free, and print which it is."""


def read_port(server: "subprocess.Popen[bytes]") -> int:
    """Returns the port that a server prints when it listens: none that is looked for before can be taken by another."""
    assert server.stdout is not None
    line = server.stdout.readline()
    assert line, "the server ended at once"
    return int(line)


def files_below(folder: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.relative_to(folder).as_posix(), path.read_bytes()


class Store:
    """A bucket and how the command reaches it."""

    def __init__(self, scheme: str, port: int):
        self.scheme = scheme
        self.root = f"{scheme}://{BUCKET}"
        self.port = port

    def flags(self, port: int = 0) -> list[str]:
        """Returns the command's flags; `port` is that of a proxy before the store."""
        raise NotImplementedError

    def environment(self, port: int = 0) -> dict[str, str]:
        """Returns the environment variables of the command."""
        return {}

    def put(self, name: str, data: bytes) -> None:
        raise NotImplementedError

    def get_all(self, prefix: str) -> dict[str, bytes]:
        raise NotImplementedError


class S3Store(Store):
    def __init__(self, port: int):
        from tests.support.optional import boto3

        super().__init__("s3", port)
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        self.client = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", region_name="us-east-1", **keys)
        self.client.create_bucket(Bucket=BUCKET)

    def flags(self, port: int = 0) -> list[str]:
        return [
            f"--s3_endpoint_url=http://127.0.0.1:{port or self.port}", "--s3_access_key_id=testing",
            "--s3_secret_access_key=testing", "--s3_region_name=us-east-1",
        ]  # fmt: skip

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

        super().__init__("gs", port)
        self.client = storage.Client(
            project="test",
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": f"http://127.0.0.1:{port}"},
        )
        self.bucket = self.client.create_bucket(BUCKET)

    def flags(self, port: int = 0) -> list[str]:
        return ["--no_auth"]

    def environment(self, port: int = 0) -> dict[str, str]:
        # There are no credentials; without the second, each process asks for the metadata server of a cloud machine.
        return {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port or self.port}", "NO_GCE_CHECK": "true"}

    def put(self, name: str, data: bytes) -> None:
        self.bucket.blob(name).upload_from_string(data)

    def get_all(self, prefix: str) -> dict[str, bytes]:
        blobs = self.client.list_blobs(BUCKET, prefix=prefix)
        return {blob.name.removeprefix(prefix): blob.download_as_bytes() for blob in blobs}


class HdfsStore(Store):
    def __init__(self, port: int):
        import hdfs

        super().__init__("hdfs", port)
        self.client = hdfs.InsecureClient(f"http://127.0.0.1:{port}", user="root", root=f"/{BUCKET}")

    def flags(self, port: int = 0) -> list[str]:
        return ["--hdfs_host=127.0.0.1", f"--hdfs_port={port or self.port}", "--hdfs_user=root"]

    def put(self, name: str, data: bytes) -> None:
        self.client.write(name, data=data)

    def get_all(self, prefix: str) -> dict[str, bytes]:
        found = {}
        for folder, _, files in self.client.walk(prefix):
            for file in files:
                with self.client.read(f"{folder}/{file}") as stream:
                    found[f"{folder}/{file}".removeprefix(self.client.resolve(prefix) + "/")] = stream.read()
        return found


@contextlib.contextmanager
def serve(scheme: str) -> Iterator[Store]:
    """Starts a store and yields it.

    Args:
        scheme: `s3`, `gs` or `hdfs`.
    """
    if scheme == "hdfs":
        with serve_hdfs() as store:
            yield store
        return
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVERS[scheme]], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={**os.environ}
    )
    try:
        port = read_port(server)
        yield S3Store(port) if scheme == "s3" else GcsStore(port)
    finally:
        server.kill()
        server.wait()


@contextlib.contextmanager
def serve_hdfs() -> Iterator[HdfsStore]:
    """Starts Hadoop's own HDFS, one name node and one data node, and yields it."""
    if not (HADOOP / "complete").exists():
        pytest.skip("HDFS is not installed: make hdfs (needs Java 17 and Maven)")
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        server = subprocess.Popen(
            ["java", "-Xmx512m", "-cp", f"{HADOOP}/jars/*", HDFS / "Hdfs.java", folder / "dfs", folder / "port"],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: (folder / "port").exists() or server.poll() is not None, "HDFS has started")
            assert server.poll() is None, "HDFS ended at once"
            yield HdfsStore(int((folder / "port").read_text()))
        finally:
            server.kill()
            server.wait()
