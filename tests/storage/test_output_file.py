import os
import pathlib

import pytest

from oi_tfrecord import storage
from oi_tfrecord.errors import ConfigError


@pytest.mark.parametrize("spelling", ["a.csv", "./a.csv", "sub/../a.csv", ".//a.csv", "{folder}/a.csv", "soft", "hard"])
def test_an_output_that_is_an_input_is_refused_in_every_spelling(
    spelling: str, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.csv").write_text("rows")
    (tmp_path / "sub").mkdir()
    (tmp_path / "soft").symlink_to(tmp_path / "a.csv")
    os.link(tmp_path / "a.csv", tmp_path / "hard")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"output: a\.csv is read by this command, and would be replaced"):
        storage.refuse_inputs("output", spelling.format(folder=tmp_path), ["", "none", "a.csv"])
    storage.refuse_inputs("output", "b.csv", ["", "none", "a.csv", "sub"])


def test_an_object_that_is_an_input_is_refused() -> None:
    with pytest.raises(ConfigError, match="would be replaced"):
        storage.refuse_inputs("output", "s3://bucket//a/../b.csv", ["S3://bucket/b.csv"])
    storage.refuse_inputs("output", "s3://bucket/b.csv", ["gs://bucket/b.csv"])


def test_only_a_file_with_the_same_first_line_is_replaced(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "a.csv"
    storage.write_output("output", str(path), b"id,name\n1,a\n")
    storage.write_output("output", str(path), b"id,name\n2,b\n")
    assert path.read_bytes() == b"id,name\n2,b\n"
    path.write_bytes(b"id\n7\n")
    with pytest.raises(ConfigError, match=r"a\.csv is there already, and this command did not write it"):
        storage.write_output("output", str(path), b"id,name\n1,a\n")
    assert path.read_bytes() == b"id\n7\n"
    path.write_bytes(b"")
    storage.write_output("output", str(path), b"id,name\n3,c\n")
    storage.write_text(str(path), b"of another kind")
    assert path.read_bytes() == b"of another kind"
