import importlib
import subprocess
import sys

import pytest

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.storage.optional_imports import import_optional, install_command, without
from tests.support import small_release

ARROW = """
import sys
from oi_tfrecord.storage.optional_imports import install_command, keep_pandas_from_arrow
keep_pandas_from_arrow()
looked_for = []
class Recorder:
    def find_spec(self, name, path, target=None):
        looked_for.append(name)
sys.meta_path.insert(0, Recorder())
import pyarrow
pyarrow.array([1, 2]).to_numpy()
assert "pandas" not in looked_for, looked_for
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


def test_missing_packages_are_named_by_themselves_as_no_index_need_have_this_program() -> None:
    assert "'hotcoco" in install_command("evaluate")
    assert "oi_tfrecord" not in install_command("evaluate")
    assert install_command("no_such_extra") == "pip install 'oi_tfrecord[no_such_extra]'"


def test_a_package_of_an_extra_that_is_not_installed_is_named_with_the_command_and_the_option() -> None:
    with pytest.raises(ConfigError, match=r"metrics: coco needs more packages: pip install .*hotcoco"):
        import_optional("no_such_module", extra="evaluate", field="metrics", need="coco needs more packages")
    assert import_optional("json", extra="evaluate", field="metrics", need="x") is sys.modules["json"]
