"""The whole conversion on a Spark cluster, also when executors are killed and a Worker is lost in the middle of it."""

import pathlib
from collections.abc import Iterator

import pytest

from tests.support import small_release
from tests.support.engines.engine import (
    SHARED,
    finished,
    installed,
    portable_flags,
    run_on_engine,
    servers_in,
    started,
    write_boot,
)
from tests.support.engines.spark_cluster import SparkCluster
from tests.support.small_release import Release


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    folder = installed("spark")
    with servers_in(tmp_path_factory.mktemp("spark")) as servers:
        yield SparkCluster(servers, folder)


def flags(cluster: SparkCluster, boot: pathlib.Path) -> list[str]:
    return [*portable_flags(cluster.job_port, boot), *cluster.FLAGS]


def workers_by_executor(folder: pathlib.Path) -> dict[int, int]:
    """Returns how many Python workers each executor started."""
    executors = [int(line.split()[1]) for line in (folder / "workers").read_text().splitlines()]
    return {executor: executors.count(executor) for executor in executors}


def test_four_workers_of_two_executors_give_the_files_of_a_local_run(
    cluster: SparkCluster, engine_release: Release, local_files: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    done = run_on_engine(engine_release, tmp_path / "out", *flags(cluster, write_boot(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert small_release.dataset(tmp_path / "out") == local_files
    assert list(workers_by_executor(tmp_path).values()) == [2, 2]
    assert {name.split("/")[0] for name in cluster.started()} == set(cluster.WORKERS)


def test_a_killed_executor_changes_nothing(
    cluster: SparkCluster, engine_release: Release, local_files: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    output_dir = tmp_path / "out"
    before = cluster.started()
    assert cluster.lost_tasks() == 0
    with started(
        engine_release, tmp_path, "slow_worker", lambda: finished(output_dir) > 0, lambda boot: flags(cluster, boot)
    ) as running:
        cluster.kill_executor(cluster.WORKERS[0])
        written = finished(output_dir)
        code = running.wait(timeout=500)
    assert 0 < written < SHARED["num_shards"]
    printed = (tmp_path / "err").read_text()
    assert code == 0, printed
    assert small_release.dataset(tmp_path / "out") == local_files
    assert len(cluster.started() - before) == 3
    assert cluster.lost_tasks() > 0


def test_what_spark_cannot_recover_is_reported_and_a_rerun_on_the_last_worker_resumes(
    cluster: SparkCluster, engine_release: Release, local_files: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    output_dir = tmp_path / "out"

    def finishes() -> bool:
        return (output_dir / "label_map.csv").exists() and cluster.last_task_is_alone()

    with started(engine_release, tmp_path, "endless_worker", finishes, lambda boot: flags(cluster, boot)) as running:
        cluster.lose(cluster.WORKERS[0])
        cluster.kill_executor(cluster.WORKERS[1])
        code = running.wait(timeout=500)
    printed = (tmp_path / "err").read_text()
    assert code == 1, printed
    assert "error: the engine gave up the job" in printed
    assert "Spark cannot rollback the ResultStage" in printed
    assert "run the same command again" in printed
    assert "Traceback" not in printed
    assert not (output_dir / "manifest.json").exists()
    assert cluster.alive() == 1
    done = run_on_engine(engine_release, output_dir, *flags(cluster, write_boot(tmp_path)))
    assert done.returncode == 0, done.stderr
    assert "12 of 12 shards are finished" in done.stderr
    assert small_release.dataset(output_dir) == local_files
