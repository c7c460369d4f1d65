"""Whole conversions with `--task=classification`, against a reading of the sample that goes row by row."""

import pathlib
import re
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.manifest import class_weights
from oi_tfrecord.dataset.splits import find_splits, read_shard
from oi_tfrecord.records.example_reader import parse_example
from tests.conftest import Converted
from tests.support.dataset_rows import read_list, read_rows
from tests.support.optional import tensorflow as tf

Run = Callable[..., Converted]


def records(output_dir: pathlib.Path) -> dict[str, dict]:
    examples = (
        parse_example(data)
        for shard in find_splits(str(output_dir), ["train"])["train"].shards
        for _, data in read_shard(shard)
    )
    return {example["image/source_id"][0].decode(): example for example in examples}


def test_records_hold_verified_and_machine_labels_of_trainable_classes(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    done = run(sample, tmp_path / "out", "--task=classification")
    assert done.code == 0, done.err
    folder = sample / "2017_11"
    trainable = read_list(folder / "classes-trainable.txt")
    label_map = read_label_map(str(tmp_path / "out"))
    assert label_map is not None
    assert [item.name for item in label_map.items] == trainable

    found = records(tmp_path / "out")
    human, machine = Counter(), Counter()
    for name, counted in (("annotations-human.csv", human), ("annotations-machine.csv", machine)):
        for row in read_rows(folder / "train" / name):
            if row["LabelName"] in trainable:
                counted[row["ImageID"], row["LabelName"], np.float32(row["Confidence"]).item()] += 1
    assert set(found) == {image_id for image_id, *_ in human}
    for prefix, expected in (("image/class", human), ("image/machine_class", machine)):
        rows = Counter(
            (image_id, mid.decode(), confidence)
            for image_id, example in found.items()
            for mid, confidence in zip(example[f"{prefix}/text"], example[f"{prefix}/confidence"].tolist(), strict=True)
        )
        assert rows == Counter({row: count for row, count in expected.items() if row[0] in found})
        for example in found.values():
            ids = [label_map.id_of[mid.decode()] for mid in example[f"{prefix}/text"]]
            assert example[f"{prefix}/label"].tolist() == ids
    assert {confidence for *_, confidence in human} == {0.0, 1.0}
    assert not any(key.startswith("image/object/") for example in found.values() for key in example)

    manifest = done.manifest()
    assert manifest["balanced"] is True
    assert "boxes" not in manifest["tables"]
    positive = Counter(mid for _, mid, confidence in human.elements() if confidence)
    weights = {item["mid"]: item["weight"] for item in manifest["classes"] if "weight" in item}
    assert weights.keys() == positive.keys()
    expected_weights = {mid: positive.total() / (len(positive) * count) for mid, count in positive.items()}
    assert weights == pytest.approx(expected_weights, rel=1e-5)
    assert main(["verify", str(tmp_path / "out"), "--decode"]) == 0


def test_labels_that_are_present_are_there_apart_for_readers_without_confidences(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Run
) -> None:
    assert run(sample, tmp_path / "out", "--task=classification", "--extra_keys=present_labels").code == 0
    absent = 0
    for example in records(tmp_path / "out").values():
        is_present = example["image/class/confidence"] > 0
        absent += int((~is_present).sum())
        assert example["image/present_class/label"].tolist() == example["image/class/label"][is_present].tolist()
    assert absent > 0
    assert main(["verify", str(tmp_path / "out")]) == 0
    reused = ["--label_map=" + str(tmp_path / "out" / "label_map.pbtxt"), f"--to={tmp_path / 'merged'}"]
    assert main(["merge", str(tmp_path / "out"), *reused]) == 0
    assert main(["verify", str(tmp_path / "merged")]) == 0


def test_a_multi_label_model_reads_the_records(sample: pathlib.Path, tmp_path: pathlib.Path, run: Run) -> None:
    """As a loss over many classes needs them: a target and a mask of what people have verified."""
    assert run(sample, tmp_path / "out", "--task=classification").code == 0
    label_map = read_label_map(str(tmp_path / "out"))
    assert label_map is not None
    classes = len(label_map.items)

    def targets(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        parsed = tf.io.parse_single_example(
            data,
            {
                "image/class/label": tf.io.RaggedFeature(tf.int64),
                "image/class/confidence": tf.io.RaggedFeature(tf.float32),
            },
        )
        places = parsed["image/class/label"][:, None] - 1
        target = tf.tensor_scatter_nd_max(tf.zeros(classes), places, parsed["image/class/confidence"])
        mask = tf.tensor_scatter_nd_max(tf.zeros(classes), places, tf.ones_like(parsed["image/class/confidence"]))
        return target, mask

    shards = list(find_splits(str(tmp_path / "out"))["train"].shards)
    read = list(tf.data.TFRecordDataset(shards).map(targets).as_numpy_iterator())
    found = records(tmp_path / "out")
    assert len(read) == len(found)
    for (target, mask), example in zip(read, found.values(), strict=True):
        assert set((np.flatnonzero(mask) + 1).tolist()) == set(example["image/class/label"].tolist())
        assert (target <= mask).all()


def test_order_by_frequency_counts_labels(sample: pathlib.Path, tmp_path: pathlib.Path, run: Run) -> None:
    assert run(sample, tmp_path / "out", "--task=classification", "--label_order=frequency").code == 0
    rows = Counter(row["LabelName"] for row in read_rows(sample / "2017_11" / "train" / "annotations-human.csv"))
    label_map = read_label_map(str(tmp_path / "out"))
    assert label_map is not None
    counts = [rows[item.name] for item in label_map.items]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


def test_load_gives_labels_without_boxes(sample: pathlib.Path, tmp_path: pathlib.Path, run: Run) -> None:
    import oi_tfrecord

    assert run(sample, tmp_path / "out", "--task=classification").code == 0
    values = next(oi_tfrecord.load(str(tmp_path / "out"), "train").as_numpy_iterator())
    same = oi_tfrecord.RecordDataset(str(tmp_path / "out"), "train")[0]
    assert values["boxes"].shape == same["boxes"].shape == (0, 4)
    assert values["image_labels"].tolist() == same["image_labels"].tolist() != []


@pytest.mark.parametrize("flag", ["select=boxed", "driver=boxes"])
def test_what_asks_for_boxes_is_refused(flag: str, sample: pathlib.Path, tmp_path: pathlib.Path, run: Run) -> None:
    done = run(sample, tmp_path / "out", "--task=classification", f"--{flag}")
    assert done.code == 1
    assert re.match(rf"error: {flag.split('=')[0]}: .*boxes, which task=classification does not read", done.err)


def test_weights_make_classes_count_the_same() -> None:
    weights = class_weights({"1": 2, "3": 8})
    assert weights == {1: 2.5, 3: 0.625}
    assert class_weights({}) == {}
