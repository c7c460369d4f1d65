"""What a conversion takes on each engine, and how many shards are written when one of its workers is killed.

  python -m tests.benchmarks.engines --work_dir=/tmp/engines

Converts invented images (`make_images`) here, on Prism, on Flink and on Spark, the clusters of tests/support/engines,
and compares every file with that of the local run. Prints a table in Markdown:

- wall: the command, from its start to its end; a cluster runs before and after.
- processor time and memory: of the command, the engine and all workers, sampled every 0.2 seconds; memory is the
  largest sum of proportional set sizes. What a cluster took before the command is in its memory.
- shuffled: as the engine counts it (Flink: bytes that tasks wrote; Spark: shuffle bytes written); here, the size of the
  files of the shuffle. Prism does not say.
- shard writes: of a second conversion, to 200 shards, in which a worker is killed at 45 % (Flink: a TaskManager;
  Spark: an executor; here: a worker process; Prism: Prism itself, as it waits for a lost worker without an end). Where
  that ends the run, the same command is run again.
"""

import argparse
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from tests.benchmarks.make_images import make_release
from tests.benchmarks.memory import process_tree, proportional_bytes
from tests.support import small_release
from tests.support.engines import spark_cluster
from tests.support.engines.engine import INSTALLED, Servers, free_ports, portable_flags, servers_in, write_boot
from tests.support.engines.flink_cluster import FlinkCluster
from tests.support.engines.spark_cluster import SparkCluster
from tests.support.processes import wait_until

ENGINES = ("local", "prism", "flink", "spark")

_SECONDS = 0.2

_KILL_SHARDS = 200

_KILL_AT = 0.45

_COUNT_WRITES = """
import os, time
if os.environ.get("SHARD_WRITES"):
    from oi_tfrecord.conversion import shard
    write_shard = shard.write_shard
    def count(path, *arguments, **named):
        with open(os.environ["SHARD_WRITES"], "a") as lines:
            lines.write(f"{path}\\n")
        time.sleep(0.05)
        return write_shard(path, *arguments, **named)
    shard.write_shard = count
"""
"""sitecustomize.py of all processes of a conversion that is disturbed."""


@dataclasses.dataclass
class Engine:
    """An engine that is ready to take a job.

    Attributes:
        name: one of ENGINES.
        servers: its processes; None for the local runner.
        flags: returns Beam's flags, given a folder for the program that boots workers, and variables of its
            environment.
        kill: kills a worker of the conversion whose command has this process number.
        shuffled: returns the bytes that the last job shuffled; None if the engine does not say.
    """

    name: str
    servers: Servers | None
    flags: Callable[[pathlib.Path, dict[str, str]], Sequence[str]]
    kill: Callable[[int], None]
    shuffled: Callable[[], int | None]


class Sampler(threading.Thread):
    """Adds up processor time and memory of processes and their descendants."""

    def __init__(self, roots: Sequence[int]):
        """Samples nothing before `start`.

        Args:
            roots: numbers of processes.
        """
        super().__init__(daemon=True)
        self._roots = roots
        self._ended = threading.Event()
        self._seconds: dict[int, float] = {}
        self._before: dict[int, float] = {}
        self.peak_bytes = 0

    def run(self) -> None:
        """Samples until `stop` is called."""
        self._before = {pid: processor_seconds(pid) for root in self._roots for pid in process_tree(root)}
        while not self._ended.wait(_SECONDS):
            processes = {pid for root in self._roots for pid in process_tree(root)}
            self.peak_bytes = max(self.peak_bytes, sum(map(proportional_bytes, processes)))
            for pid in processes:
                self._seconds[pid] = max(self._seconds.get(pid, 0.0), processor_seconds(pid))

    def stop(self) -> float:
        """Ends the sampling; returns the processor seconds since its start."""
        self._ended.set()
        self.join()
        return sum(seconds - self._before.get(pid, 0.0) for pid, seconds in self._seconds.items())


def processor_seconds(pid: int) -> float:
    """Returns the processor time of a process, 0 if it has ended."""
    with contextlib.suppress(OSError):
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return 0.0


@contextlib.contextmanager
def start_engine(name: str, folder: pathlib.Path) -> Iterator[Engine]:
    """Starts an engine, yields it and ends it."""
    if name == "local":
        yield Engine(name, None, lambda *_: ["--workers=4"], _kill_worker, lambda: None)
        return
    folder.mkdir(parents=True, exist_ok=True)
    installed = INSTALLED / name
    with servers_in(folder) as servers:
        if name == "prism":
            port, web_port = free_ports(2)
            command = [installed / "prism", f"--job_port={port}", f"--web_port={web_port}"]

            def start_prism() -> None:
                servers.start("prism", command)
                servers.await_port("prism", port)

            def restart(_: int) -> None:
                os.killpg(servers.running["prism"].pid, signal.SIGKILL)
                servers.running["prism"].wait()
                start_prism()

            start_prism()
            yield Engine(
                name, servers, lambda where, variables: portable_flags(port, write_boot(where, **variables)),
                restart, lambda: None,
            )  # fmt: skip
        elif name == "flink":
            flink = FlinkCluster(servers, installed)
            yield Engine(
                name, servers, lambda where, variables: [
                    *portable_flags(flink.job_port, write_boot(where, **variables)), *flink.FLAGS,
                ],
                lambda _: servers.kill(flink.TASK_MANAGERS[0]), flink.shuffled_bytes,
            )  # fmt: skip
        else:
            events = folder / "events"
            events.mkdir()
            spark_cluster.SETTINGS |= {"spark.eventLog.enabled": "true", "spark.eventLog.dir": f"file://{events}"}
            spark = SparkCluster(servers, installed)
            yield Engine(
                name, servers, lambda where, variables: [
                    *portable_flags(spark.job_port, write_boot(where, **variables)), *spark.FLAGS,
                ],
                lambda _: spark.kill_executor(spark.WORKERS[0]), lambda: _spark_bytes(events),
            )  # fmt: skip


