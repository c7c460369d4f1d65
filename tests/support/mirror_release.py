"""A generated release on a mirror, under the published addresses."""

import csv
import hashlib
import io
import pathlib
import tarfile
import urllib.parse

from oi_tfrecord.openimages.demo.layouts import FOLDERS
from oi_tfrecord.openimages.demo.release import generate
from oi_tfrecord.settings.published_files import ARCHIVE_ENDING, COLUMNS, parse_published_files
from oi_tfrecord.settings.yaml_file import find_shipped_file
from tests.support.mirror import Mirror

SHIPPED = find_shipped_file("downloads.csv")
SPLITS = ("train", "validation")


def publish_release(mirror: Mirror, folder: pathlib.Path, release: str = "v7", images: int = 12) -> pathlib.Path:
    """Generates a release and puts its files and images on a mirror.

    Args:
        mirror: the server.
        folder: an empty folder for the release.
        release: its name.
        images: images of each split.

    Returns:
        A table of addresses with the sizes and checksums of the generated files, for `--downloads`.
    """
    generate(folder / "sample", release=release, train_images=images, validation_images=images)
    for path in (folder / "sample" / "images").rglob("*.jpg"):
        mirror.add_image(path.parent.name, path.name, path.read_bytes())
    rows = []
    for split in SPLITS:
        for file in parse_published_files(SHIPPED.read_bytes(), str(SHIPPED), release, split):
            paths = [_place(folder / "sample", release, name) for name in file.files]
            if not all(path.is_file() for path in paths):
                continue
            path = urllib.parse.urlsplit(file.url).path
            if path not in mirror.files or not file.url.endswith(ARCHIVE_ENDING):
                data = _archive_of(folder / "sample", release, file.files) if file.is_archive else paths[0].read_bytes()
                mirror.files[path] = data
            data = mirror.files[path]
            checksums = hashlib.md5(data).hexdigest(), hashlib.sha256(data).hexdigest()
            rows.append([release, split, " ".join(file.files), file.url, len(data), *checksums])
    table = folder / "downloads.csv"
    with open(table, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows([COLUMNS, *rows])
    return table


def _place(sample: pathlib.Path, release: str, name: str) -> pathlib.Path:
    """Returns where a generated release has a file that a fetch stores under a name."""
    folder = FOLDERS[release]
    places = [sample / folder / name, sample / name, *(sample / folder / split / name for split in SPLITS)]
    return next((place for place in places if place.is_file()), places[0])


def _archive_of(sample: pathlib.Path, release: str, names: tuple[str, ...]) -> bytes:
    """Returns a tar.gz of the files with these names of all splits, and of some that are not wanted."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:gz") as archive:
        for split in SPLITS:
            for name in names:
                other = name.replace("/validation/", f"/{split}/").replace("/train/", f"/{split}/")
                if (path := _place(sample, release, other)).is_file() and other not in archive.getnames():
                    archive.add(path, other)
        archive.addfile(tarfile.TarInfo("README"), io.BytesIO())
    return written.getvalue()
