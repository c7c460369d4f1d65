"""Headers of the releases, against files where they are beside the repository."""

import pathlib

import pytest

from oi_tfrecord.openimages.release_headers import RELEASES, other_releases
from oi_tfrecord.openimages.schema import Table
from tests.conftest import DATA

REAL = DATA / "real"
needs_real = pytest.mark.skipif(not (REAL / "v4").is_dir(), reason=f"the real rows are absent ({REAL})")


def header(path: pathlib.Path) -> list[str]:
    with path.open(encoding="utf-8") as lines:
        return next(lines).strip().split(",")


@needs_real
@pytest.mark.parametrize(
    ("file", "table", "split", "own"),
    [
        ("v1/train/images.csv", Table.METADATA, "train", "v1 v2 v3 v4"),
        ("v3/train/images.csv", Table.METADATA, "train", "v1 v2 v3 v4"),
        ("v6/heads/train-images-boxable-with-rotation.csv", Table.METADATA, "train", "v4 v5 v6 v7"),
        ("v2/train/annotations-human-bbox.csv", Table.BOXES, "train", "v2 v3"),
        ("v3/test/annotations-human-bbox.csv", Table.BOXES, "test", "v2 v3 v4 v5 v6 v7"),
        ("v4/train-annotations-bbox.paired.csv", Table.BOXES, "train", "v2 v3 v4 v5 v6 v7"),
        ("v4/test-annotations-bbox.sysaster-subset.csv", Table.BOXES, "test", "v2 v3 v4 v5 v6 v7"),
        ("v6/heads/oidv6-train-annotations-bbox.csv", Table.BOXES, "train", "v6 v7"),
        ("v6/heads/validation-annotations-bbox.csv", Table.BOXES, "validation", "v2 v3 v4 v5 v6 v7"),
    ],
)
def test_a_file_has_the_header_of_its_own_releases(file: str, table: Table, split: str, own: str) -> None:
    names = header(REAL / file)
    for release in RELEASES:
        others = other_releases(release, table, names, split)
        if release in own.split() or (release == "v1" and table is Table.BOXES):
            assert others == []
        else:
            assert others == own.split()


def test_an_unknown_header_is_of_no_release() -> None:
    for release in (*RELEASES, "mine"):
        assert other_releases(release, Table.BOXES, ["ImageID", "Mine"], "train") == []
