"""Conversions on a Flink cluster whose workers are killed, and whose storage fails, is slow or is full."""

import dataclasses
import pathlib
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from types import MappingProxyType

import pytest

from tests.support import small_release
from tests.support.engines.engine import portable_flags, run_on_engine, write_boot
from tests.support.engines.faulty_worker import ERROR, FULL, KILL, RENAME, SLOW, VARIABLE, Schedule
from tests.support.engines.flink_cluster import FlinkCluster
from tests.support.small_release import Release

RUNS = 6
"""How often the user runs a failing job again before the storage works again."""
TWO_WORKERS = ("--parallelism=4", "--sdk_worker_parallelism=1")
CACHED = (*TWO_WORKERS, "--environment_cache_millis=10000")
CACHED_FOR_LONG = (*TWO_WORKERS, "--environment_cache_millis=600000")


@pytest.fixture(scope="module")
def engine_release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """Its tables are several ranges; a conversion makes some 250 requests of storage."""
    folder = tmp_path_factory.mktemp("release") / "data"
    return small_release.write_release(folder, images=50, boxes=20, title_bytes=20_000)


@dataclasses.dataclass
class Job:
    """A conversion that is run once or more often."""

    cluster: FlinkCluster
    engine_release: Release
    folder: pathlib.Path
    output_dir: pathlib.Path

    @property
    def schedule(self) -> Schedule:
        """The schedule without faults."""
        folders = (str(self.engine_release.folder), str(self.output_dir))
        return Schedule(7, folders, str(self.folder / "faults"), {})

    def run(
        self, rates: dict[str, float], *flags: str, seed: int = 7, at_most: Mapping[str, int] = MappingProxyType({})
    ) -> subprocess.CompletedProcess[str]:
        """Runs the command with faults (`Schedule`); `flags` say how Flink starts workers."""
        path = self.folder / "schedule"
        dataclasses.replace(self.schedule, seed=seed, rates=rates, at_most=dict(at_most)).write(path)
        boot = write_boot(self.folder, "tests.support.engines.faulty_worker", **{VARIABLE: path})
        return run_on_engine(
            self.engine_release, self.output_dir, *portable_flags(self.cluster.job_port, boot), *(flags or CACHED)
        )

    def happened(self) -> Counter[str]:
        return self.schedule.happened()

    def files(self) -> dict[str, bytes]:
        return small_release.dataset(self.output_dir)


@pytest.fixture
def job(flink_cluster: FlinkCluster, engine_release: Release, tmp_path: pathlib.Path) -> Job:
    return Job(flink_cluster, engine_release, tmp_path, tmp_path / "out")


def printed(done: subprocess.CompletedProcess[str]) -> str:
    """Returns what a user reads of a job that failed: one line that begins with `error:`, and no traceback."""
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: "), done.stderr
    assert line.endswith("then run the same command again; what is finished is kept.")
    return line


def is_told_nothing(done: subprocess.CompletedProcess[str]) -> None:
    """Checks that a job ended well, and that prints nothing of the faults that a retry overcame."""
    assert done.returncode == 0, done.stderr
    assert not [line for line in done.stderr.splitlines() if not line.startswith(("[", "Resuming: "))], done.stderr


def test_storage_that_fails_for_a_moment_costs_a_restart(job: Job, local_files: dict[str, bytes]) -> None:
    # No more faults than the restarts that the cluster allows.
    done = job.run({RENAME: 0.2, FULL: 0.05, ERROR: 0.02}, at_most={RENAME: 1, FULL: 1, ERROR: 1})
    is_told_nothing(done)
    assert job.happened() == {RENAME: 1, FULL: 1, ERROR: 1}
    assert 1 <= job.cluster.restarts() <= 3
    assert job.files() == local_files


def test_errors_on_a_hundredth_of_all_requests_end_in_the_same_bytes(job: Job, local_files: dict[str, bytes]) -> None:
    for run in range(RUNS + 1):
        # In the end the storage works again.
        done = job.run({ERROR: 0.01} if run < RUNS else {}, seed=run)
        if done.returncode == 0:
            break
        assert "injected: error. Check the path and its disk" in printed(done)
    assert done.returncode == 0, done.stderr
    assert job.happened()[ERROR] >= 1
    assert job.files() == local_files


def test_a_killed_worker_costs_a_restart_and_with_the_cache_the_job(job: Job, local_files: dict[str, bytes]) -> None:
    """Beam's cache keeps a worker that is gone, so that every restart meets it."""
    line = printed(job.run({KILL: 0.05}, *CACHED_FOR_LONG, at_most={KILL: 2}))
    assert "the engine gave up the job: " in line
    killed = job.happened()[KILL]
    assert 1 <= killed <= 2
    assert job.cluster.restarts() == 3

    is_told_nothing(job.run({KILL: 0.05}, *TWO_WORKERS, at_most={KILL: killed + 2}))
    assert job.happened() == {KILL: killed + 2}
    assert job.cluster.restarts() >= 1
    assert job.files() == local_files


def test_a_slow_disk_costs_time_only(job: Job, local_files: dict[str, bytes]) -> None:
    done = job.run({SLOW: 0.5})
    is_told_nothing(done)
    assert job.happened()[SLOW] > 50
    assert job.cluster.restarts() == 0
    assert job.files() == local_files


def test_a_rename_that_keeps_failing_is_named_and_a_rerun_completes(job: Job, local_files: dict[str, bytes]) -> None:
    line = printed(job.run({RENAME: 1.0}))
    assert f"error: {job.output_dir}/" in line
    assert ": injected: rename failed. Check the path and its disk" in line
    # Each attempt fails at the first, and so cannot leave its error in the work folder either.
    assert job.happened()[RENAME] > job.cluster.restarts() == 3
    is_told_nothing(job.run({}))
    assert job.files() == local_files


def mount(folder: pathlib.Path, *options: str) -> bool:
    """Mounts a disk of memory on a folder; returns whether this user may."""
    if shutil.which("mount") is None:
        return False
    return subprocess.run(["mount", *options, str(folder)], capture_output=True).returncode == 0


@pytest.fixture
def full_disk(job: Job) -> Iterator[bool]:
    """Makes the output folder a disk that has no room for all; yields whether it is one, as else it is injected."""
    job.output_dir.mkdir()
    is_disk = mount(job.output_dir, "-t", "tmpfs", "-o", "size=300k", "tmpfs")
    try:
        yield is_disk
    finally:
        if is_disk:
            subprocess.run(["umount", "--lazy", str(job.output_dir)], check=True)


def test_a_full_disk_is_named_and_a_rerun_resumes_when_there_is_room(
    job: Job, local_files: dict[str, bytes], full_disk: bool
) -> None:
    line = printed(job.run({} if full_disk else {FULL: 0.5}))
    assert f"{job.output_dir}/" in line
    assert ": No space left on device. Free space on its disk, then" in line or not full_disk
    assert ": injected: disk full. Free space on its disk, then" in line or full_disk
    assert job.cluster.restarts() == 3
    assert "manifest.json" not in job.files()
    if full_disk:
        assert mount(job.output_dir, "-o", "remount,size=100m")
    is_told_nothing(job.run({}))
    assert job.files() == local_files
