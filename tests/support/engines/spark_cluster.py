"""A standalone Spark cluster on this machine: a Master, two Workers and Beam's job server."""

import json
import os
import pathlib
import re
import signal
import urllib.error
import urllib.request
from typing import Any

from tests.support.engines.engine import Servers, free_ports, java
from tests.support.processes import processes_of, wait_until

SETTINGS = {
    "spark.cores.max": 4,
    "spark.executor.cores": 2,
    "spark.executor.memory": "512m",
    "spark.executor.extraJavaOptions": "-XX:+UseSerialGC -XX:TieredStopAtLevel=1",
    # Else it is the number of cores there are when the job comes, and the executors come after it.
    "spark.default.parallelism": 4,
    # A task goes to whichever core is free, so that all executors are sure to get some.
    "spark.locality.wait": "0s",
    "spark.ui.enabled": "false",
}
"""The job server is Spark's driver, and takes Spark's settings as Java's system properties."""


class SparkCluster:
    """Two Workers, on each an executor of two cores.

    `sdk_worker_parallelism` gives each executor two Python workers, and the cache keeps them between stages. The
    executors have the jars of Spark; they get Beam's from the job server, as on any other cluster.
    """

    WORKERS = ("worker-1", "worker-2")
    FLAGS = ("--sdk_worker_parallelism=2", "--environment_cache_millis=10000")

    def __init__(self, servers: Servers, installed: pathlib.Path):
        self.servers = servers
        rpc, self.web, self.job_port, *worker_ports = free_ports(5)
        folder = servers.folder
        home = folder / "spark"
        (home / "jars").mkdir(parents=True)
        for jar in (installed / "jars").iterdir():
            if not jar.name.startswith("beam-"):
                (home / "jars" / jar.name).symlink_to(jar.resolve())
        self.environment = {
            "SPARK_HOME": home,
            "SPARK_SCALA_VERSION": "2.12",
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_LOCAL_DIRS": folder / "local",
        }
        master = f"spark://localhost:{rpc}"
        spark = [home / "jars" / "*"]
        deploy = "org.apache.spark.deploy"
        address = ["--host", "localhost"]
        ports = ["--port", str(rpc), "--webui-port", str(self.web)]
        self._start("master", java(200, spark, f"{deploy}.master.Master", *address, *ports))
        servers.await_port("master", rpc)
        for name, port in zip(self.WORKERS, worker_ports, strict=True):
            offer = ["--cores", "2", "--memory", "600m", "--webui-port", str(port), "--work-dir", str(folder / name)]
            self._start(name, java(200, spark, f"{deploy}.worker.Worker", *address, *offer, master))
        program, *arguments = java(
            600,
            [installed / "jars" / "*"],
            "org.apache.beam.runners.spark.SparkJobServerDriver",
            f"--spark-master-url={master}",
            "--job-host=localhost",
            f"--job-port={self.job_port}",
            "--artifact-port=0",
            "--expansion-port=0",
            f"--artifacts-dir={folder / 'artifacts'}",
        )
        self._start("jobserver", [program, *(f"-D{name}={value}" for name, value in SETTINGS.items()), *arguments])
        servers.await_port("jobserver", self.job_port)
        wait_until(lambda: self.alive() == len(self.WORKERS), "both Workers are there")

    def _start(self, name: str, command: list[str]) -> None:
        self.servers.start(name, ["env", *(f"{key}={value}" for key, value in self.environment.items()), *command])

    def alive(self) -> int:
        """Returns how many Workers the Master has."""
        try:
            with urllib.request.urlopen(f"http://localhost:{self.web}/json/", timeout=30) as answer:
                state: dict[str, Any] = json.load(answer)
        except urllib.error.URLError:
            # It listens before it can answer.
            return 0
        return sum(worker["state"] == "ALIVE" for worker in state["workers"])

    def executors(self, name: str) -> list[int]:
        """Returns the processes of the executors of a Worker that run."""
        return processes_of(self.servers.running[name].pid, "CoarseGrainedExecutorBackend")

    def started(self) -> set[str]:
        """Returns the folders of all executors that were ever started: Worker, job, number."""
        folder = self.servers.folder
        return {
            path.relative_to(folder).as_posix() for name in self.WORKERS for path in (folder / name).glob("app-*/*")
        }

    def last_task_is_alone(self) -> bool:
        """Returns whether all tasks of the stage under way are finished but one."""
        counts = re.findall(r" Finished task .* \((\d+)/(\d+)\)$", self._driver_log(), re.MULTILINE)
        return bool(counts) and int(counts[-1][0]) == int(counts[-1][1]) - 1

    def lost_tasks(self) -> int:
        """Returns how many tasks were ever lost with their executor."""
        return self._driver_log().count(": ExecutorLostFailure (")

    def _driver_log(self) -> str:
        return (self.servers.folder / "jobserver.log").read_text()

    def kill_executor(self, name: str) -> None:
        """Kills the executor of a Worker alone; its Python workers and the Worker go on."""
        [executor] = self.executors(name)
        os.kill(executor, signal.SIGKILL)

    def lose(self, name: str) -> None:
        """Kills a Worker and all it started, as when its machine is lost."""
        os.killpg(self.servers.running[name].pid, signal.SIGKILL)
