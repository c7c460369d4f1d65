"""The whole conversion on a Spark cluster, also when an executor is killed in the middle of it."""

import os
import pathlib
import signal
import subprocess
from collections.abc import Callable, Iterator

import pytest
import small_release
from engines.engine import (
    SHARED,
    convert_locally,
    engine_command,
    installed,
    portable_flags,
    run_on_engine,
    servers_in,
    write_boot,
    write_release,
)
from engines.spark_cluster import SparkCluster
from processes import wait_until
from small_release import Release


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    folder = installed("spark")
    with servers_in(tmp_path_factory.mktemp("spark")) as servers:
        yield SparkCluster(servers, folder)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return write_release(tmp_path_factory.mktemp("release") / "data")


@pytest.fixture(scope="module")
def local(cluster: SparkCluster, release: Release, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return convert_locally(release, tmp_path_factory.mktemp("local"))


def flags(cluster: SparkCluster, boot: pathlib.Path) -> list[str]:
    return [*portable_flags(cluster.job_port, boot), *cluster.FLAGS]


def workers_by_executor(folder: pathlib.Path) -> dict[int, int]:
    """Returns how many Python workers each executor started."""
    executors = [int(line.split()[1]) for line in (folder / "workers").read_text().splitlines()]
    return {executor: executors.count(executor) for executor in executors}


def test_four_workers_of_two_executors_give_the_files_of_a_local_run(
    cluster: SparkCluster, release: Release, local: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    done = run_on_engine(release, tmp_path / "out", *flags(cluster, write_boot(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert small_release.dataset(tmp_path / "out") == local
    assert list(workers_by_executor(tmp_path).values()) == [2, 2]
    assert {name.split("/")[0] for name in cluster.started()} == set(cluster.WORKERS)


def convert_with_a_fault(
    cluster: SparkCluster, release: Release, folder: pathlib.Path, harm: Callable[[], None]
) -> pathlib.Path:
    """Converts with slow workers, does `harm` when the first shard is written, and returns the output folder."""
    output_dir = folder / "out"
    results = output_dir / ".oi_tfrecord-train" / "results"
    boot = write_boot(folder, "tests.engines.slow_worker")
    with (folder / "err").open("w+") as err:
        running = subprocess.Popen(
            engine_command(release, output_dir, *flags(cluster, boot)),
            cwd=small_release.ROOT,
            env=small_release.environment(),
            stdout=err,
            stderr=err,
        )

        def writes() -> bool:
            assert running.poll() is None, (folder / "err").read_text()
            return results.is_dir() and any(results.iterdir())

        try:
            wait_until(writes, "a shard is written")
            harm()
            written = len(list(results.iterdir()))
            code = running.wait(timeout=500)
        finally:
            running.kill()
    assert 0 < written < SHARED["num_shards"]
    assert code == 0, (folder / "err").read_text()
    return output_dir


def test_a_killed_executor_changes_nothing(
    cluster: SparkCluster, release: Release, local: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    before = cluster.started()

    def kill_executor() -> None:
        [executor] = cluster.executors(cluster.WORKERS[0])
        os.kill(executor, signal.SIGKILL)

    output_dir = convert_with_a_fault(cluster, release, tmp_path, kill_executor)
    assert small_release.dataset(output_dir) == local
    assert len(cluster.started() - before) == 3


def test_a_lost_worker_changes_nothing(
    cluster: SparkCluster, release: Release, local: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    output_dir = convert_with_a_fault(cluster, release, tmp_path, lambda: cluster.lose(cluster.WORKERS[0]))
    assert small_release.dataset(output_dir) == local
    assert cluster.alive() == 1
