"""Records of the generated sample through four readers, against the CSVs read by the csv module."""

import hashlib
import math
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.conftest import Converted
from tests.support.dataset_rows import read_list, read_rows, rows_by_image
from tests.support.optional import tensorflow as tf

BBOX = {"ymin": "YMin", "xmin": "XMin", "ymax": "YMax", "xmax": "XMax"}
FLAGS = {
    "group_of": "IsGroupOf",
    "occluded": "IsOccluded",
    "truncated": "IsTruncated",
    "depiction": "IsDepiction",
}


def expected_records(sample: pathlib.Path, split: str) -> dict[str, tuple[list[dict[str, str]], list[dict[str, str]]]]:
    """ImageID to (boxes, human labels) of the label map's classes, for the images that the split selects.

    These are images with such a box; in validation and test also images with such a label and no box.
    """
    folder = sample / "2017_11"
    mids = set(read_list(folder / "classes-bbox-trainable.txt"))
    boxes = rows_by_image(folder / split / "annotations-human-bbox.csv")
    labels = rows_by_image(folder / split / "annotations-human.csv")
    expected = {}
    for row in read_rows(folder / split / "images.csv"):
        image_id = row["ImageID"]
        kept = [box for box in boxes.get(image_id, []) if box["LabelName"] in mids]
        verified = [label for label in labels.get(image_id, []) if label["LabelName"] in mids]
        if kept or (verified and split != "train"):
            expected[image_id] = kept, verified
    return expected


@pytest.fixture(params=["train", "validation"])
def converted(
    request: pytest.FixtureRequest, run: Callable[..., Converted], sample: pathlib.Path, tmp_path: pathlib.Path
) -> tuple[str, Converted]:
    result = run(sample, tmp_path / "out", split=request.param)
    assert result.code == 0, result.err
    return request.param, result


def test_tensorflow_parses_what_the_tables_say(sample: pathlib.Path, converted: tuple[str, Converted]) -> None:
    split, result = converted
    expected = expected_records(sample, split)
    ids = {mid: n for n, mid in enumerate(read_list(sample / "2017_11" / "classes-bbox-trainable.txt"), 1)}
    ragged = {
        "image/object/class/text": tf.string, "image/object/class/label": tf.int64, "image/object/area": tf.float32,
        "image/class/text": tf.string, "image/class/label": tf.int64, "image/class/confidence": tf.float32,
        **{f"image/object/bbox/{side}": tf.float32 for side in BBOX},
    }  # fmt: skip
    if split == "validation":
        ragged |= {f"image/object/{flag}": tf.int64 for flag in (*FLAGS, "is_crowd")}
    fixed = {
        "image/encoded": tf.string, "image/format": tf.string, "image/filename": tf.string,
        "image/source_id": tf.string, "image/key/sha256": tf.string, "image/height": tf.int64, "image/width": tf.int64,
    }  # fmt: skip
    spec = {key: tf.io.FixedLenFeature([], kind) for key, kind in fixed.items()}
    spec |= {key: tf.io.RaggedFeature(kind) for key, kind in ragged.items()}
    found = {}
    for data in tf.data.TFRecordDataset([str(path) for path in result.shards(split)]):
        example = tf.train.Example.FromString(data.numpy())
        assert example.SerializeToString(deterministic=True) == data.numpy()
        assert set(example.features.feature) == set(spec)
        record = {key: value.numpy() for key, value in tf.io.parse_single_example(data, spec).items()}
        found[record["image/source_id"].decode()] = record
    assert found.keys() == expected.keys()
    for image_id, (boxes, labels) in expected.items():
        record = found[image_id]
        stored = (sample / "images" / split / f"{image_id}.jpg").read_bytes()
        assert record["image/encoded"] == stored
        assert record["image/key/sha256"].decode() == hashlib.sha256(stored).hexdigest()
        assert record["image/filename"].decode() == f"{image_id}.jpg"
        assert record["image/format"] == b"jpeg"
        height, width, _ = tf.io.decode_jpeg(stored).shape
        assert (record["image/height"], record["image/width"]) == (height, width)
        for side, column in BBOX.items():
            assert record[f"image/object/bbox/{side}"].tolist() == [np.float32(float(box[column])) for box in boxes]
        areas = [
            (float(box["XMax"]) - float(box["XMin"])) * (float(box["YMax"]) - float(box["YMin"])) * height * width
            for box in boxes
        ]
        assert record["image/object/area"] == pytest.approx(areas, rel=1e-4)
        assert [mid.decode() for mid in record["image/object/class/text"]] == [box["LabelName"] for box in boxes]
        assert record["image/object/class/label"].tolist() == [ids[box["LabelName"]] for box in boxes]
        assert [mid.decode() for mid in record["image/class/text"]] == [label["LabelName"] for label in labels]
        assert record["image/class/label"].tolist() == [ids[label["LabelName"]] for label in labels]
        assert record["image/class/confidence"].tolist() == [float(label["Confidence"]) for label in labels]
        if split == "validation":
            for flag, column in FLAGS.items():
                assert record[f"image/object/{flag}"].tolist() == [int(box[column]) for box in boxes]
            assert record["image/object/is_crowd"].tolist() == record["image/object/group_of"].tolist()


def test_the_object_detection_api_reads_what_the_tables_say(
    sample: pathlib.Path,
    converted: tuple[str, Converted],
    od_read: Callable[..., tuple[list[dict[str, Any]], dict[str, Any]]],
) -> None:
    split, result = converted
    expected = expected_records(sample, split)
    mids = read_list(sample / "2017_11" / "classes-bbox-trainable.txt")
    ids = {mid: number for number, mid in enumerate(mids, 1)}
    records, summary = od_read(result.output_dir / "label_map.pbtxt", result.shards(split), "--offline")
    assert summary["label_map_dict"] == ids
    assert {record["source_id"] for record in records} == expected.keys()
    assert len(records) == len(expected)
    for record in records:
        boxes, labels = expected[record["source_id"]]
        assert record["groundtruth_boxes"] == [
            [float(np.float32(float(box[column]))) for column in BBOX.values()] for box in boxes
        ]
        assert record["groundtruth_classes"] == [ids[box["LabelName"]] for box in boxes]
        assert record["groundtruth_image_classes"] == [ids[label["LabelName"]] for label in labels]
        assert record["groundtruth_image_confidences"] == [float(label["Confidence"]) for label in labels]
        flags = [bool(int(box["IsGroupOf"])) for box in boxes] if split == "validation" else []
        assert record["groundtruth_group_of"] == flags
        assert record["groundtruth_is_crowd"] == flags
        assert record["key"] == record["encoded_sha256"]
        assert record["image_shape"][:2] == [record["stored_height"], record["stored_width"]]
        assert math.prod(record["image_shape"]) > 0
        assert record["offline"] is not None
        assert record["offline"]["groundtruth_boxes"] == record["groundtruth_boxes"]