def _kill_worker(root: int) -> None:
    """Kills a Python worker below a process."""
    lines = {pid: pathlib.Path(f"/proc/{pid}/cmdline").read_bytes() for pid in process_tree(root)[1:]}
    os.kill(next(pid for pid, line in lines.items() if b"_worker" in line), signal.SIGKILL)


def _spark_bytes(events: pathlib.Path) -> int:
    newest = max(events.iterdir(), key=lambda path: path.stat().st_mtime)
    written = 0
    for line in newest.read_text().splitlines():
        metrics = json.loads(line).get("Task Metrics") or {}
        written += metrics.get("Shuffle Write Metrics", {}).get("Shuffle Bytes Written", 0)
    return written


def convert_on(
    engine: Engine, release: pathlib.Path, folder: pathlib.Path, num_shards: int, environment: dict[str, str]
) -> "subprocess.Popen[bytes]":
    """Starts a conversion; what the command prints is in `log` of the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    flags = [
        "--config=v3", "--split=train", f"--data_dir={release}", f"--output_dir={folder / 'out'}", "--max_rejects=100%",
        f"--images={release}/images/train/{{image_id}}.jpg", f"--num_shards={num_shards}", "--select=all",
    ]  # fmt: skip
    command = small_release.command(*flags, *engine.flags(folder, environment))
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=log, env={**small_release.environment(), **environment}, cwd=small_release.ROOT
        )


def run_measured(engine: Engine, release: pathlib.Path, folder: pathlib.Path, num_shards: int) -> str:
    """Returns the first columns of an engine: wall, processor time, memory, shuffled bytes."""
    servers = [server.pid for server in engine.servers.running.values()] if engine.servers else []
    began = time.perf_counter()
    running = convert_on(engine, release, folder, num_shards, {})
    sampler = Sampler([running.pid, *servers])
    sampler.start()
    largest = 0
    while running.poll() is None:
        files = (folder / "out" / ".oi_tfrecord-train" / "shuffle").glob("*")
        with contextlib.suppress(OSError):
            largest = max(largest, sum(path.stat().st_size for path in files))
        time.sleep(_SECONDS)
    wall, processor = time.perf_counter() - began, sampler.stop()
    assert running.returncode == 0, (folder / "log").read_text()[-3000:]
    shuffled = engine.shuffled() if engine.servers else largest
    size = f"{shuffled / 1e6:.1f}" if shuffled is not None else "-"
    return f"{wall:.1f} | {processor:.1f} | {sampler.peak_bytes / 1e6:,.0f} | {size}"


def count_writes(engine: Engine, release: pathlib.Path, folder: pathlib.Path) -> tuple[int, int]:
    """Returns how often shards were written when a worker was killed, and how often the command was run."""
    folder.mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(_COUNT_WRITES)
    path = os.pathsep.join([str(folder), str(small_release.ROOT)])
    environment = {"SHARD_WRITES": str(folder / "writes"), "PYTHONPATH": path}
    running = convert_on(engine, release, folder, _KILL_SHARDS, environment)

    def is_due() -> bool:
        assert running.poll() is None, (folder / "log").read_text()[-3000:]
        return len(list(folder.glob("out/.oi_tfrecord-train/results/*.json"))) >= _KILL_AT * _KILL_SHARDS

    wait_until(is_due, "shards are written")
    engine.kill(running.pid)
    runs = 1
    while running.wait(timeout=900) != 0:
        runs += 1
        assert runs < 4, (folder / "log").read_text()[-3000:]
        running = convert_on(engine, release, folder, _KILL_SHARDS, environment)
    return len((folder / "writes").read_text().splitlines()), runs


def check_files(output_dir: pathlib.Path, expected: pathlib.Path) -> None:
    """Compares the files of a conversion with those of the first one, whose digests `expected` keeps."""
    found = {name: hashlib.sha256(data).hexdigest() for name, data in small_release.dataset(output_dir).items()}
    if not expected.exists():
        expected.write_text(json.dumps(found))
    assert found == json.loads(expected.read_text())


def main() -> None:
    """Runs the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work_dir", type=pathlib.Path, required=True)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--num_shards", type=int, default=24)
    parser.add_argument("--engines", default=",".join(ENGINES))
    given = parser.parse_args()
    release, few = given.work_dir / f"images-{given.images}", given.work_dir / "images-1000"
    for folder, count in ((release, given.images), (few, 1000)):
        make_release(folder, count, 3)
    print("| engine | wall s | processor s | peak MB | shuffled MB | shard writes after a kill | runs |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in given.engines.split(","):
        folder = given.work_dir / name
        shutil.rmtree(folder, ignore_errors=True)
        with start_engine(name, folder / "servers") as engine:
            measured = run_measured(engine, release, folder / "whole", given.num_shards)
            check_files(folder / "whole" / "out", given.work_dir / f"files-{given.images}-{given.num_shards}.json")
            writes, runs = count_writes(engine, few, folder / "killed")
        print(f"| {name} | {measured} | {writes} of {_KILL_SHARDS} | {runs} |", flush=True)
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
