import pathlib
import subprocess
import sys

import pytest

from tests.support import small_release

LIMITED = """
import os, resource, sys
size = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Runs a program whose writes beyond a size fail with EFBIG, as do those of the processes that it starts."""


def fails_in_one_line(flags: list[str], largest_file: int = 0) -> str:
    command = [sys.executable, "-m", "oi_tfrecord", "convert", *flags]
    if largest_file:
        command = [sys.executable, "-c", LIMITED, str(largest_file), *command]
    done = subprocess.run(
        command, cwd=small_release.ROOT, capture_output=True, text=True, env=small_release.environment()
    )
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

    line = fails_in_one_line(flags, largest - 1)
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
        line = fails_in_one_line(flags)
        assert line.startswith(f"error: {disk}/out/")
        assert "No space left on device. Free space" in line
        subprocess.run(["mount", "-o", "remount,size=64m", disk], check=True)
        completes(flags, release, tmp_path, disk / "out")
    finally:
        subprocess.run(["umount", disk], check=True)
