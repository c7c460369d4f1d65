"""The public names of the package: light to import, and seen by dir(), help(), star imports and type checkers."""

import ast
import dataclasses
import importlib
import inspect
import json
import pathlib
import subprocess
import sys
from collections.abc import Iterable

import pytest

import oi_tfrecord
from tests.conftest import REPOSITORY
from tests.support import small_release
from tests.support.docs_blocks import blocks, pages

USER_LINES = REPOSITORY / "tests" / "support" / "user_lines.py"

WRONG_LINES = """
import oi_tfrecord
oi_tfrecord.convertt
oi_tfrecord.VerifyOptions("records", splits=("train",))
oi_tfrecord.VerifyOptions("records", decode="yes")
oi_tfrecord.merge(oi_tfrecord.ShowOptions("records"))
oi_tfrecord.verify(oi_tfrecord.VerifyOptions("records")).verdict
"""


def run_python(script: str) -> str:
    command = [sys.executable, "-c", script]
    return subprocess.run(command, env=small_release.environment(), capture_output=True, text=True, check=True).stdout


def test_the_package_imports_neither_beam_nor_tensorflow_nor_numpy() -> None:
    ours = "[name for name in sys.modules if name.startswith('oi_tfrecord.')]"
    assert run_python(f"import sys, oi_tfrecord; dir(oi_tfrecord); print({ours})") == "[]\n"
    heavy = "{'numpy', 'apache_beam', 'tensorflow', 'pyarrow'} & set(sys.modules)"
    assert run_python(f"import sys, oi_tfrecord; oi_tfrecord.ConfigError; print(sorted({heavy}))") == "[]\n"


def test_dir_lists_names_that_are_not_imported_yet() -> None:
    listed = json.loads(run_python("import json, oi_tfrecord; print(json.dumps(dir(oi_tfrecord)))"))
    assert {"convert", "verify", "RecordDataset", "load", "ConvertConfig", "__version__"} <= set(listed)
    assert set(oi_tfrecord.__all__) <= set(listed)


def test_names_for_type_checkers_are_the_names_at_run_time() -> None:
    tree = ast.parse(inspect.getsource(oi_tfrecord))
    [checked, _] = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {
        alias.name: (node.module, alias.asname)
        for node in checked.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert sorted(imported) == sorted(set(oi_tfrecord.__all__) - {"__version__"})
    for name, (module, asname) in imported.items():
        assert asname == name
        assert getattr(oi_tfrecord, name) is getattr(importlib.import_module(str(module)), name)


@pytest.mark.parametrize("name", sorted(set(oi_tfrecord.__all__) - {"__version__"}))
def test_every_name_has_a_docstring(name: str) -> None:
    value = getattr(oi_tfrecord, name)
    assert value.__doc__
    if dataclasses.is_dataclass(value):
        assert not value.__doc__.startswith(f"{name}("), "dataclasses make this one"


def test_an_unknown_name_is_an_error() -> None:
    with pytest.raises(AttributeError, match="'convertt'"):
        oi_tfrecord.convertt  # noqa: B018


@pytest.fixture(scope="module")
def mypy_folder(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder outside of the repository, so that mypy sees the package as a user's mypy does."""
    return tmp_path_factory.mktemp("mypy")


def run_mypy(programs: Iterable[str], folder: pathlib.Path) -> tuple[int, str]:
    names = []
    for number, program in enumerate(programs):
        names.append(f"program_{number}.py")
        (folder / names[-1]).write_text(program)
    # The documents use packages that the tests do not need, such as PyTorch.
    options = ["--strict", "--config-file=", "--disable-error-code=import-not-found"]
    command = [sys.executable, "-m", "mypy", *options, *names]
    environment = small_release.environment() | {"MYPYPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_mypy_accepts_the_lines_of_users_and_of_the_documents(mypy_folder: pathlib.Path) -> None:
    documented = [block.text for page in pages() for block in blocks(page) if block.language == "python"]
    assert len(documented) >= 3
    code, printed = run_mypy([USER_LINES.read_text(), *documented], mypy_folder)
    assert code == 0, printed


def test_mypy_refuses_wrong_lines(mypy_folder: pathlib.Path) -> None:
    code, printed = run_mypy([WRONG_LINES], mypy_folder)
    assert code == 1, printed
    numbers = [int(line.split(":")[1]) for line in printed.splitlines() if ": error: " in line]
    assert numbers == [3, 4, 5, 6, 7], printed
