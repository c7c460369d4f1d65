"""MIAP, the boxes of people of Open Images Extended: flags of other names, and attributes."""

import csv
import json
import pathlib

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.errors import InputError
from tests.support.optional import tensorflow as tf
from tests.support.small_release import convert, records

LABELS = ["ImageID", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax"]
LABELS += ["IsOccluded", "IsTruncated", "IsGroupOf"]
GENDERS = ("Unknown", "Predominantly Feminine", "Predominantly Masculine", "")
AGES = ("Older", "Young", "Middle", "Unknown")


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A sample of V5, whose boxes are written as MIAP writes them."""
    folder = tmp_path_factory.mktemp("miap")
    assert main(["sample", f"--output_dir={folder}", "--release=v5", "--train_images=6", "--validation_images=2"]) == 0
    with (folder / "v5" / "train-annotations-bbox.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    header = [*LABELS, "IsDepictionOf", "IsInsideOf", "GenderPresentation", "AgePresentation"]
    boxes = [
        [*(row[name] for name in LABELS), number % 2, int(number % 3 == 0), GENDERS[number % 4], AGES[number % 4]]
        for number, row in enumerate(rows)
    ]
    write(folder, [header, *boxes])
    return folder


def write(folder: pathlib.Path, rows: list[list[object]]) -> None:
    with (folder / "v5" / "open_images_extended_miap_boxes_train.csv").open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)


def flags(release: pathlib.Path, output: pathlib.Path, *others: str) -> list[str]:
    images = f"--images={release}/images/train/{{image_id}}.jpg"
    return ["--config=miap", "--split=train", f"--data_dir={release}/v5", f"--output_dir={output}", images, *others]


def test_flags_and_attributes_are_in_the_keys_that_readers_know(release: pathlib.Path, tmp_path: pathlib.Path) -> None:
    assert convert(flags(release, tmp_path, "--extra_keys=attributes,inside")) == 0
    with (release / "v5" / "open_images_extended_miap_boxes_train.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    count = 0
    for record in records(tmp_path):
        features = tf.train.Example.FromString(record).features.feature
        own = [row for row in rows if row["ImageID"] == features["image/source_id"].bytes_list.value[0].decode()]
        count += len(own)
        for key, column in (("depiction", "IsDepictionOf"), ("inside", "IsInsideOf")):
            assert list(features[f"image/object/{key}"].int64_list.value) == [int(row[column]) for row in own]
        genders = [GENDERS.index(row["GenderPresentation"]) % 3 for row in own]
        assert list(features["image/object/attribute/gender_presentation"].int64_list.value) == genders
        ages = [("Unknown", "Young", "Middle", "Older").index(row["AgePresentation"]) for row in own]
        assert list(features["image/object/attribute/age_presentation"].int64_list.value) == ages
    assert count == len(rows)


def test_an_attribute_of_an_unknown_value_is_rejected(release: pathlib.Path, tmp_path: pathlib.Path) -> None:
    table = release / "v5" / "open_images_extended_miap_boxes_train.csv"
    bad = tmp_path / "boxes.csv"
    bad.write_text(table.read_text().replace("Older", "Elderly", 1))
    assert convert(flags(release, tmp_path / "out", f"--boxes={bad}", "--max_rejects=100%")) == 0
    [row] = csv.DictReader((tmp_path / "out" / "rejects-train.csv").open(newline=""))
    assert (row["Reason"], row["Detail"]) == ("bad_attribute", "AgePresentation='Elderly'")


@pytest.mark.parametrize(
    ("name", "other", "known"),
    [
        ("IsGroupOf", "IsGroupof", "IsGroupOf"),
        ("IsInsideOf", "inside", "IsInside"),
        ("Confidence", "confidence", "Conf"),
    ],
)
def test_a_column_of_nearly_a_known_name_is_an_error(
    release: pathlib.Path, name: str, other: str, known: str, tmp_path: pathlib.Path
) -> None:
    table = release / "v5" / "open_images_extended_miap_boxes_train.csv"
    changed = tmp_path / "boxes.csv"
    changed.write_text(table.read_text().replace(name, other, 1))
    with pytest.raises(InputError, match=f"the column '{other}' is not read, .* of the column '{known}"):
        convert(flags(release, tmp_path / "out", f"--boxes={changed}"))


def test_a_group_of_extra_keys_without_its_column_is_warned_of(release: pathlib.Path, tmp_path: pathlib.Path) -> None:
    boxes = f"--boxes={release}/v5/train-annotations-bbox.csv"
    assert convert(flags(release, tmp_path, boxes)) == 0
    [manifest] = json.loads((tmp_path / "manifest.json").read_bytes())["splits"].values()
    columns = "GenderPresentation, AgePresentation, which --extra_keys=attributes needs"
    assert [text for text in manifest["warnings"] if text.endswith(columns)]
