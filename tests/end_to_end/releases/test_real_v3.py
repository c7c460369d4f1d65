"""Real Open Images V3 rows and images, where they are beside the repository."""

import hashlib
import pathlib
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.conftest import DATA, Converted
from tests.support.dataset_rows import read_list, read_rows, rows_by_image

REAL = DATA / "real"
COMPLETE = ("000002b66c9c498e", "000002b97e5471a0", "000002c707c9895e")
BBOX = ("YMin", "XMin", "YMax", "XMax")

pytestmark = pytest.mark.skipif(
    not (REAL / "v3_official").is_dir(), reason=f"the real V3 rows are absent ({REAL / 'v3_official'})"
)


def table(name: str, split: str, file: str) -> pathlib.Path:
    return REAL / "v3_official" / name / "2017_11" / split / file


def held() -> set[str]:
    return {path.stem for path in (REAL / "images").glob("*.jpg")}


def trainable() -> list[str]:
    return read_list(REAL / "v3_official/classes/2017_11/classes-bbox-trainable.txt")


def listed_as_missing(result: Converted, split: str) -> list[str]:
    """ImageIDs of the rejects file, sorted; each entry must be that of an image without a file."""
    entries = result.rejects(split)
    assert [entry[:5] for entry in entries] == [
        ["images", str(REAL / "images" / f"{entry[3]}.jpg"), "", entry[3], "image_missing"] for entry in entries
    ]
    return sorted(entry[3] for entry in entries)


@pytest.fixture
def convert_real(run: Callable[..., Converted], tmp_path: pathlib.Path) -> Callable[..., Converted]:
    def convert(*flags: str, split: str = "train") -> Converted:
        return run(
            REAL, tmp_path / "out", f"--data_dir={REAL / 'v3_official'}", f"--images={REAL}/images/{{image_id}}.jpg",
            *flags, split=split,
        )  # fmt: skip

    return convert


@pytest.mark.parametrize(("split", "with_pixels"), [("train", 23), ("validation", 4)])
def test_every_held_image_becomes_a_record_and_every_other_a_reject(
    convert_real: Callable[..., Converted], split: str, with_pixels: int
) -> None:
    result = convert_real("--select=all", "--max_rejects=100%", split=split)
    images = [row["ImageID"] for row in read_rows(table("images", split, "images.csv"))]
    assert len(set(images) & held()) == with_pixels
    assert result.code == 0, result.err
    manifest = result.manifest(split)
    assert manifest["images"] == {
        "selected": len(images),
        "records": with_pixels,
        "rejected": {"image_missing": len(images) - with_pixels},
        "not_selected": 0,
        "balanced": True,
    }
    assert manifest["balanced"]
    assert listed_as_missing(result, split) == sorted(set(images) - held())
    mids = trainable()
    for name, folder, file in (
        ("boxes", "annotations_human_bbox", "annotations-human-bbox.csv"),
        ("human_labels", "annotations_human", "annotations-human.csv"),
    ):
        rows = read_rows(table(folder, split, file))
        kept = [row for row in rows if row["LabelName"] in mids]
        written = [row for row in kept if row["ImageID"] in held()]
        assert manifest["tables"][name] == {
            "rows_read": len(rows),
            "written": len(written),
            "rejected": {"image_rejected": len(kept) - len(written)} if len(kept) > len(written) else {},
            "dropped": {"class_not_in_label_map": len(rows) - len(kept)} if len(rows) > len(kept) else {},
            "balanced": True,
        }


# All 23 held train images have a box, and one of the four held validation images.
@pytest.mark.parametrize(("split", "with_pixels"), [("train", 23), ("validation", 1)])
def test_of_boxed_images_too_those_held_become_records(
    convert_real: Callable[..., Converted], split: str, with_pixels: int
) -> None:
    result = convert_real("--select=boxed", "--max_rejects=100%", split=split)
    assert result.code == 0, result.err
    images = {row["ImageID"] for row in read_rows(table("images", split, "images.csv"))}
    boxes = read_rows(table("annotations_human_bbox", split, "annotations-human-bbox.csv"))
    boxed = {row["ImageID"] for row in boxes if row["LabelName"] in trainable()} & images
    missing = sorted(boxed - held())
    assert len(boxed & held()) == with_pixels
    assert result.manifest(split)["images"] == {
        "selected": len(boxed),
        "records": with_pixels,
        "rejected": {"image_missing": len(missing)} if missing else {},
        "not_selected": len(images - boxed),
        "balanced": True,
    }
    assert result.manifest(split)["balanced"]
    assert listed_as_missing(result, split) == missing


def test_too_many_rejects_fail_the_command_and_say_so(convert_real: Callable[..., Converted]) -> None:
    result = convert_real("--select=all")
    images = {row["ImageID"] for row in read_rows(table("images", "train", "images.csv"))}
    assert result.code == 2
    assert f"image_missing {len(images - held())}" in result.err
    assert "--max_rejects" in result.err
    assert result.manifest()["images"]["records"] == len(images & held())


