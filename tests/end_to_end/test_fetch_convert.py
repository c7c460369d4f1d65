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


def test_one_command_makes_records_of_chosen_classes_from_an_empty_folder(
    mirror: Mirror, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = publish_release(mirror, tmp_path / "v7", images=24)
    # The server fails now and then.
    mirror.faults["/openimages/v5/validation-annotations-bbox.csv"] = [Fault(503), Fault(sent=500), Fault(429)]
    for path in [path for path in mirror.files if path.startswith("/validation/")][::5]:
        mirror.faults[path] = [Fault(503), Fault(sent=100)]
    names = ["Cat", "Dog", "Person", "Car", "Tree", "Flower"]
    shipped = (tmp_path / "v7" / "sample" / "v7" / "oidv7-class-descriptions-boxable.csv").read_text()
    classes = [name for name in names if f",{name}" in shipped] or [shipped.splitlines()[1].partition(",")[2]]
    common = [
        "convert", "--config=v7", "--split=validation", "--fetch", f"--mirror={mirror.url}", f"--downloads={table}",
        f"--classes={','.join(classes)}", "--max_images=5", "--max_rejects=100%", "--num_shards=2",
    ]  # fmt: skip
    web = ["--images=" + mirror.url + "/{split}/{image_id}.jpg", f"--image_cache={tmp_path}/images"]
    assert main([*common, *web, f"--output_dir={tmp_path}/web"]) == 0
    output = capsys.readouterr()
    assert f"tables     {tmp_path}/cache/oi_tfrecord/v7" in output.err
    asked = {request.path for request in mirror.requests if request.path.startswith("/validation/")}
    assert 0 < len({request.path for request in mirror.requests if request.method == "GET"} & asked) <= 24

    # The bucket, without credentials, gives the same records; so does the cache, without a request.
    endpoint = [f"--s3_endpoint_url={mirror.url}", "--s3_region_name=us-east-1"]
    assert main([*common, "--images=cvdf", *endpoint, f"--output_dir={tmp_path}/cvdf"]) == 0
    assert not any("authorization" in request.headers for request in mirror.requests)
    mirror.requests.clear()
    assert main([*common, *web, f"--output_dir={tmp_path}/again"]) == 0
    assert not any(request.method == "GET" and request.path.startswith("/validation/") for request in mirror.requests)
    assert records(tmp_path / "web") == records(tmp_path / "cvdf") == records(tmp_path / "again") != {}


def test_download_takes_the_choices_and_the_sources_of_convert(
    mirror: Mirror, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = publish_release(mirror, tmp_path / "v7", images=24)
    shared = ["--config=v7", "--split=validation", f"--data_dir={tmp_path}/data"]
    assert main(["fetch", *shared, f"--mirror={mirror.url}", f"--downloads={table}"]) == 0
    endpoint = [f"--s3_endpoint_url={mirror.url}", "--s3_region_name=us-east-1"]
    chosen = [*shared, "--images=cvdf", *endpoint, "--max_images=6"]
    folder = tmp_path / "images"
    # A host that does not answer is an error before images are read, which would be tried for a minute.
    assert main(["download", *chosen, "--s3_endpoint_url=http://127.0.0.1:1", f"--output_dir={folder}"]) == 1
    assert "its host does not answer" in capsys.readouterr().err
    mirror.requests.clear()
    assert main(["download", *chosen, f"--output_dir={folder}"]) == 0
    names = sorted(path.name for path in folder.glob("*.jpg"))
    assert len(names) == 6
    assert set(mirror.gets()) == {f"/open-images-dataset/validation/{name}" for name in names}
    assert len(mirror.requests) == 7
    # These are the images of the records.
    assert main(["convert", *chosen, f"--output_dir={tmp_path}/bucket", "--num_shards=2"]) == 0
    local = [*shared, f"--images={folder}/{{image_id}}.jpg", "--max_images=6", "--num_shards=2"]
    assert main(["convert", *local, f"--output_dir={tmp_path}/files"]) == 0
    assert records(tmp_path / "bucket") == records(tmp_path / "files") != {}

    # An image that is gone, and a page of a proxy in its place; images that are there are kept.
    (folder / names[0]).unlink()
    (folder / names[1]).unlink()
    del mirror.files[f"/open-images-dataset/validation/{names[0]}"]
    mirror.files[f"/open-images-dataset/validation/{names[1]}"] = b"<html>Please log in</html>"
    assert main(["download", *chosen, f"--output_dir={folder}"]) == 2
    failures = (folder / "failures.csv").read_text()
    assert failures.count("image_missing") == 1
    assert "no image: first bytes b'<html>Please log'" in failures
    assert sorted(path.name for path in folder.glob("*.jpg")) == names[2:]


def test_a_download_ends_soon_if_the_store_begins_to_refuse_access(
    mirror: Mirror, tmp_path: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = publish_release(mirror, tmp_path / "v7", images=24)
    shared = ["--config=v7", "--split=validation", f"--data_dir={tmp_path}/data"]
    assert main(["fetch", *shared, f"--mirror={mirror.url}", f"--downloads={table}"]) == 0
    for path in [path for path in mirror.files if path.startswith("/open-images-dataset/validation/")][1::2]:
        mirror.faults[path] = [Fault(403, body=b"<Error><Code>AccessDenied</Code></Error>")]
    flags = ["--images=cvdf", f"--s3_endpoint_url={mirror.url}", "--s3_region_name=us-east-1"]
    capsys.readouterr()
    assert main(["download", *shared, *flags, f"--output_dir={tmp_path}/images", "--fetch_connections=1"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: s3://open-images-dataset/validation/")
    assert "access is denied" in error
    assert not (tmp_path / "images" / "success.csv").exists()
