import io
import json
import pathlib
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import small_release
from small_release import Release

from oi_tfrecord.convert import convert

KILL_POINTS = small_release.ROOT / "tests" / "kill_points.py"
DEADLINE_SECONDS = 60.0
"""After this a wait is given up as a hang; nothing is asserted about speed."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return small_release.write_release(tmp_path_factory.mktemp("small") / "data", images=12, seed=2)


def converted(release: Release, output_dir: pathlib.Path, **flags: object) -> dict[str, bytes]:
    assert convert(release.flags(output_dir, workers=1, **flags), io.StringIO()) == 0
    return small_release.dataset(output_dir)


def kill_everywhere(
    template: pathlib.Path, folder: pathlib.Path, first: list[str], second: list[str]
) -> list[tuple[str, str, int]]:
    done = subprocess.run(
        [sys.executable, str(KILL_POINTS), str(template), str(folder), json.dumps(first), json.dumps(second)],
        env=small_release.environment(), cwd=small_release.ROOT, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [tuple(json.loads(line)) for line in done.stdout.splitlines()]


def test_killed_before_any_change_a_rerun_completes_to_the_same_bytes(small: Release, tmp_path: pathlib.Path) -> None:
    undisturbed = converted(small, tmp_path / "undisturbed", num_shards=2)
    (tmp_path / "empty").mkdir()
    flags = small.flags("{output_dir}", num_shards=2, workers=1)
    points = kill_everywhere(tmp_path / "empty", tmp_path / "killed", flags, flags)
    assert points[-1] == ("end", "", 0)
    assert {code for *_, code in points} == {0}
    # Every file that stays was put in place by a rename, so was killed before, at it, and after.
    renamed = " ".join(path for call, path, _ in points if call == "replace")
    assert all(name in renamed for name in undisturbed)
    for number, (call, path, _) in enumerate(points, 1):
        files = small_release.dataset(tmp_path / "killed" / str(number))
        assert files == undisturbed, (number, call, path)


def test_overwrite_killed_before_any_change_leaves_no_stale_file(small: Release, tmp_path: pathlib.Path) -> None:
    converted(small, tmp_path / "before", num_shards=3, select="boxed")
    undisturbed = converted(small, tmp_path / "undisturbed", num_shards=2)
    first = small.flags("{output_dir}", num_shards=2, workers=1, overwrite="true")
    again = small.flags("{output_dir}", num_shards=2, workers=1, overwrite="true")
    points = kill_everywhere(tmp_path / "before", tmp_path / "killed", first, again)
    assert {code for *_, code in points} == {0}
    for number, (call, path, _) in enumerate(points, 1):
        assert small_release.dataset(tmp_path / "killed" / str(number)) == undisturbed, (number, call, path)


def test_overwrite_killed_anywhere_and_gone_on_with_without_it_leaves_no_stale_file(
    small: Release, tmp_path: pathlib.Path
) -> None:
    before = converted(small, tmp_path / "before", num_shards=3, select="boxed")
    undisturbed = converted(small, tmp_path / "undisturbed", num_shards=2)
    first = small.flags("{output_dir}", num_shards=2, workers=1, overwrite="true")
    points = kill_everywhere(
        tmp_path / "before", tmp_path / "killed", first, small.flags("{output_dir}", num_shards=2, workers=1)
    )
    codes = []
    for number, (call, path, code) in enumerate(points, 1):
        files = small_release.dataset(tmp_path / "killed" / str(number))
        where = (number, call, path, code)
        if code == 0:
            assert files == undisturbed, where
        else:
            # Refused, as what is there cannot be told from another's: nothing of it may be lost or mixed.
            assert {name: data for name, data in files.items() if name in before}.items() <= before.items(), where
        codes.append(code)
    print(list(zip(points, codes)))
