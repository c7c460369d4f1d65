import io
import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from typing import Any

import pytest

from oi_tfrecord.dataset.work_folder import WorkFolder
from tests.support import small_release
from tests.support.processes import HANG_SECONDS, processes_of, wait_until
from tests.support.small_release import Release, convert

KILL_POINTS = small_release.ROOT / "tests" / "support" / "kill_points.py"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("small") / "data", images=12, seed=2)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Release:
    """A release whose images take some milliseconds each to verify."""
    folder = tmp_path_factory.mktemp("slow") / "data"
    return small_release.write_release(folder, images=260, size=(640, 480), seed=3)


def converted(release: Release, output_dir: pathlib.Path, **flags: object) -> dict[str, bytes]:
    assert convert(release.flags(output_dir, workers=1, **flags)) == 0
    return small_release.dataset(output_dir)


def kill_everywhere(kinds: str, template: pathlib.Path, folder: pathlib.Path, until: str, *flags: list[str]) -> list:
    given = [sys.executable, str(KILL_POINTS), kinds, str(template), str(folder), until, *map(json.dumps, flags)]
    done = subprocess.run(
        given, env=small_release.environment(), cwd=small_release.ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_killed_before_any_rename_a_rerun_completes_to_the_same_bytes(small: Release, tmp_path: pathlib.Path) -> None:
    undisturbed = converted(small, tmp_path / "undisturbed", num_shards=2)
    (tmp_path / "empty").mkdir()
    flags = small.flags("{output_dir}", num_shards=2, workers=1)
    points = kill_everywhere("replace", tmp_path / "empty", tmp_path / "killed", "", flags, flags)
    assert points.pop() == ["end", "", 0]
    # Every file that stays is put in place by a rename, so the run was killed before and after each.
    renamed = " ".join(path for _, path, _ in points)
    assert all(name in renamed for name in undisturbed)
    for number, (_, path, code) in enumerate(points, 1):
        assert code == 0, path
        assert small_release.dataset(tmp_path / "killed" / str(number)) == undisturbed, path


def test_overwrite_killed_while_it_removes_leaves_nothing_that_a_later_run_takes_for_its_own(
    small: Release, tmp_path: pathlib.Path
) -> None:
    converted(small, tmp_path / "before", num_shards=3, select="boxed", classes=small_release.MIDS[0])
    work = WorkFolder.of(str(tmp_path / "before"), "train")
    work.create({"of": "another conversion"})
    work.write_result(0, b"{}")
    undisturbed = converted(small, tmp_path / "undisturbed", num_shards=2)
    again = small.flags("{output_dir}", num_shards=2, workers=1)
    points = kill_everywhere(
        "replace,unlink,rmdir", tmp_path / "before", tmp_path / "killed", "/shuffle/", [*again, "--overwrite"], again
    )
    assert any("train.tfrecord-00002-of-00003" in path for _, path, _ in points)
    codes = set()
    for number, (_, path, code) in enumerate(points, 1):
        output_dir = tmp_path / "killed" / str(number)
        codes.add(code == 0)
        if code:
            # Refused without --overwrite, as there is something left that could be the user's.
            converted(small, output_dir, num_shards=2, overwrite="true")
        assert small_release.dataset(output_dir) == undisturbed, path
    assert codes == {True, False}


def start(flags: list[str], **options: Any) -> subprocess.Popen[str]:
    """Starts the command in a session of its own."""
    return subprocess.Popen(
        small_release.command(*flags),
        cwd=small_release.ROOT,
        env=small_release.environment(),
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        text=True,
        **options,
    )


def identities(paths: Iterable[pathlib.Path]) -> dict[str, tuple[int, int]]:
    """Returns what changes when a file is written again, by its name."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def folders_below(folder: pathlib.Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_dir()}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.skipif(sys.platform != "linux", reason="looks for orphans in /proc")
def test_killed_time_and_again_at_random_it_completes_to_the_same_bytes(
    workers: int, slow: Release, tmp_path: pathlib.Path
) -> None:
    chosen = random.Random(workers)
    undisturbed = converted(slow, tmp_path / "undisturbed", num_shards=13, image_mode="verify")
    output_dir = tmp_path / "out"
    flags = slow.flags(output_dir, num_shards=13, image_mode="verify", workers=workers)
    work = output_dir / ".oi_tfrecord-train"

    def finished() -> dict[str, tuple[int, int]]:
        # A shard counts as finished with its result.
        numbers = [path.stem.removeprefix("shard-") for path in (work / "results").glob("shard-*.json")]
        return identities(output_dir / f"train.tfrecord-{number}-of-00013" for number in numbers)

    kept: dict[str, tuple[int, int]] = {}
    counts = []
    # How many shards are finished when the signal comes; -1 is as soon as anything is there.
    for shards in 3 * (-1, 0, 1, 4, 6, 8):
        process = start(flags, stderr=subprocess.DEVNULL)

        def reached(shards: int = shards, process: subprocess.Popen[str] = process) -> bool:
            there = work.exists() if shards < 0 else any(work.glob("shuffle/*")) and len(finished()) >= shards
            return there or process.poll() is not None

        wait_until(reached, f"{shards} shards are finished")
        time.sleep(chosen.uniform(0, 0.06))
        # The command alone, not its process group: its workers must notice by themselves.
        process.kill()
        process.wait()
        wait_until(lambda session=process.pid: not processes_of(session), "no orphan runs")
        if process.returncode == 0:
            # It was faster than this test, on a machine with other work: from the start again.
            shutil.rmtree(output_dir)
            kept, counts = {}, []
            continue
        assert process.returncode == -signal.SIGKILL
        now = finished()
        assert kept.items() <= now.items(), "a finished shard was done again"
        kept = now
        counts.append(len(kept))
        if shards == 8:
            break
    assert len([count for count in counts if 0 < count < 13]) >= 2
    done = small_release.run_command(flags)
    assert done.returncode == 0, done.stderr
    assert f"Resuming: {len(kept)} of 13 shards are finished" in done.stderr
    assert kept.items() <= identities(output_dir.glob("train.tfrecord-*")).items(), "a finished shard was done again"
    assert small_release.dataset(output_dir) == undisturbed
    # Cut off images can be corrected, so the work folder stays, with no more than after the undisturbed conversion.
    assert folders_below(output_dir) == folders_below(tmp_path / "undisturbed")


def test_a_rerun_of_a_complete_conversion_does_nothing(small: Release, tmp_path: pathlib.Path) -> None:
    before = converted(small, tmp_path / "out")
    were = identities((tmp_path / "out").iterdir())
    out = io.StringIO()
    assert convert(small.flags(tmp_path / "out"), out) == 0
    assert out.getvalue().startswith("Nothing to do")
    assert "8 images with " in out.getvalue()
    assert small_release.dataset(tmp_path / "out") == before
    assert identities((tmp_path / "out").iterdir()) == were


@pytest.mark.parametrize("workers", [1, 2])
def test_interrupted_by_the_keyboard_it_says_how_to_go_on(workers: int, slow: Release, tmp_path: pathlib.Path) -> None:
    flags = slow.flags(tmp_path, num_shards=13, image_mode="verify", workers=workers)
    process = start(flags, stderr=subprocess.PIPE)
    wait_until(lambda: any(tmp_path.glob("train.tfrecord-*")) or process.poll() is not None, "a shard is finished")
    # As a terminal does, to every process of the group.
    os.killpg(process.pid, signal.SIGINT)
    _, printed = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == 130, printed
    assert "Traceback" not in printed
    [error] = [line for line in printed.splitlines() if line.startswith("error: ")]
    assert "same command again" in error
    assert convert(flags) == 0
