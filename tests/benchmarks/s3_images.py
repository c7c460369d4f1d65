"""Whole conversions from s3:// with `obstore` and with boto3, in turn, from nginx that serves files as S3 does by path.

  python -m tests.benchmarks.make_images --output_dir=/dev/shm/v3_images --images=24000 --distinct=6000
  python -m tests.benchmarks.s3_images --release=/dev/shm/v3_images --work_dir=/dev/shm/s3_images
  python -m tests.benchmarks.s3_images --release=/dev/shm/v3_images --work_dir=/dev/shm/s3_images --delay_ms=50

nginx takes a hundredth of the processor time of moto. `--delay_ms` needs its module for Lua
(`apt-get install nginx-light libnginx-mod-http-lua`). boto3 reads as this program did before version 0.2.0: one client,
64 threads. All else is as by default.

Start-up, planning and the tables take the same time with both clients. Each conversion is therefore run with few
images, too (`--few`), and the difference of the two runs gives the images/s of the shards alone. Two rates of the same
round show the limit of the machine: a loop that only requests every image through `obstore`, and a conversion of the
same files from the disk.

Threads that wait for answers lose their turn to other programs: on a machine that is not idle, run all of it with
`chrt --rr 1`.
"""

import argparse
import concurrent.futures
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

_PROGRAMS = (*_CLIENTS, "files", "bare loop")

_BARE_THREADS = 64

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
    """Has this process read objects with boto3, by as many threads as before version 0.2.0."""
    from oi_tfrecord.conversion import shard_images
    from oi_tfrecord.storage import object_files

    shard_images.REMOTE_THREADS = 64

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


def request_all(bucket: str, names: list[str]) -> None:
    """Requests objects with `obstore`, and does nothing with them."""
    import obstore
    from obstore.store import S3Store

    store = S3Store(bucket, endpoint=os.environ["AWS_ENDPOINT_URL"], client_options={"allow_http": True})
    with concurrent.futures.ThreadPoolExecutor(_BARE_THREADS) as executor:
        for start in range(0, len(names), 1024):
            list(
                executor.map(
                    lambda name: len(obstore.get_range(store, name, start=0, length=1 << 26)),
                    names[start : start + 1024],
                )
            )


@dataclasses.dataclass(frozen=True)
class Run:
    """A conversion: its records, its wall and processor time in seconds, and the peak memory of its process in MB."""

    records: int
    seconds: float
    processor: float
    memory: float

    def __sub__(self, few: "Run") -> "Run":
        seconds, processor = self.seconds - few.seconds, self.processor - few.processor
        return Run(self.records - few.records, seconds, processor, self.memory)

    @property
    def rate(self) -> float:
        """Images a second."""
        return self.records / self.seconds

    def __str__(self) -> str:
        processor = 1000 * self.processor / self.records
        return f"{self.rate:.0f} images/s, {processor:.2f} ms of processor/image, {self.memory:.0f} MB"


def convert(name: str, given: argparse.Namespace, port: int, *more: str) -> Run:
    """Runs a conversion with one of the clients, or from the files of the server."""
    output_dir = given.work_dir / "records"
    shutil.rmtree(output_dir, ignore_errors=True)
    root = f"{given.release}/images" if name == "files" else f"s3://{BUCKET}"
    flags = [
        "convert", "--config=v3", "--split=train", f"--data_dir={given.release}/2017_11",
        f"--images={root}/train/{{image_id}}.jpg", f"--output_dir={output_dir}", *more,
    ]  # fmt: skip
    first = "from tests.benchmarks.s3_images import use_boto3; use_boto3()\n" if name == "boto3" else ""
    run = measure(f"{first}from oi_tfrecord.cli.main import main\nraise SystemExit(main({flags!r}))", port)
    records = json.loads((output_dir / "manifest.json").read_text())["splits"]["train"]["totals"]["records"]
    return dataclasses.replace(run, records=records)


def loop(ids: list[str], port: int) -> Run:
    """Runs the loop that only requests the images."""
    names = [f"train/{image_id}.jpg" for image_id in ids]
    run = measure(f"from tests.benchmarks.s3_images import request_all\nrequest_all({BUCKET!r}, {names!r})", port)
    return dataclasses.replace(run, records=len(names))


def measure(program: str, port: int) -> Run:
    """Runs a Python program that reaches the server as S3."""
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_DEFAULT_REGION": "us-east-1"}
    environment = {**os.environ, **keys, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    began = time.perf_counter()
    running = subprocess.Popen(
        [sys.executable, "-"],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert running.stdin is not None
    running.stdin.write(program.encode())
    running.stdin.close()
    _, status, usage = os.wait4(running.pid, 0)
    running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode == 0, f"the program ended with {running.returncode}"
    return Run(0, time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def list_ids(given: argparse.Namespace) -> list[str]:
    """Returns the ImageIDs of the release."""
    return sorted(file.stem for file in (given.release / "images" / "train").iterdir())


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--release", type=pathlib.Path, required=True)
    parser.add_argument("--work_dir", type=pathlib.Path, required=True)
    parser.add_argument("--delay_ms", type=int, default=0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--few", type=int, default=300, help="images of the run that is subtracted")
    given = parser.parse_args()
    given.work_dir.mkdir(parents=True, exist_ok=True)
    ids = list_ids(given)
    few_file = pathlib.Path(given.work_dir / "few.txt")
    few_file.write_text("".join(f"{image_id}\n" for image_id in ids[: given.few]))
    whole: dict[str, list[float]] = {name: [] for name in _PROGRAMS}
    shards: dict[str, list[float]] = {name: [] for name in _PROGRAMS}
    with serve(given.release / "images", given.work_dir, given.delay_ms) as port:
        for _ in range(given.rounds):
            for name in _PROGRAMS:
                is_loop = name == "bare loop"
                every = loop(ids, port) if is_loop else convert(name, given, port)
                few = loop(ids[: given.few], port) if is_loop else convert(name, given, port, f"--image_ids={few_file}")
                whole[name].append(every.rate)
                shards[name].append((every - few).rate)
                print(f"{name}: {every}; without start-up {every - few}", flush=True)
    for kind, rates in (("whole", whole), ("without start-up", shards)):
        for name in _PROGRAMS[1:]:
            ratios = spread(pair_ratios(rates["obstore"], rates[name]))
            print(f"obstore / {name}, {kind}: {ratios.median:.2f} ({ratios.least:.2f} to {ratios.most:.2f})")


if __name__ == "__main__":
    main()
