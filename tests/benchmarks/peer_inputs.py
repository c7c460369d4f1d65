"""Lays a release of `make_images` out as a peer wants it."""

import csv
import pathlib
import shutil

from .make_images import SPLIT

_FLAGS = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside")
_UNKNOWN = "-1"


def make_datumaro_input(release: pathlib.Path, folder: pathlib.Path) -> None:
    """Makes the folder that Datumaro's `open_images` reads, with the release's images linked to.

    Datumaro 1.13 knows the tables of Open Images V5 and later only: other file names, a Rotation column in the metadata
    and five flags on each box, without which it stops with a KeyError. Here a flag is -1, which is "unknown" there.

    Args:
        release: folder that `make_release` wrote.
        folder: where to write; replaced.
    """
    tables, annotations, images = release / "2017_11", folder / "annotations", folder / "images" / SPLIT
    shutil.rmtree(folder, ignore_errors=True)
    annotations.mkdir(parents=True)
    images.mkdir(parents=True)
    for path in (release / "images" / SPLIT).iterdir():
        (images / path.name).symlink_to(path.resolve())
    shutil.copy(tables / "class-descriptions.csv", annotations)
    labels = annotations / f"{SPLIT}-annotations-human-imagelabels.csv"
    shutil.copy(tables / SPLIT / "annotations-human.csv", labels)
    _add_columns(tables / SPLIT / "images.csv", annotations / "image_ids_and_rotation.csv", {"Rotation": ""})
    boxes = annotations / f"{SPLIT}-annotations-bbox.csv"
    _add_columns(tables / SPLIT / "annotations-human-bbox.csv", boxes, dict.fromkeys(_FLAGS, _UNKNOWN))


def _add_columns(source: pathlib.Path, target: pathlib.Path, more: dict[str, str]) -> None:
    with source.open(encoding="utf-8", newline="") as read, target.open("w", encoding="utf-8", newline="") as written:
        rows = csv.reader(read)
        writer = csv.writer(written, lineterminator="\n")
        writer.writerow([*next(rows), *more])
        writer.writerows([*row, *more.values()] for row in rows)
