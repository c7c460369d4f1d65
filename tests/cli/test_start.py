"""What a command must not import before it works: each of these modules takes longer than the command itself."""

import json
import pathlib
import subprocess
import sys

import pytest

from oi_tfrecord.cli.main import main
from tests.conftest import convert_arguments
from tests.support import small_release

BEAM = {"apache_beam", "grpc", "pandas", "tensorflow", "pymongo", "fastavro", "google.api_core"}
NUMBERS = {"numpy", "pyarrow", "yaml", "obstore", "PIL", "asyncio", "importlib.metadata"}


@pytest.fixture(scope="module")
def records(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("records")
    assert main(["convert", *convert_arguments(sample, folder)]) == 0
    return folder


def loaded_by(*arguments: object) -> set[str]:
    """Returns the modules that a command has loaded in a fresh interpreter when it ends."""
    program = (
        "import sys\nfrom oi_tfrecord.cli.main import main\nmain()\n"
        "import json\nprint('\\n' + json.dumps(list(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=small_release.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("arguments", "forbidden"),
    [
        (("--help",), BEAM | NUMBERS),
        (("show", "--help"), BEAM),
        (("convert", "--help"), BEAM),
        (("convert", "--hlep"), BEAM),
    ],
)
def test_help_and_misspelt_flags_load_little(arguments: tuple[str, ...], forbidden: set[str]) -> None:
    assert not loaded_by(*arguments) & forbidden


@pytest.mark.parametrize("command", ["show", "verify"])
def test_looking_at_records_loads_no_beam(command: str, records: pathlib.Path) -> None:
    assert not loaded_by(command, records) & BEAM


def test_a_conversion_loads_no_beam(sample: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert not loaded_by("convert", *convert_arguments(sample, tmp_path / "out")) & BEAM
    assert (tmp_path / "out" / "manifest.json").exists()