def test_complete_images_hold_exactly_their_rows(
    convert_real: Callable[..., Converted], od_read: Callable[..., tuple[list[dict[str, Any]], dict[str, Any]]]
) -> None:
    result = convert_real("--max_rejects=100%", "--extra_keys=machine_labels,box_source,label_source")
    ids = {mid: number for number, mid in enumerate(trainable(), 1)}
    records, _ = od_read(result.output_dir / "label_map.pbtxt", result.shards(), "--offline")
    by_id = {record["source_id"]: record for record in records}
    boxes = rows_by_image(table("annotations_human_bbox", "train", "annotations-human-bbox.csv"))
    labels = rows_by_image(table("annotations_human", "train", "annotations-human.csv"))
    for image_id in COMPLETE:
        record = by_id[image_id]
        kept = [row for row in boxes[image_id] if row["LabelName"] in ids]
        assert record["groundtruth_boxes"] == [
            [float(np.float32(float(row[column]))) for column in BBOX] for row in kept
        ]
        assert record["groundtruth_classes"] == [ids[row["LabelName"]] for row in kept]
        verified = [row for row in labels[image_id] if row["LabelName"] in ids]
        assert record["groundtruth_image_classes"] == [ids[row["LabelName"]] for row in verified]
        assert record["groundtruth_image_confidences"] == [float(row["Confidence"]) for row in verified]
        stored = (REAL / "images" / f"{image_id}.jpg").read_bytes()
        assert record["encoded_sha256"] == hashlib.sha256(stored).hexdigest()


def test_three_held_images_are_complete() -> None:
    """The images that COMPLETE names are those that all four files of the split name."""
    files = {
        "images": "images.csv",
        "annotations_human_bbox": "annotations-human-bbox.csv",
        "annotations_human": "annotations-human.csv",
        "annotations_machine": "annotations-machine.csv",
    }
    named = []
    for name, file in files.items():
        ids = [row["ImageID"] for row in read_rows(table(name, "train", file))]
        # The files are the first 1,000 rows of the published ones, which may end among the rows of an image.
        named.append(set(ids) - {ids[-1]})
    assert set.intersection(held(), *named) == set(COMPLETE)


def test_attribution_is_that_of_the_metadata(convert_real: Callable[..., Converted]) -> None:
    from tests.support.optional import tensorflow as tf

    result = convert_real("--max_rejects=100%", "--select=all", "--extra_keys=attribution")
    columns = {
        "license": "License", "author": "Author", "profile_url": "AuthorProfileURL", "title": "Title",
        "landing_url": "OriginalLandingURL",
    }  # fmt: skip
    found = {}
    for data in tf.data.TFRecordDataset([str(path) for path in result.shards()]):
        features = tf.train.Example.FromString(data.numpy()).features.feature
        texts = {name: features[f"image/attribution/{name}"].bytes_list.value for name in columns}
        image_id = features["image/source_id"].bytes_list.value[0].decode()
        found[image_id] = {name: [text.decode() for text in values] for name, values in texts.items()}
    assert found == {
        row["ImageID"]: {name: [row[column]] for name, column in columns.items()}
        for row in read_rows(table("images", "train", "images.csv"))
        if row["ImageID"] in held()
    }


def test_machine_labels_have_keys_of_their_own(convert_real: Callable[..., Converted]) -> None:
    from tests.support.optional import tensorflow as tf

    result = convert_real("--max_rejects=100%", "--extra_keys=machine_labels")
    machine = rows_by_image(table("annotations_machine", "train", "annotations-machine.csv"))
    human = rows_by_image(table("annotations_human", "train", "annotations-human.csv"))
    mids = set(trainable())
    found = {}
    for data in tf.data.TFRecordDataset([str(path) for path in result.shards()]):
        features = tf.train.Example.FromString(data.numpy()).features.feature
        found[features["image/source_id"].bytes_list.value[0].decode()] = features
    assert set(COMPLETE) <= set(found)
    assert any(row["LabelName"] in mids for image_id in COMPLETE for row in machine[image_id])
    for image_id, features in found.items():
        for prefix, rows in (("image/machine_class", machine), ("image/class", human)):
            kept = [row for row in rows.get(image_id, []) if row["LabelName"] in mids]
            texts = [text.decode() for text in features[f"{prefix}/text"].bytes_list.value]
            assert texts == [row["LabelName"] for row in kept]
            confidences = list(features[f"{prefix}/confidence"].float_list.value)
            assert confidences == pytest.approx([float(row["Confidence"]) for row in kept])


def test_label_map_has_the_published_ids(convert_real: Callable[..., Converted]) -> None:
    result = convert_real("--max_rejects=100%")
    published, written = (
        re.findall(r'item \{\n  name: "([^"]+)"\n  id: ([0-9]+)\n', path.read_text())
        for path in (REAL / "oid_bbox_trainable_label_map.pbtxt", result.output_dir / "label_map.pbtxt")
    )
    assert len(published) == 545
    assert written == published
    assert (result.output_dir / "label_map.pbtxt").read_text().count("item {") == 545
