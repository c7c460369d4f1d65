import collections
import importlib
import pathlib
import subprocess
import sys

import pytest

from oi_tfrecord.storage.optional_imports import FILESYSTEMS, without
from tests.support import small_release

HEAVY = (
    "PIL", "aiohttp", "azure", "boto3", "botocore", "duckdb", "google.auth", "hdfs", "hypothesis", "indexed_gzip",
    "keras", "moto", "pandas", "psycopg", "pytest", "scipy", "selenium", "tensorflow", "torch",
)  # fmt: skip

RECORDER = """
import os, sys
class Recorder:
    def find_spec(self, name, path, target=None):
        with open({told!r}, "a") as file:
            file.write(f"{{os.getpid()}} {{name}}\\n")
sys.meta_path.insert(0, Recorder())
"""


def imports_of(command: list[str], tmp_path: pathlib.Path) -> dict[str, set[str]]:
    """Returns what each process of a command imports, or tries to, by process."""
    told = tmp_path / "imports.txt"
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(RECORDER.format(told=str(told)))
    environment = small_release.environment()
    environment["PYTHONPATH"] = f"{tmp_path / 'site'}:{environment['PYTHONPATH']}"
    done = subprocess.run(command, env=environment, cwd=small_release.ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    found: dict[str, set[str]] = collections.defaultdict(set)
    for line in told.read_text().splitlines():
        process, _, name = line.partition(" ")
        found[process].add(name)
    return found


def heavy(names: set[str]) -> set[str]:
    # `google.cloud` itself is an empty package that Beam asks for what it does not get.
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


ARROW = """
import sys
from oi_tfrecord.storage.optional_imports import keep_pandas_from_arrow
keep_pandas_from_arrow()
tried = []
class Recorder:
    def find_spec(self, name, path, target=None):
        tried.append(name)
sys.meta_path.insert(0, Recorder())
import pyarrow
pyarrow.array([1, 2]).to_numpy()
assert "pandas" not in tried, tried
"""


def test_arrow_does_not_look_for_pandas_again() -> None:
    done = subprocess.run([sys.executable, "-c", ARROW], env=small_release.environment(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()


SCHEMES = """
import sys
from oi_tfrecord.engine.run_pipeline import import_beam_quietly
from oi_tfrecord.storage.beam_filesystem import _filesystems
if sys.argv[1] == "lean":
    import_beam_quietly()
    assert "apache_beam.io.gcp.gcsfilesystem" not in sys.modules
    _filesystems()
from apache_beam.io import filesystems
from apache_beam.io.filesystem import FileSystem
print(sorted(str(kind.scheme()) for kind in FileSystem.get_all_subclasses()))
"""


def test_filesystems_are_there_when_one_is_asked_for() -> None:
    lean, all_of_beam = (
        subprocess.run([sys.executable, "-c", SCHEMES, kind], env=small_release.environment(), capture_output=True)
        for kind in ("lean", "all")
    )
    assert lean.returncode == 0, lean.stderr.decode()
    assert lean.stdout == all_of_beam.stdout != b""


def test_a_module_is_missing_within_the_block_only() -> None:
    name = "colorsys"
    sys.modules.pop(name, None)
    with without({name}), pytest.raises(ModuleNotFoundError, match=name):
        importlib.import_module(name)
    assert importlib.import_module(name)


def test_a_module_that_is_there_stays() -> None:
    with without({"json"}):
        assert importlib.import_module("json") is sys.modules["json"]
