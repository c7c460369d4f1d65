"""Conversions of images by URL: downloaded while shards are written, or stored by `download` before."""

import csv
import pathlib
from collections.abc import Iterator

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.openimages.demo.release import generate
from oi_tfrecord.reasons import Reject
from tests.support.image_server import ImageServer, body, redirect, status


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ImageServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with ImageServer() as running:
        yield running


def read_csv(path: pathlib.Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


class Sample:
    """The generated sample, its URLs moved to the loopback server, in a folder of its own."""

    def __init__(self, server: ImageServer, folder: pathlib.Path):
        self.folder = folder
        generate(folder / "data", train_images=1, validation_images=12)
        self.metadata = folder / "data" / "2017_11" / "validation" / "images.csv"
        text = self.metadata.read_text(encoding="utf-8")
        self.metadata.write_text(text.replace("https://example.com", server.url("")), encoding="utf-8")
        images = sorted((folder / "data" / "images" / "validation").glob("*.jpg"))
        server.files |= {f"/images/validation/{path.name}": path.read_bytes() for path in images}

    def convert(self, name: str, *more: str) -> int:
        arguments = [
            "convert", "--config=v3", "--split=validation", f"--data_dir={self.folder}/data/2017_11",
            f"--output_dir={self.folder}/{name}", "--num_shards=2", "--select=all", *more,
        ]  # fmt: skip
        return main(arguments)

    def records(self, name: str) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.folder / name).glob("*.tfrecord-*")}


@pytest.fixture
def sample(server: ImageServer, tmp_path: pathlib.Path) -> Sample:
    return Sample(server, tmp_path)


@pytest.mark.parametrize("driver", ["metadata", "boxes"])
def test_records_from_urls_equal_those_from_files(server: ImageServer, sample: Sample, driver: str) -> None:
    pattern = f"--images={sample.folder}/data/images/{{split}}/{{image_id}}.jpg"
    more = [f"--driver={driver}", "--max_rejects=100%"]
    assert sample.convert("files", pattern, *more) == 0
    cache = f"--image_cache={sample.folder}/cache"
    assert sample.convert("urls", "--image_urls=original", cache, *more) == 0
    expected = sample.records("files")
    assert len(expected) == 2
    assert sample.records("urls") == expected
    assert set(server.counts.values()) == {1}

    # A rerun takes all that it can from the cache.
    server.requests.clear()
    assert sample.convert("again", "--image_urls=original", cache, *more) == 0
    assert sample.records("again") == expected
    assert not server.counts.keys() & server.files.keys()


@pytest.mark.parametrize("layout", ["url", "image_id"])
def test_records_from_downloaded_files_equal_those_from_urls(server: ImageServer, sample: Sample, layout: str) -> None:
    cache = f"--image_cache={sample.folder}/cache"
    assert sample.convert("urls", "--image_urls=original", cache, "--max_rejects=100%") == 0
    downloaded = [
        "download", "--config=v3", "--split=validation", f"--data_dir={sample.folder}/data/2017_11",
        "--image_urls=original", f"--output_dir={sample.folder}/had/validation", f"--layout={layout}",
        "--max_rejects=100%",
    ]  # fmt: skip
    assert main(downloaded) == 0
    where = "--url_folders={}/had/{{split}}" if layout == "url" else "--images={}/had/{{split}}/{{image_id}}.jpg"
    assert sample.convert("had", where.format(sample.folder), "--max_rejects=100%") == 0
    assert sample.records("had") == sample.records("urls")


def test_downloads_that_fail_are_listed_with_their_status(server: ImageServer, sample: Sample) -> None:
    # Not the files of the sample that are broken on purpose.
    pattern = f"--images={sample.folder}/data/images/{{split}}/{{image_id}}.jpg"
    assert sample.convert("files", pattern, "--max_rejects=100%") == 0
    bad = {item["ImageID"] for item in read_csv(sample.folder / "files" / "rejects-validation.csv")}
    paths = [path for path in sorted(server.files) if path[-20:-4] not in bad]
    for path, script in zip(
        paths, ([status(404)], [redirect("/photo_unavailable_l.png")], [body(b"x")], [status(500)] * 9), strict=False
    ):
        server.scripts[path] = script
    urls = ["--image_urls=original", f"--image_cache={sample.folder}/cache", "--fetch_attempts=2"]
    assert sample.convert("urls", *urls, "--max_rejects=0") == 2
    rejects = {item["ImageID"]: item for item in read_csv(sample.folder / "urls" / "rejects-validation.csv")}
    found = [rejects[path[-20:-4]] for path in paths[:4]]
    assert [(item["Table"], item["Reason"], item["Detail"][:8]) for item in found] == [
        ("images", Reject.IMAGE_UNAVAILABLE, "HTTP 404"),
        ("images", Reject.IMAGE_UNAVAILABLE, "HTTP 302"),
        ("images", Reject.CHECKSUM_MISMATCH, "HTTP 200"),
        ("images", Reject.DOWNLOAD_FAILED, "HTTP 500"),
    ]
    assert [item["File"] for item in found] == [server.url(path) for path in paths[:4]]


@pytest.mark.parametrize(
    ("more", "field"),
    [
        (["--images=x/{image_id}.jpg", "--image_urls=original", "--image_cache=c"], "image_urls"),
        (["--url_folders=x", "--image_urls=original", "--image_cache=c"], "url_folders"),
        (["--image_urls=original"], "image_cache"),
        (["--image_urls=original", "--image_cache=gs://b/c"], "image_cache"),
        (["--image_urls=original", "--image_cache=c", "--metadata="], "metadata"),
        (["--url_folders=x", "--metadata="], "metadata"),
        (["--url_folders=x", "--metadata=nowhere.csv", "--driver=boxes"], "metadata"),
        ([], "images"),
    ],
)
def test_convert_names_the_field_to_correct(
    sample: Sample, more: list[str], field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sample.convert("out", *more) == 1
    assert capsys.readouterr().err.startswith(f"error: {field}: ")


@pytest.mark.parametrize("more", [["--image_urls=original", "--image_cache=c"], ["--url_folders=x"]], ids=str)
def test_convert_names_a_metadata_file_without_urls(
    sample: Sample, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    text = sample.metadata.read_text(encoding="utf-8")
    sample.metadata.write_text(text.replace("OriginalURL", "Somewhere", 1), encoding="utf-8")
    assert sample.convert("out", *more) == 1
    error = capsys.readouterr().err
    assert str(sample.metadata) in error
    assert "OriginalURL" in error


def test_a_dry_run_downloads_nothing(server: ImageServer, sample: Sample) -> None:
    urls = ["--image_urls=original", f"--image_cache={sample.folder}/cache"]
    assert sample.convert("urls", *urls, "--max_rejects=100%", "--dry_run") == 0
    assert not server.requests
