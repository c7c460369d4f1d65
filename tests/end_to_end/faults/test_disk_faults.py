import pathlib
import resource
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.support import small_release


def fails_in_one_line(flags: list[str], limit: Callable[[], None] | None) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "oi_tfrecord", "convert", *flags],
        cwd=small_release.ROOT, capture_output=True, text=True,
        env=small_release.environment(), preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    [line] = [line for line in done.stderr.splitlines() if not line.startswith("[")]
    return line


def completes(flags: list[str], release: small_release.Release, tmp_path: pathlib.Path, out: pathlib.Path) -> None:
    done = small_release.run_command(flags)
    assert done.returncode == 0, done.stderr
    assert small_release.run_command(release.flags(tmp_path / "undisturbed", workers=1)).returncode == 0
    assert small_release.shards(out) == small_release.shards(tmp_path / "undisturbed")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_file_that_may_not_grow_ends_in_one_line_and_a_rerun_completes(workers: int, tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=60, faults=False)
    out = tmp_path / "out"
    flags = release.flags(out, workers=workers)
    assert small_release.run_command(release.flags(tmp_path / "sizes", workers=1)).returncode == 0
    largest = max(len(data) for data in small_release.shards(tmp_path / "sizes").values())

    def limit() -> None:
        # A write beyond the limit fails with EFBIG, in this process and in those that it starts.
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest - 1, largest - 1))

    line = fails_in_one_line(flags, limit)
    assert line.startswith(f"error: {out}/train.tfrecord-")
    assert "File too large. " in line
    assert "run the same command again" in line
    completes(flags, release, tmp_path, out)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_ends_in_one_line_and_a_rerun_completes(workers: int, tmp_path: pathlib.Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], capture_output=True).returncode:
        pytest.skip("a disk of a given size needs the right to mount one")
    try:
        release = small_release.write_release(tmp_path / "data", images=400, faults=False)
        flags = release.flags(disk / "out", workers=workers)
        line = fails_in_one_line(flags, None)
        assert line.startswith(f"error: {disk}/out/")
        assert "No space left on device. Free space" in line
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        completes(flags, release, tmp_path, disk / "out")
    finally:
        subprocess.run(["umount", disk], check=True)
