"""Whole conversions from s3:// with `obstore` and with boto3, in turn, from nginx that serves files as S3 does by path.

  python -m tests.benchmarks.make_images --output_dir=/tmp/v3_images --images=6000
  python -m tests.benchmarks.s3_images --release=/tmp/v3_images --work_dir=/tmp/s3_images --rounds=3
  python -m tests.benchmarks.s3_images --release=/tmp/v3_images --work_dir=/tmp/s3_images --delay_ms=50

nginx takes a hundredth of the processor time of moto. `--delay_ms` needs its module for Lua
(`apt-get install nginx-light libnginx-mod-http-lua`). boto3 reads as this program did before version 0.2.0: one client,
64 threads.

Start-up, planning and the tables take the same time with both clients. Each conversion is therefore run with few
images, too (`--few`), and the difference of the two runs gives the images/s of the shards alone.
"""

import argparse
import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from tests.benchmarks.paired import pair_ratios, spread

BUCKET = "bucket"
_CLIENTS = ("obstore", "boto3")

_SERVER = """
{modules}
worker_processes 1;
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  sendfile on;
  keepalive_requests 1000000;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location /{bucket}/ {{ {delay} alias {images}/; }}
  }}
}}
"""

_MODULES = "\n".join(
    f"load_module /usr/lib/nginx/modules/{name}.so;" for name in ("ndk_http_module", "ngx_http_lua_module")
)


@contextlib.contextmanager
def serve(images: pathlib.Path, folder: pathlib.Path, delay_ms: int) -> Iterator[int]:
    """Serves a folder as a bucket; yields the port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    delay = f"rewrite_by_lua_block {{ ngx.sleep({delay_ms / 1000}) }}" if delay_ms else ""
    modules = _MODULES if delay_ms else ""
    text = _SERVER.format(folder=folder, port=port, bucket=BUCKET, images=images, delay=delay, modules=modules)
    (folder / "nginx.conf").write_text(text)
    server = subprocess.Popen(["nginx", "-c", folder / "nginx.conf"])
    try:
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
        yield port
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()


def use_boto3() -> None:
    """Has this process read objects with boto3."""
    from oi_tfrecord.storage import object_files

    @functools.cache
    def client() -> Any:
        import boto3  # type: ignore[import-untyped]
        from botocore.config import Config  # type: ignore[import-untyped]

        return boto3.client("s3", config=Config(max_pool_connections=64))

    def read_range(path: str, offset: int, length: int | None, *, anonymous: bool = False) -> bytes:
        bucket, _, name = path.removeprefix("s3://").partition("/")
        data: bytes = client().get_object(Bucket=bucket, Key=name)["Body"].read()
        return data[offset:] if length is None else data[offset : offset + length]

    object_files.read_range = read_range


@dataclasses.dataclass(frozen=True)
class Run:
    """A conversion: its records, and its wall and processor time in seconds."""

    records: int
    seconds: float
    processor: float

    def __sub__(self, few: "Run") -> "Run":
        return Run(self.records - few.records, self.seconds - few.seconds, self.processor - few.processor)

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.records / self.seconds

    def __str__(self) -> str:
        return f"{self.rate:.0f} images/s, {1000 * self.processor / self.records:.2f} ms of processor/image"


def convert(name: str, given: argparse.Namespace, port: int, *more: str) -> Run:
    """Runs a conversion with one of the clients."""
    output_dir = given.work_dir / "records"
    shutil.rmtree(output_dir, ignore_errors=True)
    flags = [
        "convert", "--config=v3", "--split=train", f"--data_dir={given.release}/2017_11",
        f"--images=s3://{BUCKET}/train/{{image_id}}.jpg", f"--output_dir={output_dir}", "--num_shards=4", "--workers=1",
        *more,
    ]  # fmt: skip
    first = "from tests.benchmarks.s3_images import use_boto3; use_boto3()\n" if name == "boto3" else ""
    program = f"{first}from oi_tfrecord.cli.main import main\nraise SystemExit(main({flags!r}))"
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    environment = {**os.environ, **keys, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    began, before = time.perf_counter(), os.times()
    subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    seconds, after = time.perf_counter() - began, os.times()
    records = json.loads((output_dir / "manifest.json").read_text())["splits"]["train"]["totals"]["records"]
    processor = after.children_user - before.children_user + after.children_system - before.children_system
    return Run(records, seconds, processor)


def list_few(given: argparse.Namespace) -> pathlib.Path:
    """Writes a list of the first images."""
    path = pathlib.Path(given.work_dir / "few.txt")
    ids = sorted(file.stem for file in (given.release / "images" / "train").iterdir())
    path.write_text("".join(f"{image_id}\n" for image_id in ids[: given.few]))
    return path


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=pathlib.Path, required=True)
    parser.add_argument("--work_dir", type=pathlib.Path, required=True)
    parser.add_argument("--delay_ms", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--few", type=int, default=300, help="images of the run that is subtracted")
    given = parser.parse_args()
    given.work_dir.mkdir(parents=True, exist_ok=True)
    few_images = f"--image_ids={list_few(given)}"
    whole: dict[str, list[float]] = {name: [] for name in _CLIENTS}
    shards: dict[str, list[float]] = {name: [] for name in _CLIENTS}
    with serve(given.release / "images", given.work_dir, given.delay_ms) as port:
        for _ in range(given.rounds):
            for name in _CLIENTS:
                every, few = convert(name, given, port), convert(name, given, port, few_images)
                whole[name].append(every.rate)
                shards[name].append((every - few).rate)
                print(f"{name}: {every}; shards alone {every - few}", flush=True)
    for kind, rates in (("whole conversion", whole), ("shards alone", shards)):
        ratios = spread(pair_ratios(rates["obstore"], rates["boto3"]))
        print(f"obstore / boto3, {kind}: {ratios.median:.2f} ({ratios.least:.2f} to {ratios.most:.2f})")


if __name__ == "__main__":
    main()
