"""The command with three workers in two processes, of which storage fails and one is killed: a rerun ends the same."""

import pathlib
import subprocess
import sys
from collections.abc import Mapping

import pytest
import small_release
from engines.faulty_worker import ERROR, FULL, KILL, RENAME, SLOW, VARIABLE, Schedule
from processes import HANG_SECONDS
from small_release import Release

RUNS = 3
"""How often the user runs a failing command again before the storage is mended."""
DIED = 70
RATES = (
    {ERROR: 0.01, KILL: 0.02},
    {ERROR: 0.01, RENAME: 0.1},
    {ERROR: 0.01, FULL: 0.05, SLOW: 0.2},
)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("release") / "data", images=24, seed=5)


@pytest.fixture(scope="module")
def undisturbed(release: Release, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("undisturbed")
    done = small_release.run_command(release.flags(folder, workers=1))
    assert done.returncode == 0, done.stderr
    return small_release.dataset(folder)


@pytest.mark.parametrize("seed", range(len(RATES)))
def test_a_rerun_completes_to_the_same_bytes(
    release: Release, undisturbed: dict[str, bytes], tmp_path: pathlib.Path, seed: int
) -> None:
    output_dir, log = tmp_path / "out", str(tmp_path / "faults")
    codes = []
    for run in range(RUNS + 1):
        rates: Mapping[str, float] = RATES[seed] if run < RUNS else {}
        schedule = Schedule(10 * seed + run, (str(release.folder), str(output_dir)), log, dict(rates), {KILL: 1})
        schedule.write(tmp_path / "schedule")
        done = subprocess.run(
            [sys.executable, "-m", "tests.faulty_local", *release.flags(output_dir, workers=3)],
            cwd=small_release.ROOT,
            env={**small_release.environment(), VARIABLE: str(tmp_path / "schedule")},
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
        )
        codes.append(done.returncode)
        if done.returncode == 0:
            break
        told = [line for line in done.stderr.splitlines() if not line.startswith(("[", "Going on: "))]
        assert len(told) == 1, done.stderr
        assert told[0].startswith("error: ")
        if done.returncode == DIED:
            assert "to go on with what is finished" in told[0]
        else:
            assert done.returncode == 1, done.stderr
            assert "injected: " in told[0]
            assert f"{output_dir}/" in told[0] or f"{release.folder}/" in told[0]
    assert codes[-1] == 0
    happened = schedule.happened()
    assert happened.total() > 0
    assert happened[KILL] == codes.count(DIED) == (1 if KILL in RATES[seed] else 0)
    assert small_release.dataset(output_dir) == undisturbed
