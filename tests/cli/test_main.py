import subprocess
import sys

import pytest

from oi_tfrecord import __version__
from oi_tfrecord.cli.main import main
from tests.support import small_release


@pytest.mark.parametrize("arguments", [[], ["help"], ["--help"], ["-h"]])
def test_help_lists_the_commands(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert "\n  convert " in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["help", "sample"], ["sample", "--help"], ["sample", "--seed=1", "-h"]])
def test_help_of_a_command(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr().out.startswith("usage: oi-tfrecord sample --output_dir=TEXT [FLAGS]\n")


def test_the_version_is_that_of_the_package() -> None:
    command = [sys.executable, "-m", "oi_tfrecord", "--version"]
    done = subprocess.run(command, env=small_release.environment(), capture_output=True, text=True, check=True)
    assert done.stdout == f"oi-tfrecord {__version__}\n"


@pytest.mark.parametrize("arguments", [["conver"], ["help", "conver"]])
def test_an_unknown_command_is_an_error_that_names_the_nearest(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    assert capsys.readouterr().err == "error: 'conver' is not a command; did you mean 'convert'?\n"


@pytest.mark.parametrize(("given", "meant"), [("--hlep", "--help"), ("--versoin", "--version")])
def test_a_misspelt_flag_in_place_of_a_command_gets_its_hint(
    given: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([given]) == 1
    assert capsys.readouterr().err == f"error: {given!r} is not a command; did you mean {meant!r}?\n"
