"""The rooms of the package: import-linter checks their order (`pyproject.toml`), these tests what they load."""

import ast
import json
import pathlib
import shutil
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY
from tests.support.optional import require

PACKAGE = REPOSITORY / "oi_tfrecord"
ROOMS = sorted(path for path in PACKAGE.iterdir() if (path / "__init__.py").exists())
PURE = ("openimages", "records", "images", "join", "settings")
READERS = {
    "RecordDataset": "from oi_tfrecord import RecordDataset",
    "show": "import oi_tfrecord.explore.show",
    "report": "import oi_tfrecord.explore.report.write_report",
    "export": "import oi_tfrecord.explore.export.write_tables",
    "evaluate": "import oi_tfrecord.evaluation.evaluate",
    "browse": "import oi_tfrecord.explore.browse.server",
    "verify": "import oi_tfrecord.verification.verify",
}


def modules_of(room: pathlib.Path) -> list[str]:
    """Returns the dotted names of the modules of a room."""
    paths = (path.relative_to(REPOSITORY).with_suffix("") for path in room.rglob("*.py"))
    return sorted(".".join(path.parts).removesuffix(".__init__") for path in paths)


def loaded_by(statement: str) -> set[str]:
    """Returns the modules that a fresh interpreter has loaded after a statement."""
    program = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def check_imports(root: pathlib.Path) -> subprocess.CompletedProcess[str]:
    """Runs import-linter on a checkout."""
    program = "import sys; from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", program, "--no-logo", "--no-cache"]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)


def test_rooms_hold_at_least_5_files_and_a_folder_at_most_25() -> None:
    assert 10 <= len(ROOMS) <= 16
    sizes = {room.name: sum(path.name != "__init__.py" for path in room.rglob("*.py")) for room in ROOMS}
    assert all(size >= 5 for size in sizes.values()), sizes
    folders = {path.parent for path in PACKAGE.rglob("*.py")} - {PACKAGE}
    files = {folder.name: sum(path.name != "__init__.py" for path in folder.glob("*.py")) for folder in folders}
    assert all(count <= 25 for count in files.values()), files


def test_only_errors_reasons_and_the_public_face_stand_outside_of_the_rooms() -> None:
    assert {path.name for path in PACKAGE.glob("*.py")} == {"__init__.py", "__main__.py", "errors.py", "reasons.py"}


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.name)
def test_each_room_states_its_idea_in_a_line(room: pathlib.Path) -> None:
    stated = ast.get_docstring(ast.parse((room / "__init__.py").read_text(encoding="utf-8")))
    assert stated
    assert "\n" not in stated


def test_imports_go_down_and_a_wrong_import_is_found(tmp_path: pathlib.Path) -> None:
    require("importlinter")
    assert check_imports(REPOSITORY).returncode == 0
    shutil.copytree(PACKAGE, tmp_path / "oi_tfrecord", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    with (tmp_path / "oi_tfrecord" / "records" / "label_map.py").open("a", encoding="utf-8") as file:
        file.write("\nfrom oi_tfrecord.dataset import manifest  # noqa: E402, F401\n")
    done = check_imports(tmp_path)
    assert done.returncode == 1
    assert "oi_tfrecord.records is not allowed to import oi_tfrecord.dataset" in done.stdout


@pytest.mark.parametrize("room", PURE)
def test_a_pure_room_loads_neither_beam_nor_tensorflow(room: str) -> None:
    names = modules_of(PACKAGE / room)
    loaded = loaded_by("\n".join(f"import {name}" for name in names))
    assert set(names) <= loaded
    assert not loaded & {"apache_beam", "tensorflow"}


@pytest.mark.parametrize("reader", sorted(READERS))
def test_a_reader_loads_no_module_of_the_writer(reader: str) -> None:
    loaded = {name for name in loaded_by(READERS[reader]) if name.startswith("oi_tfrecord.")}
    assert loaded
    assert not [name for name in loaded if name.startswith("oi_tfrecord.conversion")]


def test_record_dataset_loads_few_modules() -> None:
    loaded = [name for name in loaded_by(READERS["RecordDataset"]) if name.startswith("oi_tfrecord")]
    modules = [name for name in loaded if not (REPOSITORY / name.replace(".", "/") / "__init__.py").exists()]
    assert len(modules) <= 20, modules
