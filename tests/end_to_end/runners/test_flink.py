"""The whole conversion on a Flink cluster, also when a TaskManager is killed in the middle of it."""

import json
import pathlib

from tests.support import small_release
from tests.support.engines.engine import SHARED, finished, portable_flags, run_on_engine, started, write_boot
from tests.support.engines.flink_cluster import FlinkCluster
from tests.support.small_release import Release


def flags(cluster: FlinkCluster, boot: pathlib.Path) -> list[str]:
    return [*portable_flags(cluster.job_port, boot), *cluster.FLAGS]


def test_four_workers_on_two_task_managers_give_the_files_of_a_local_run(
    flink_cluster: FlinkCluster, engine_release: Release, local_files: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    boot = write_boot(tmp_path)
    done = run_on_engine(engine_release, tmp_path / "out", *flags(flink_cluster, boot))
    assert done.returncode == 0, done.stderr
    assert small_release.dataset(tmp_path / "out") == local_files
    started_by = [line.split()[1] for line in (tmp_path / "workers").read_text().splitlines()]
    for name in flink_cluster.TASK_MANAGERS:
        assert started_by.count(str(flink_cluster.servers.running[name].pid)) >= 2
    vertices = flink_cluster.last_job()["vertices"]
    assert max(vertex["parallelism"] for vertex in vertices) == 4
    # Each slot writes as many shards.
    [writing] = [vertex["id"] for vertex in vertices if "WriteShards" in vertex["name"]]
    assert flink_cluster.read_by_slot(writing) == [SHARED["num_shards"] // 4] * 4
    assert " on the job server localhost:" in done.stderr
    [split] = json.loads(local_files["manifest.json"])["splits"].values()
    counters = flink_cluster.counters("oi_tfrecord")
    assert counters["records"] == split["totals"]["records"]
    assert counters["rejects_image_missing"] == split["images"]["rejected"]["image_missing"]


def test_a_killed_task_manager_changes_nothing(
    flink_cluster: FlinkCluster, engine_release: Release, local_files: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    output_dir = tmp_path / "out"
    with started(
        engine_release,
        tmp_path,
        "slow_worker",
        lambda: finished(output_dir) > 0,
        lambda boot: flags(flink_cluster, boot),
    ) as running:
        flink_cluster.servers.kill(flink_cluster.TASK_MANAGERS[0])
        written = finished(output_dir)
        code = running.wait(timeout=500)
    assert 0 < written < SHARED["num_shards"]
    assert code == 0, (tmp_path / "err").read_text()
    assert small_release.dataset(output_dir) == local_files
    assert flink_cluster.restarts() >= 1
