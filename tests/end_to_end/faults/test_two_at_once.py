"""Seeded schedules of two runs at once: of one conversion, and of two splits into one folder; one may be killed.

A run of a split that another process writes is refused in a line that names the process. In the end, after a rerun of
what was killed or refused, the folder holds the same bytes as after undisturbed runs one after the other.
"""

import dataclasses
import json
import pathlib
import random
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from tests.support import small_release
from tests.support.faulty_runs import ALL_THROUGH_BEAM
from tests.support.processes import HANG_SECONDS
from tests.support.small_release import Release, convert
from tests.support.two_at_once import Schedule

SCHEDULES = 200 if ALL_THROUGH_BEAM else 6
MOST_CHANGES = 60
"""About as many changes as a run of this release makes to the file system."""


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    folder = tmp_path_factory.mktemp("release") / "data"
    made = small_release.write_release(folder, images=8, seed=6)
    shutil.copytree(folder / "train", folder / "validation")
    table = folder / "validation" / small_release.TABLES["metadata"]
    table.write_text(table.read_text().replace(",train,", ",validation,"))
    return made


def flags_of(release: Release, output_dir: pathlib.Path, split: str) -> list[str]:
    return release.flags(output_dir, split=split, num_shards=2, workers=1, read_threads=1)


def schedule_of(seed: int, release: Release, output_dir: pathlib.Path) -> Schedule:
    chosen = random.Random(seed)
    return Schedule(
        first=flags_of(release, output_dir, "train"),
        second=flags_of(release, output_dir, "train" if seed % 2 else "validation"),
        begin=chosen.randrange(1, MOST_CHANGES),
        killed=chosen.choice((0, 1, -1)),
        kill=chosen.randrange(1, MOST_CHANGES),
    )


def test_two_runs_at_once_end_in_the_bytes_of_one_after_the_other(release: Release, tmp_path: pathlib.Path) -> None:
    undisturbed: dict[bool, dict[str, bytes]] = {}
    for is_same, splits in ((True, ["train"]), (False, ["train", "validation"])):
        folder = tmp_path / f"undisturbed-{len(splits)}"
        for split in splits:
            assert convert(flags_of(release, folder, split)) == 0
        undisturbed[is_same] = small_release.dataset(folder)
    folders = [tmp_path / "out" / str(seed) for seed in range(SCHEDULES)]
    schedules = [schedule_of(seed, release, folder) for seed, folder in enumerate(folders)]
    ended = run_schedules(schedules, tmp_path)
    kinds: Counter[str] = Counter()
    for seed, (schedule, folder, result) in enumerate(zip(schedules, folders, ended, strict=True)):
        codes, errors = result[:2], result[2:]
        is_same = schedule.first == schedule.second
        for code, err in zip(codes, errors, strict=True):
            kinds[judge(code, err, is_same, f"schedule {seed}: {result}")] += 1
        for flags, code in zip((schedule.first, schedule.second), codes, strict=True):
            if code:
                assert convert(flags) == 0, seed
        assert small_release.dataset(folder) == undisturbed[is_same], seed
        shutil.rmtree(folder)
    assert set(kinds) == {"done", "killed", "refused"}


def run_schedules(schedules: list[Schedule], folder: pathlib.Path) -> list[list[Any]]:
    path = folder / "schedules.json"
    path.write_text(json.dumps(list(map(dataclasses.asdict, schedules))))
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.two_at_once", str(path)],
        env=small_release.environment(),
        cwd=small_release.ROOT,
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS + 30 * len(schedules),
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def judge(code: int, err: str, is_same: bool, about: str) -> str:
    """Returns how a run ended; the only error is that another process writes the split."""
    if code == -signal.SIGKILL:
        return "killed"
    errors = [line for line in err.splitlines() if line.startswith("error: ")]
    if code == 0:
        assert not errors, about
        return "done"
    assert (code, is_same, len(errors)) == (1, True, 1), about
    assert re.search(r"'train' in .* is being written by process \d+ on ", errors[0]), about
    return "refused"
