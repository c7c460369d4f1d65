"""Object stores on the loopback: an S3 server (moto) and a GCS emulator, each a process of its own."""

import contextlib
import os
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

BUCKET = "open-images-test"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, server: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert server.poll() is None, "the server ended at once"
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"no answer from {url}")


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
        import boto3

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


@contextlib.contextmanager
def serve(scheme: str) -> Iterator[Store]:
    """Starts a store and yields it.

    Args:
      scheme: `s3` or `gs`.
    """
    port = free_port()
    if scheme == "s3":
        command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    else:
        script = (
            "from gcp_storage_emulator.server import create_server; import time;"
            f"s = create_server('127.0.0.1', {port}, in_memory=True); s.start(); time.sleep(3600)"
        )
        command = [sys.executable, "-c", script]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ})
    try:
        wait_for(f"http://127.0.0.1:{port}/", server)
        yield S3Store(port) if scheme == "s3" else GcsStore(port)
    finally:
        server.kill()
        server.wait()
