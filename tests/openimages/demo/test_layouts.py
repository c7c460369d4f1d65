"""The layouts of the generated sample, against the published files where they are beside the repository."""

import csv
import pathlib

import pytest

from oi_tfrecord.openimages.demo.layouts import TableFile, class_files, format_table, table_files, values_of
from oi_tfrecord.openimages.release_headers import RELEASES
from oi_tfrecord.openimages.schema import Table
from tests.conftest import DATA

REAL = DATA / "real"
needs_real = pytest.mark.skipif(not (REAL / "v4").is_dir(), reason=f"the real rows are absent ({REAL})")
NAMES = {"/m/01": "Plain", "/m/0_2": 'Of, commas "and" quotes', "/m/03": "Crème"}
BOX = {
    "ImageID": "0123456789abcdef", "Source": "activemil", "LabelName": "/m/01", "Confidence": "1", "XMin": "0.1",
    "IsInside": "0", "XClick1X": "0.2",
}  # fmt: skip


@needs_real
@pytest.mark.parametrize(
    ("release", "split", "real"),
    [
        ("v1", "train", {Table.METADATA: "v1/train/images.csv", Table.MACHINE_LABELS: "v1/train/labels.csv"}),
        ("v2", "train", {
            Table.METADATA: "v2/train/images.csv", Table.BOXES: "v2/train/annotations-human-bbox.csv",
            Table.HUMAN_LABELS: "v2/train/annotations-human.csv",
            Table.MACHINE_LABELS: "v2/train/annotations-machine.csv",
        }),
        ("v2", "validation", {Table.BOXES: "v2/validation/annotations-human-bbox.csv"}),
        ("v3", "train", {Table.BOXES: "v3/train/annotations-human-bbox.csv"}),
        ("v3", "test", {
            Table.BOXES: "v3/test/annotations-human-bbox.csv", Table.HUMAN_LABELS: "v3/test/annotations-human.csv",
        }),
        ("v4", "train", {Table.BOXES: "v4/train-annotations-bbox.paired.csv"}),
        ("v4", "test", {Table.BOXES: "v4/test-annotations-bbox.sysaster-subset.csv"}),
        ("v6", "train", {
            Table.METADATA: "v6/heads/train-images-boxable-with-rotation.csv",
            Table.BOXES: "v6/heads/oidv6-train-annotations-bbox.csv",
            Table.HUMAN_LABELS: "v6/heads/train-annotations-human-imagelabels-boxable.csv",
        }),
        ("v6", "validation", {Table.BOXES: "v6/heads/validation-annotations-bbox.csv"}),
    ],
)  # fmt: skip
def test_headers_are_the_published_ones(release: str, split: str, real: dict[Table, str]) -> None:
    for table, path in real.items():
        first = next(file for file in table_files(release, split) if file.table is table)
        with (REAL / path).open(encoding="utf-8") as lines:
            assert ",".join(first.columns) + "\n" == next(lines)


@needs_real
def test_names_of_files_are_the_published_ones() -> None:
    with (REAL / "official_files_sizes_checksums.csv").open(encoding="utf-8", newline="") as lines:
        official = {row["path"].split(" ")[0].split("/")[-1] for row in csv.DictReader(lines)}
    for release, splits in {"v5": ("train", "validation", "test"), "v6": ("train", "validation", "test")}.items():
        for split in splits:
            for file in table_files(release, split):
                # The list has no file of the labels of all classes.
                if file.boxable_only or file.table in (Table.METADATA, Table.BOXES):
                    assert file.path in official
    for release in RELEASES[4:]:
        boxable = [path for path in class_files(release, NAMES, ["/m/01"], [], []) if "boxable" in path]
        assert set(boxable) <= official


def test_v7_calls_the_labels_of_validation_val() -> None:
    names = [file.path for file in table_files("v7", "validation")]
    assert "oidv7-val-annotations-human-imagelabels.csv" in names
    assert "validation-annotations-bbox.csv" in names


def test_v1_has_verified_labels_of_validation_only() -> None:
    tables = {split: [file.table for file in table_files("v1", split)] for split in ("train", "validation")}
    images_and_machine = [Table.METADATA, Table.MACHINE_LABELS]
    assert tables == {"train": images_and_machine, "validation": [*images_and_machine, Table.HUMAN_LABELS]}


def test_values_are_those_of_the_release() -> None:
    assert values_of("v2", Table.BOXES, BOX)["Source"] == "human"
    assert values_of("v3", Table.BOXES, BOX)["IsInside"] == "0"
    assert values_of("v4", Table.BOXES, BOX)["IsInside"] == "-1"
    assert values_of("v6", Table.BOXES, BOX)["XClick1X"] == "-1.0"
    drawn = BOX | {"Source": "xclick"}
    assert values_of("v6", Table.BOXES, drawn) == drawn
    assert values_of("v1", Table.HUMAN_LABELS, BOX)["Confidence"] == "1.0"
    assert values_of("v1", Table.MACHINE_LABELS, BOX) == BOX


@pytest.mark.parametrize(("release", "author"), [("v3", '"Ann"'), ("v4", "Ann")])
def test_texts_are_quoted_as_published(release: str, author: str) -> None:
    file = TableFile("a.csv", Table.METADATA, ("ImageID", "Author", "Title"))
    rows = [{"ImageID": "1", "Author": "Ann", "Title": 'so "it" is,\n'}]
    assert format_table(release, file, rows).decode() == f'ImageID,Author,Title\n1,{author},"so ""it"" is,\n"\n'


@needs_real
@pytest.mark.parametrize(
    ("release", "real"),
    [
        ("v1", "v1/dict.csv"),
        ("v4", "v4/class-descriptions-boxable.csv"),
        ("v5", "v5/class-descriptions-boxable.csv"),
        ("v6", "v6/oidv6-class-descriptions.csv"),
        ("v6", "v5/class-descriptions-boxable.csv"),
        ("v7", "v7/oidv7-class-descriptions-boxable.csv"),
    ],
)
def test_class_files_are_the_published_ones_in_small(release: str, real: str) -> None:
    """Made from the published names, a class file is the published one to the byte."""
    path = REAL / real
    with path.open(encoding="utf-8", newline="") as lines:
        names = {row[0]: row[1] for row in csv.reader(lines) if row[0] != "LabelName"}
    files = class_files(release, names, list(names), [], [])
    assert files[path.name] == path.read_bytes()


def test_v3_mixes_line_ends() -> None:
    names = {f"/m/{number}": "name" for number in range(20)}
    data = class_files("v3", names, ["/m/1"], ["/m/1", "/m/2"], ["/m/1"])
    assert 0 < data["class-descriptions.csv"].count(b"\r\n") < data["class-descriptions.csv"].count(b"\n") == 20
    assert data["classes-trainable.txt"] == b"/m/1\n/m/2\n"


@pytest.fixture(scope="module")
def described() -> dict[str, bytes]:
    return class_files("v7", NAMES, ["/m/01"], [], [])


def test_v7_class_files_have_a_header(described: dict[str, bytes], tmp_path: pathlib.Path) -> None:
    full = described["oidv7-class-descriptions.csv"].decode()
    assert full.splitlines()[0] == "LabelName,DisplayName"
    assert full.count("\r\n") == full.count("\n") == 4
    assert dict(csv.reader(full.splitlines()[1:])) == NAMES
