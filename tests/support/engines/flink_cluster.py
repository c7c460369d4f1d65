"""A Flink cluster on this machine: a JobManager, two TaskManagers and Beam's job server."""

import base64
import json
import pathlib
import re
import urllib.error
import urllib.request
from collections import Counter
from typing import Any

from apache_beam import coders

from tests.support.engines.engine import Servers, free_ports, java
from tests.support.processes import wait_until

MEMORY = {
    # In MB; what Flink's own start script works out of the configuration.
    "task.heap.size": 256,
    "task.off-heap.size": 0,
    "framework.heap.size": 128,
    "framework.off-heap.size": 128,
    "managed.size": 128,
    "network.min": 128,
    "network.max": 128,
    "jvm-metaspace.size": 256,
    "jvm-overhead.min": 192,
    "jvm-overhead.max": 192,
}


class FlinkCluster:
    """Two TaskManagers of four slots each; four are used, spread over both.

    One alone has slots enough when the other is lost. `sdk_worker_parallelism` gives each two worker processes, and
    the cache keeps them from one stage to the next, which it does only as Beam's jars are in Flink's own class path.
    """

    TASK_MANAGERS = ("taskmanager-1", "taskmanager-2")
    FLAGS = ("--parallelism=4", "--sdk_worker_parallelism=2", "--environment_cache_millis=10000")

    def __init__(self, servers: Servers, installed: pathlib.Path):
        self.servers = servers
        rpc, self.rest, blobs, self.job_port = free_ports(4)
        folder = servers.folder
        settings: dict[str, object] = {
            "jobmanager.rpc.address": "localhost",
            "jobmanager.rpc.port": rpc,
            "jobmanager.memory.process.size": "1024m",
            "rest.address": "localhost",
            "rest.port": self.rest,
            "blob.server.port": blobs,
            "taskmanager.host": "localhost",
            "taskmanager.numberOfTaskSlots": 4,
            "cluster.evenly-spread-out-slots": "true",
            "taskmanager.network.sort-shuffle.min-buffers": 64,
            "restart-strategy.type": "fixed-delay",
            "restart-strategy.fixed-delay.attempts": 3,
            "restart-strategy.fixed-delay.delay": "1 s",
            "heartbeat.interval": 1000,
            "classloader.resolve-order": "parent-first",
            "io.tmp.dirs": folder / "tmp",
        }
        (folder / "conf").mkdir()
        (folder / "tmp").mkdir()
        (folder / "conf" / "flink-conf.yaml").write_text("".join(f"{k}: {v}\n" for k, v in settings.items()))
        flink = [installed / "lib" / "*", installed / "jars" / "*"]
        runtime = "org.apache.flink.runtime"
        servers.start(
            "jobmanager",
            java(300, flink, f"{runtime}.entrypoint.StandaloneSessionClusterEntrypoint", "--configDir", "conf"),
        )
        memory = [f"-Dtaskmanager.memory.{name}={size}m" for name, size in MEMORY.items()]
        for name in self.TASK_MANAGERS:
            main = f"{runtime}.taskexecutor.TaskManagerRunner"
            servers.start(name, java(400, flink, main, "--configDir", "conf", "-Dtaskmanager.cpu.cores=1", *memory))
        servers.start(
            "jobserver",
            java(
                400,
                [installed / "jars" / "*", installed / "lib" / "*"],
                "org.apache.beam.runners.flink.FlinkJobServerDriver",
                f"--flink-master=localhost:{self.rest}",
                "--job-host=localhost",
                f"--job-port={self.job_port}",
                "--artifact-port=0",
                "--expansion-port=0",
                f"--artifacts-dir={folder / 'artifacts'}",
            ),
        )
        servers.await_port("jobmanager", self.rest)
        servers.await_port("jobserver", self.job_port)
        wait_until(self._is_complete, "both TaskManagers are there")

    def _is_complete(self) -> bool:
        try:
            return len(self.get("taskmanagers")["taskmanagers"]) == len(self.TASK_MANAGERS)
        except urllib.error.HTTPError:
            # It listens before it can answer.
            return False

    def get(self, path: str) -> Any:
        """Returns the answer of Flink's REST service."""
        with urllib.request.urlopen(f"http://localhost:{self.rest}/{path}", timeout=30) as answer:
            return json.load(answer)

    def last_job(self) -> dict[str, Any]:
        """Returns the state of the newest job, with its vertices."""
        newest = max(self.get("jobs/overview")["jobs"], key=lambda job: job["start-time"])
        return dict(self.get(f"jobs/{newest['jid']}"))

    def read_by_slot(self, vertex: str) -> list[int]:
        """Returns the elements that each slot read for a vertex of the newest job."""
        subtasks = self.get(f"jobs/{self.last_job()['jid']}/vertices/{vertex}")["subtasks"]
        return [subtask["metrics"]["read-records"] for subtask in subtasks]

    def shuffled_bytes(self) -> int:
        """Returns the bytes that the tasks of the newest job sent to other tasks."""
        return sum(vertex["metrics"]["write-bytes"] for vertex in self.last_job()["vertices"])

    def counters(self, namespace: str) -> dict[str, int]:
        """Returns the counters of a namespace that Flink's page shows of the newest job: accumulators of its tasks."""
        accumulators = self.get(f"jobs/{self.last_job()['jid']}/accumulators")["user-task-accumulators"]
        found: Counter[str] = Counter()
        for text in (accumulator["value"] for accumulator in accumulators):
            # An accumulator is text that holds messages of Beam as JSON.
            for payload, labels in re.findall(r'sum_int64:v1",\s*"payload": "([^"]+)",\s*"labels": (\{[^}]*\})', text):
                named = json.loads(labels)
                if named.get("NAMESPACE") == namespace:
                    found[named["NAME"]] += coders.VarIntCoder().decode(base64.b64decode(payload))
        return dict(found)

    def restarts(self) -> int:
        """Returns how often a task of the newest job was started again."""
        job = self.last_job()
        tasks = [self.get(f"jobs/{job['jid']}/vertices/{vertex['id']}") for vertex in job["vertices"]]
        return max(int(subtask["attempt"]) for task in tasks for subtask in task["subtasks"])
