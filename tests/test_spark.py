"""The whole conversion on a Spark cluster, also when executors are killed and a Worker is lost in the middle of it."""

import contextlib
import pathlib
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


@contextlib.contextmanager
def started(
    cluster: SparkCluster, release: Release, folder: pathlib.Path, worker: str, begun: Callable[[pathlib.Path], bool]
) -> Iterator[subprocess.Popen[bytes]]:
    """Starts a conversion to `out` with a worker that is not the usual one, and yields it when it has `begun`."""
    boot = write_boot(folder, f"tests.engines.{worker}")
    with (folder / "err").open("w+") as err:
        running = subprocess.Popen(
            engine_command(release, folder / "out", *flags(cluster, boot)),
            cwd=small_release.ROOT,
            env=small_release.environment(),
            stdout=err,
            stderr=err,
        )

        def has_begun() -> bool:
            assert running.poll() is None, (folder / "err").read_text()
            return begun(folder / "out")

        try:
            wait_until(has_begun, "the conversion is where it is to be disturbed")
            yield running
        finally:
            running.kill()
            running.wait()


def results(output_dir: pathlib.Path) -> int:
    return len(list(output_dir.glob(".oi_tfrecord-train/results/*.json")))


def test_a_killed_executor_changes_nothing(
    cluster: SparkCluster, release: Release, local: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    before = cluster.started()
    assert cluster.lost_tasks() == 0
    with started(cluster, release, tmp_path, "slow_worker", lambda out: results(out) > 0) as running:
        cluster.kill_executor(cluster.WORKERS[0])
        written = results(tmp_path / "out")
        code = running.wait(timeout=500)
    assert 0 < written < SHARED["num_shards"]
    told = (tmp_path / "err").read_text()
    assert code == 0, told
    assert small_release.dataset(tmp_path / "out") == local
    assert len(cluster.started() - before) == 3
    assert cluster.lost_tasks() > 0


def test_what_spark_cannot_recover_is_told_and_a_rerun_on_the_worker_that_is_left_goes_on(
    cluster: SparkCluster, release: Release, local: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    output_dir = tmp_path / "out"

    def finishes(output_dir: pathlib.Path) -> bool:
        return (output_dir / "label_map.csv").exists() and cluster.last_task_is_alone()

    with started(cluster, release, tmp_path, "endless_worker", finishes) as running:
        cluster.lose(cluster.WORKERS[0])
        cluster.kill_executor(cluster.WORKERS[1])
        code = running.wait(timeout=500)
    told = (tmp_path / "err").read_text()
    assert code == 1, told
    assert "error: the engine gave the job up" in told
    assert "Spark cannot rollback the ResultStage" in told
    assert "run the same command again" in told
    assert "Traceback" not in told
    assert not (output_dir / "manifest.json").exists()
    assert cluster.alive() == 1
    done = run_on_engine(release, output_dir, *flags(cluster, write_boot(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert "12 of 12 shards are finished" in done.stderr
    assert small_release.dataset(output_dir) == local
