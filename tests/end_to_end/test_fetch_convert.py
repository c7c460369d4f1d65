"""From an empty folder to records: tables are downloaded from a mirror, and images read from a server."""

import pathlib
from collections.abc import Iterator

import pytest

from oi_tfrecord.cli.main import main
from tests.support.mirror import Fault, Mirror
from tests.support.mirror_release import publish_release


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> Iterator[Mirror]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with Mirror() as running:
        yield running


def records(folder: pathlib.Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.tfrecord-*")}


def test_fetch_prints_what_comes_and_where_it_is(
    mirror: Mirror, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = publish_release(mirror, tmp_path / "v7")
    arguments = ["fetch", "--config=v7", "--split=validation", f"--mirror={mirror.url}", f"--downloads={table}"]
    assert main([*arguments, f"--data_dir={tmp_path}/data"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"fetch      5 files to {tmp_path}/data: ")
    assert lines[-1] == f"tables     {tmp_path}/data"
    mirror.faults["/openimages/v5/validation-annotations-bbox.csv"] = [Fault(404)]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1].startswith(
        f"error: {mirror.url}/openimages/v5/validation-annotations-bbox.csv: "
    )


@pytest.mark.parametrize("release", ["v1", "v3", "v4", "v7"])
def test_converted_tables_are_those_of_the_release(mirror: Mirror, tmp_path: pathlib.Path, release: str) -> None:
    table = publish_release(mirror, tmp_path / release, release)
    sample = tmp_path / release / "sample"
    shared = [
        f"--config={release}", "--split=validation", f"--images={sample}/images/{{split}}/{{image_id}}.jpg",
        "--num_shards=2", "--max_rejects=100%",
    ]  # fmt: skip
    fetched = ["--fetch", f"--mirror={mirror.url}", f"--downloads={table}", f"--output_dir={tmp_path}/fetched"]
    assert main(["convert", *shared, *fetched]) == 0
    folder = next(path for path in sample.iterdir() if path.name != "images")
    assert main(["convert", *shared, f"--data_dir={folder}", f"--output_dir={tmp_path}/given"]) == 0
    assert records(tmp_path / "fetched") == records(tmp_path / "given") != {}
    assert (tmp_path / "cache" / "oi_tfrecord" / release).is_dir()


def test_nothing_comes_if_an_option_is_wrong(
    mirror: Mirror, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--config=v7", "--split=validation", "--fetch", f"--mirror={mirror.url}", "--output_dir=x"]
    assert main(["convert", *arguments]) == 1
    assert capsys.readouterr().err.startswith("error: images: ")
    assert mirror.requests == []
