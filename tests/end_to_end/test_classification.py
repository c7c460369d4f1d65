"""Whole conversions with `--task=classification`, against a reading of the sample that goes row by row."""

import pathlib
import re
import shutil
from collections import Counter
from collections.abc import Callable

import numpy as np
import pyarrow.parquet as pq
import pytest

import oi_tfrecord
from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.manifest import class_weights
from oi_tfrecord.dataset.splits import find_splits, read_shard
from oi_tfrecord.records.example_reader import parse_example
from tests.conftest import Converted, convert_arguments
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
    present, absent = (Counter({row: 1 for row in human if row[2] == value}) for value in (1.0, 0.0))
    for prefix, expected in (
        ("image/class", present), ("image/absent_class", absent), ("image/machine_class", machine),
    ):  # fmt: skip
        rows = Counter(
            (image_id, mid.decode(), confidence)
            for image_id, example in found.items()
            for mid, confidence in zip(
                example[f"{prefix}/text"],
                # The absent classes need no confidence.
                example.get(f"{prefix}/confidence", np.zeros(len(example[f"{prefix}/text"]))).tolist(),
                strict=True,
            )
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
        absent += len(example["image/absent_class/label"])
        assert example["image/present_class/label"].tolist() == example["image/class/label"].tolist()
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
    classes = len(label_map.items) + 1

    def targets(data: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ragged = tf.io.RaggedFeature(tf.int64)
        parsed = tf.io.parse_single_example(data, {"image/class/label": ragged, "image/absent_class/label": ragged})
        present, absent = (
            tf.reduce_sum(tf.one_hot(parsed[key], classes), axis=0)
            for key in ("image/class/label", "image/absent_class/label")
        )
        return present, present + absent

    shards = list(find_splits(str(tmp_path / "out"))["train"].shards)
    read = list(tf.data.TFRecordDataset(shards).map(targets).as_numpy_iterator())
    found = records(tmp_path / "out")
    assert len(read) == len(found)
    for (target, mask), example in zip(read, found.values(), strict=True):
        assert np.flatnonzero(target).tolist() == sorted(example["image/class/label"].tolist())
        # No class is there twice, or both present and absent.
        assert mask.max() == 1


def test_order_by_frequency_counts_labels(sample: pathlib.Path, tmp_path: pathlib.Path, run: Run) -> None:
    assert run(sample, tmp_path / "out", "--task=classification", "--label_order=frequency").code == 0
    rows = Counter(row["LabelName"] for row in read_rows(sample / "2017_11" / "train" / "annotations-human.csv"))
    label_map = read_label_map(str(tmp_path / "out"))
    assert label_map is not None
    counts = [rows[item.name] for item in label_map.items]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[-1]


@pytest.fixture(scope="module")
def converted(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("classification") / "out"
    flags = ("--task=classification", "--extra_keys=label_source,machine_labels", "--num_shards=1")
    assert main(["convert", *convert_arguments(sample, folder, *flags)]) == 0
    return folder


def test_every_reader_knows_the_absent_classes(converted: pathlib.Path, tmp_path: pathlib.Path) -> None:
    found = records(converted)
    present = sum(len(example["image/class/label"]) for example in found.values())
    absent = sum(len(example["image/absent_class/label"]) for example in found.values())
    assert min(present, absent) > 0
    dataset = oi_tfrecord.RecordDataset(str(converted), "train")
    for values, same in zip(oi_tfrecord.load(str(converted), "train").as_numpy_iterator(), dataset, strict=True):
        assert values["boxes"].shape == same["boxes"].shape == (0, 4)
        example = found[same["image_id"].decode()]
        ids = [*example["image/class/label"].tolist(), *example["image/absent_class/label"].tolist()]
        confidences = [1] * len(example["image/class/label"]) + [0] * len(example["image/absent_class/label"])
        for read in (values, same):
            assert read["image_labels"].tolist() == ids
            assert read["image_confidences"].tolist() == confidences

    oi_tfrecord.export(oi_tfrecord.ExportOptions(str(converted), to=str(tmp_path / "tables")))
    [path] = (path for path in (tmp_path / "tables").rglob("*.parquet") if "image_labels" in str(path))
    rows = pq.read_table(path).to_pylist()
    verified = Counter(row["confidence"] for row in rows if row["verified"])
    assert verified == {1.0: present, 0.0: absent}
    assert {row["source"] for row in rows if row["verified"]} == {"verification", "crowdsource-verification"}

    counts = oi_tfrecord.report(oi_tfrecord.ReportOptions(str(converted), output="-", format="json"))
    assert counts is not None
    for name, rest in (("merged", ["merge"]), ("half", ["resample", "--fraction=0.5", "--split=train"])):
        command, *flags = rest
        assert main([command, str(converted), f"--to={tmp_path / name}", *flags]) == 0
        assert main(["verify", str(tmp_path / name)]) == 0
    merged = records(tmp_path / "merged")
    assert {name: example["image/absent_class/text"] for name, example in merged.items()} == {
        name: example["image/absent_class/text"] for name, example in found.items()
    }


def test_a_class_of_two_sources_is_there_once(sample: pathlib.Path, tmp_path: pathlib.Path, run: Run) -> None:
    data = tmp_path / "data"
    shutil.copytree(sample, data)
    path = data / "2017_11" / "train" / "annotations-human.csv"
    trainable = read_list(data / "2017_11" / "classes-trainable.txt")
    present = (row for row in read_rows(path) if row["LabelName"] in trainable and row["Confidence"] == "1")
    row = next(row for row in present if row["Source"] == "verification")
    with path.open("a") as file:
        file.write(f"{row['ImageID']},crowdsource-verification,{row['LabelName']},1\n")
    done = run(data, tmp_path / "out", "--task=classification")
    assert done.code == 0
    texts = records(tmp_path / "out")[row["ImageID"]]["image/class/text"]
    assert texts.count(row["LabelName"].encode()) == 1
    manifest = done.manifest()
    assert manifest["tables"]["human_labels"]["dropped"]["same_label"] == 1
    assert manifest["balanced"] is True


@pytest.mark.parametrize("flag", ["select=boxed", "driver=boxes"])
def test_what_asks_for_boxes_is_refused(flag: str, sample: pathlib.Path, tmp_path: pathlib.Path, run: Run) -> None:
    done = run(sample, tmp_path / "out", "--task=classification", f"--{flag}")
    assert done.code == 1
    assert re.match(rf"error: {flag.split('=')[0]}: .*task=classification (does not read|reads no boxes)", done.err)


def test_weights_make_classes_count_the_same() -> None:
    weights = class_weights({"1": 2, "3": 8})
    assert weights == {1: 2.5, 3: 0.625}
    assert class_weights({}) == {}
