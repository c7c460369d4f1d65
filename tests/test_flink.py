"""The whole conversion on a Flink cluster, also when a TaskManager is killed in the middle of it."""

import pathlib
import subprocess
from collections.abc import Iterator

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
from engines.flink_cluster import FlinkCluster
from processes import wait_until
from small_release import Release


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FlinkCluster]:
    folder = installed("flink")
    with servers_in(tmp_path_factory.mktemp("flink")) as servers:
        yield FlinkCluster(servers, folder)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return write_release(tmp_path_factory.mktemp("release") / "data")


@pytest.fixture(scope="module")
def local(cluster: FlinkCluster, release: Release, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return convert_locally(release, tmp_path_factory.mktemp("local"))


def flags(cluster: FlinkCluster, boot: pathlib.Path) -> list[str]:
    return [*portable_flags(cluster.job_port, boot), *cluster.FLAGS]


def test_four_workers_on_two_task_managers_give_the_files_of_a_local_run(
    cluster: FlinkCluster, release: Release, local: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    boot = write_boot(tmp_path)
    done = run_on_engine(release, tmp_path / "out", *flags(cluster, boot))
    assert done.returncode == 0, done.stderr
    assert small_release.dataset(tmp_path / "out") == local
    started_by = [line.split()[1] for line in (tmp_path / "workers").read_text().splitlines()]
    for name in cluster.TASK_MANAGERS:
        assert started_by.count(str(cluster.servers.running[name].pid)) >= 2
    vertices = cluster.last_job()["vertices"]
    assert max(vertex["parallelism"] for vertex in vertices) == 4


def test_a_killed_task_manager_changes_nothing(
    cluster: FlinkCluster, release: Release, local: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    boot = write_boot(tmp_path, "tests.engines.slow_worker")
    output_dir = tmp_path / "out"
    results = output_dir / ".oi_tfrecord-train" / "results"
    with (tmp_path / "err").open("w+") as err:
        running = subprocess.Popen(
            engine_command(release, output_dir, *flags(cluster, boot)),
            cwd=small_release.ROOT,
            env=small_release.environment(),
            stdout=err,
            stderr=err,
        )

        def writes() -> bool:
            assert running.poll() is None, (tmp_path / "err").read_text()
            return results.is_dir() and any(results.iterdir())

        try:
            wait_until(writes, "a shard is written")
            cluster.servers.kill(cluster.TASK_MANAGERS[0])
            written = len(list(results.iterdir()))
            code = running.wait(timeout=500)
        finally:
            running.kill()
    assert 0 < written < SHARED["num_shards"]
    assert code == 0, (tmp_path / "err").read_text()
    assert small_release.dataset(output_dir) == local
    assert cluster.restarts() >= 1
