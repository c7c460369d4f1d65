"""Packages that a local conversion does not import."""

import collections
import pathlib
import subprocess

from oi_tfrecord.storage.optional_imports import FILESYSTEMS
from tests.support import small_release

HEAVY = (
    "PIL", "aiohttp", "azure", "boto3", "botocore", "duckdb", "google.auth", "hdfs", "hypothesis",
    "keras", "moto", "pandas", "psycopg", "pytest", "scipy", "selenium", "tenacity", "tensorflow", "torch",
)  # fmt: skip

RECORDER = """
import os, sys
class Recorder:
    def find_spec(self, name, path, target=None):
        with open({log!r}, "a") as file:
            file.write(f"{{os.getpid()}} {{name}}\\n")
sys.meta_path.insert(0, Recorder())
"""


def imports_of(command: list[str], tmp_path: pathlib.Path) -> dict[str, set[str]]:
    """Returns what each process of a command imports, or tries to, by process."""
    log = tmp_path / "imports.txt"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(RECORDER.format(log=str(log)))
    environment = small_release.environment()
    environment["PYTHONPATH"] = f"{tmp_path / 'site'}:{environment['PYTHONPATH']}"
    done = subprocess.run(command, env=environment, cwd=small_release.ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    found: dict[str, set[str]] = collections.defaultdict(set)
    for line in log.read_text().splitlines():
        process, _, name = line.partition(" ")
        found[process].add(name)
    return found


def heavy(names: set[str]) -> set[str]:
    # `google.cloud` itself is an empty package, which Beam imports to look for others in it.
    return {name for name in names if name in HEAVY or name.startswith(("google.cloud.", *FILESYSTEMS))}


def test_no_process_of_a_local_conversion_imports_what_it_does_not_need(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=60)
    flags = release.flags(tmp_path / "out", num_shards=8, workers=3)
    processes = imports_of(small_release.command(*flags), tmp_path)
    beam = [names for names in processes.values() if "apache_beam" in names]
    assert sum("apache_beam.runners.worker.sdk_worker_main" in names for names in beam) >= 2
    assert any("oi_tfrecord.conversion.convert" in names for names in beam)
    assert not set().union(*map(heavy, processes.values()))


def test_images_that_are_decoded_need_pillow_alone(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=60)
    processes = imports_of(
        small_release.command(*release.flags(tmp_path / "out", num_shards=2, image_mode="verify", workers=1)), tmp_path
    )
    assert set().union(*map(heavy, processes.values())) == {"PIL"}
