"""Records through Model Garden's own decoders and parser, against the CSVs read by the csv module."""

import json
import os
import pathlib
import subprocess
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.conftest import REPOSITORY, Converted
from tests.support.dataset_rows import read_list, rows_by_image
from tests.support.optional import peer_python

SIDES = ("YMin", "XMin", "YMax", "XMax")
Read = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def garden_read() -> Read:
    """Reads the shards of a split with Model Garden, installed into an environment of its own."""
    python = str(peer_python("garden"))

    def read(result: Converted, split: str, *flags: str) -> subprocess.CompletedProcess[str]:
        label_map = f"--label_map={result.output_dir / 'label_map.csv'}"
        script = REPOSITORY / "tests" / "support" / "peers" / "garden_read.py"
        return subprocess.run(
            [python, str(script), *map(str, result.shards(split)), label_map, *flags],
            check=False, capture_output=True, text=True,
            env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        )  # fmt: skip

    return read


def records_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stderr[-2000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def image_ids(result: Converted, split: str) -> list[str]:
    """The ImageIDs of the records in their order; `image/filename` has them whatever the source id is."""
    from tests.support.optional import tensorflow as tf

    spec = {"image/filename": tf.io.FixedLenFeature([], tf.string)}
    shards = [str(path) for path in result.shards(split)]
    parsed = [tf.io.parse_single_example(data, spec) for data in tf.data.TFRecordDataset(shards)]
    return [record["image/filename"].numpy().decode().removesuffix(".jpg") for record in parsed]


@pytest.mark.parametrize("split", ["train", "validation"])
def test_model_garden_reads_what_the_tables_say(
    split: str, sample: pathlib.Path, tmp_path: pathlib.Path, run: Callable[..., Converted], garden_read: Read
) -> None:
    result = run(sample, tmp_path / "out", "--source_id=numeric", "--select=all", split=split)
    assert result.code == 0, result.err
    mids = read_list(sample / "2017_11" / "classes-bbox-trainable.txt")
    ids = {mid: number for number, mid in enumerate(mids, 1)}
    tables = rows_by_image(sample / "2017_11" / split / "annotations-human-bbox.csv")
    found = dict(zip(image_ids(result, split), records_of(garden_read(result, split)), strict=True))
    assert len(found) == len(list((sample / "images" / split).iterdir()))
    crowds = empty = 0
    for image_id, record in found.items():
        decoded, evaluated = record["decoded"], record["evaluated"]
        rows = [row for row in tables.get(image_id, []) if row["LabelName"] in ids]
        assert decoded["image_shape"] == [decoded["height"], decoded["width"], 3]
        assert decoded["groundtruth_boxes"] == [[float(np.float32(float(row[side]))) for side in SIDES] for row in rows]
        assert decoded["groundtruth_classes"] == [ids[row["LabelName"]] for row in rows]
        assert record["by_name"]["groundtruth_classes"] == decoded["groundtruth_classes"]
        is_crowd = [row.get("IsGroupOf") == "1" for row in rows]
        assert decoded["groundtruth_is_crowd"] == is_crowd
        ymin, xmin, ymax, xmax = np.array([[float(row[side]) for side in SIDES] for row in rows]).reshape(-1, 4).T
        scale = np.array([decoded["height"], decoded["width"]] * 2)
        areas = (ymax - ymin) * (xmax - xmin) * scale[0] * scale[1]
        assert decoded["groundtruth_area"] == pytest.approx(areas.tolist(), rel=1e-4)

        count = len(rows)
        assert evaluated["source_id"] == int(decoded["source_id"])
        pixels = np.array(decoded["groundtruth_boxes"]).reshape(-1, 4) * scale
        np.testing.assert_allclose(np.array(evaluated["boxes"])[:count], pixels, rtol=1e-4)
        assert evaluated["classes"][:count] == decoded["groundtruth_classes"]
        assert evaluated["areas"][:count] == decoded["groundtruth_area"]
        assert evaluated["is_crowds"][:count] == [int(crowd) for crowd in is_crowd]
        assert set(evaluated["classes"][count:]) <= {-1}
        # Training leaves crowds out.
        assert (record["trained"]["anchors_of_objects"] > 0) is (False in is_crowd)
        crowds += sum(is_crowd)
        empty += not rows
    assert empty > 0
    # Only the validation boxes of V3 have flags.
    assert (crowds > 0) is (split == "validation")
    # Exact as float32, as those that Model Garden makes itself (`_generate_source_id`).
    numbers = np.array([record["evaluated"]["source_id"] for record in found.values()])
    assert len(set(numbers.astype(np.float32).tolist())) == len(found)


def test_image_ids_are_no_numbers_but_can_be_made_anew_when_reading(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Callable[..., Converted], garden_read: Read
) -> None:
    result = run(sample, tmp_path / "out", split="validation")
    refused = garden_read(result, "validation")
    assert refused.returncode == 1
    assert "StringToNumberOp could not correctly convert string" in refused.stderr
    records = records_of(garden_read(result, "validation", "--regenerate_source_id"))
    assert len({record["evaluated"]["source_id"] for record in records}) == len(records) > 5


def test_model_garden_trains_on_what_is_present(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Callable[..., Converted]
) -> None:
    """The multi-label decoder and parser of its image classification, and a few steps of its task."""
    result = run(sample, tmp_path / "out", "--task=classification")
    assert result.code == 0, result.err
    mids = read_list(sample / "2017_11" / "classes-trainable.txt")
    labels = rows_by_image(sample / "2017_11" / "train" / "annotations-human.csv")
    script = REPOSITORY / "tests" / "support" / "peers" / "garden_classify.py"
    done = subprocess.run(
        [str(peer_python("garden")), str(script), *map(str, result.shards("train")), f"--num_classes={len(mids) + 1}"],
        check=False, capture_output=True, text=True,
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
    )  # fmt: skip
    *read, losses = records_of(done)
    found = dict(zip(image_ids(result, "train"), read, strict=True))
    absent = 0
    for image_id, targets in found.items():
        rows = [row for row in labels[image_id] if row["LabelName"] in mids]
        present = {row["LabelName"] for row in rows if row["Confidence"] == "1"}
        # Id 0 is the background.
        assert targets == [0.0, *(float(mid in present) for mid in mids)]
        absent += len(rows) - len(present)
    assert absent > 0
    assert len(losses) == 3
    assert np.isfinite(losses).all()
