"""The command with three workers in two processes, of which storage fails and one is killed: a rerun ends the same."""

import pathlib
import subprocess
import sys

import pytest

from tests.support import small_release
from tests.support.engines.faulty_worker import ERROR, FULL, KILL, RENAME, SLOW, VARIABLE, Schedule
from tests.support.processes import HANG_SECONDS
from tests.support.small_release import Release

DIED = 70
RUNS: tuple[dict[str, float], ...] = (
    {KILL: 0.05},
    {ERROR: 0.01, RENAME: 0.5},
    {ERROR: 0.01, FULL: 0.1, SLOW: 0.2},
    {},
)
"""Shares of the requests of each run that a kind of fault befalls; in the last run the storage works again."""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=24, seed=5)


@pytest.fixture(scope="module")
def undisturbed(release: Release, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    done = small_release.run_command(release.flags(folder, workers=1))
    assert done.returncode == 0, done.stderr
    return small_release.dataset(folder)


def test_a_rerun_resumes_whatever_happened_and_ends_in_the_same_bytes(
    release: Release, undisturbed: dict[str, bytes], tmp_path: pathlib.Path
) -> None:
    output_dir, path = tmp_path / "out", tmp_path / "schedule"
    folders = (str(release.folder), str(output_dir))
    errors = []
    for seed, rates in enumerate(RUNS):
        schedule = Schedule(seed, folders, str(tmp_path / "faults"), rates, {KILL: 1})
        schedule.write(path)
        done = subprocess.run(
            [sys.executable, "-m", "tests.support.faulty_local", *release.flags(output_dir, workers=3)],
            cwd=small_release.ROOT,
            env={**small_release.environment(), VARIABLE: str(path)},
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
        )
        printed = [line for line in done.stderr.splitlines() if not line.startswith(("[", "Resuming: "))]
        assert done.returncode == (DIED if KILL in rates else 1 if rates else 0), done.stderr
        assert len(printed) == (1 if rates else 0), done.stderr
        errors += printed
    assert "Run the same command again" in errors[0]
    assert not [line for line in errors if not line.startswith("error: ")]
    for line in errors[1:]:
        assert ": injected: " in line
        assert any(f"error: {folder}/" in line for folder in folders), line
    assert schedule.happened()[KILL] == 1
    assert small_release.dataset(output_dir) == undisturbed
