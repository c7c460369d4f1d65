"""Real Open Images V3 rows and images, where they are beside the repository."""

import hashlib
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from oi_tfrecord.label_map import parse_pbtxt
from tests.conftest import DATA, Converted
from tests.dataset_rows import read_list, read_rows, rows_by_image

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
    missing = {row[3] for row in result.rejects(split) if row[4] == "image_missing"}
    assert missing == set(images) - held()
    mids = set(read_list(REAL / "v3_official/classes/2017_11/classes-bbox-trainable.txt"))
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


def test_too_many_rejects_fail_the_command_and_say_so(convert_real: Callable[..., Converted]) -> None:
    result = convert_real("--select=all")
    assert result.code == 2
    assert "image_missing 977" in result.err
    assert "--max_rejects" in result.err
    assert result.manifest()["images"]["records"] == 23


def test_complete_images_hold_exactly_their_rows(
    convert_real: Callable[..., Converted], od_read: Callable[..., tuple[list[dict[str, Any]], dict[str, Any]]]
) -> None:
    result = convert_real("--max_rejects=100%", "--extra_keys=machine_labels,box_source,label_source")
    mids = read_list(REAL / "v3_official/classes/2017_11/classes-bbox-trainable.txt")
    ids = {mid: number for number, mid in enumerate(mids, 1)}
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


def test_machine_labels_have_keys_of_their_own(convert_real: Callable[..., Converted]) -> None:
    import tensorflow as tf

    result = convert_real("--max_rejects=100%", "--extra_keys=machine_labels")
    machine = rows_by_image(table("annotations_machine", "train", "annotations-machine.csv"))
    human = rows_by_image(table("annotations_human", "train", "annotations-human.csv"))
    mids = set(read_list(REAL / "v3_official/classes/2017_11/classes-bbox-trainable.txt"))
    found = {}
    for data in tf.data.TFRecordDataset([str(path) for path in result.shards()]):
        features = tf.train.Example.FromString(data.numpy()).features.feature
        found[features["image/source_id"].bytes_list.value[0].decode()] = features
    assert set(COMPLETE) <= set(found)
    for image_id, features in found.items():
        for prefix, rows in (("image/machine_class", machine), ("image/class", human)):
            kept = [row for row in rows.get(image_id, []) if row["LabelName"] in mids]
            texts = [text.decode() for text in features[f"{prefix}/text"].bytes_list.value]
            assert texts == [row["LabelName"] for row in kept]
            confidences = list(features[f"{prefix}/confidence"].float_list.value)
            assert confidences == pytest.approx([float(row["Confidence"]) for row in kept])


def test_label_map_has_the_published_ids(convert_real: Callable[..., Converted]) -> None:
    result = convert_real("--max_rejects=100%")
    published = parse_pbtxt((REAL / "oid_bbox_trainable_label_map.pbtxt").read_text(), "published")
    written = parse_pbtxt((result.output_dir / "label_map.pbtxt").read_text(), "written")
    assert len(written.items) == 545
    assert written.id_of == published.id_of
