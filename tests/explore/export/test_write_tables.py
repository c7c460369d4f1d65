import pathlib
import sys

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.explore.export.write_tables import ExportOptions


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--to=DIR", "--schema=mine"], "schema: is for PostgreSQL"),
        (["--to=DIR", "--split=test"], "no split 'test'. There are: train, validation"),
        (["--to=DIR", "--shcema=x"], "shcema: is not a flag"),
        ([], "--to"),
    ],
)
def test_a_wrong_flag_is_one_line(
    flags: list[str], problem: str, exportable: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [flag.replace("DIR", str(tmp_path / "tables")) for flag in flags]
    assert main(["export", str(exportable), *flags]) == 1
    error = capsys.readouterr().err
    assert problem in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "tables").exists()


def test_records_that_are_not_there_are_an_error(tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(tmp_path), f"--to={tmp_path / 'tables'}"]) == 1
    assert "there are no records" in capsys.readouterr().err
    assert main(["export", str(tmp_path), "--to=postgresql:///nowhere"]) == 1
    assert "there are no records" in capsys.readouterr().err


def test_a_folder_that_is_a_file_is_an_error(
    exportable: pathlib.Path, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert main(["export", str(exportable), f"--to={tmp_path / 'file'}"]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_without_psycopg_the_error_says_what_to_install(
    exportable: pathlib.Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert main(["export", str(exportable), "--to=postgresql:///nowhere"]) == 1
    assert "pip install 'psycopg[binary]" in capsys.readouterr().err


def test_names_of_schemas_are_bounded() -> None:
    ExportOptions("records", "postgres://host/database", "ä" * 31)
    for name in ("ä" * 32, "a\0"):
        with pytest.raises(ConfigError, match="63 bytes"):
            ExportOptions("records", "postgres://host/database", name)
