import dataclasses
import json
import pathlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.splits import find_splits, read_shard
from oi_tfrecord.dataset.training_values import training_values
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.records.example_reader import parse_example
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from oi_tfrecord.training.options import TrainingConfigOptions
from oi_tfrecord.training.pipeline_parts import format_parts
from oi_tfrecord.training.split_facts import SplitFacts, TrainingFacts
from oi_tfrecord.training.training_config import training_config
from tests.conftest import REPOSITORY, Converted, in_api

PARSE = """
import json, os, sys
os.environ["PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"] = "python"
from google.protobuf import text_format
from google.protobuf.json_format import MessageToDict
from object_detection.protos import pipeline_pb2
config = text_format.Parse(sys.stdin.read(), pipeline_pb2.TrainEvalPipelineConfig())
print(json.dumps(MessageToDict(config, preserving_proto_field_name=True)))
"""
CLASSES = LabelMap((LabelMapItem(1, "/m/a", "A"), LabelMapItem(7, "/m/b", "B")))
TRAIN = SplitFacts("train", "/records/train.tfrecord-?????-of-00100", 100, 900, 250, 700)
EVALUATION = SplitFacts("validation", "/records/validation.tfrecord-?????-of-00004", 4, 9, 0, 0)
FACTS = TrainingFacts(TRAIN, EVALUATION, CLASSES, "/records/label_map.pbtxt", "/records/label_map.csv")


@pytest.fixture(scope="module")
def output_dir(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    from oi_tfrecord.cli.main import main
    from tests.conftest import convert_arguments

    folder = tmp_path_factory.mktemp("training") / 'with "quotes"'
    for split in ("train", "validation"):
        assert main(["convert", *convert_arguments(sample, folder, split=split)]) == 0
    return folder


def test_the_api_parses_the_parts(output_dir: pathlib.Path, tmp_path: pathlib.Path) -> None:
    path = tmp_path / "parts.config"
    assert main(["training-config", str(output_dir), "--model=ssd", f"--output={path}"]) == 0
    parsed = json.loads(in_api("-c", PARSE, text=path.read_text()))
    label_map = read_label_map(str(output_dir))
    assert label_map is not None
    assert parsed["model"] == {"ssd": {"num_classes": len(label_map.items)}}
    assert parsed["eval_config"]["metrics_set"] == ["oid_V2_detection_metrics"]
    manifest = json.loads((output_dir / "manifest.json").read_text())["splits"]
    for reader, split in (("train_input_reader", "train"), ("eval_input_reader", "validation")):
        given = parsed[reader] if isinstance(parsed[reader], dict) else parsed[reader][0]
        assert given["label_map_path"] == str(output_dir / "label_map.pbtxt")
        [pattern] = given["tf_record_input_reader"]["input_path"]
        found = sorted(output_dir.glob(pathlib.Path(pattern).name))
        assert [str(found_path) for found_path in found] == list(find_splits(str(output_dir))[split].shards)
        assert given["max_number_of_boxes"] == manifest[split]["totals"]["most_boxes_in_an_image"]


@pytest.mark.parametrize("model", ["ssd", "faster_rcnn", "center_net", "context_rcnn"])
@pytest.mark.parametrize("metrics", ["oid_challenge_detection_metrics", "coco_detection_metrics"])
def test_every_model_and_metrics_is_parsed(model: str, metrics: str) -> None:
    text = format_parts(FACTS, model, metrics)
    parsed = json.loads(in_api("-c", PARSE, text=text))
    [settings] = parsed["model"].values()
    # The highest id, not the number of classes.
    assert settings["num_classes"] == 7
    assert parsed["eval_config"]["metrics_set"] == [metrics]
    assert parsed["train_input_reader"]["max_number_of_boxes"] == 250
    assert parsed["train_input_reader"]["num_readers"] == 64
    assert "expand_labels_hierarchy" not in parsed["train_input_reader"]


RELATED = LabelMap((LabelMapItem(1, "/m/a", "A", descendant_ids=(2,)), LabelMapItem(2, "/m/b", "B", (1,))))


def train_reader(split: SplitFacts, label_map: LabelMap) -> dict[str, Any]:
    facts = dataclasses.replace(FACTS, train=split, label_map=label_map)
    text = format_parts(facts, "ssd", "oid_challenge_detection_metrics")
    return dict(json.loads(in_api("-c", PARSE, text=text))["train_input_reader"])


def test_masks_are_read_if_the_records_have_them() -> None:
    reader = train_reader(dataclasses.replace(TRAIN, has_masks=True), CLASSES)
    assert reader["load_instance_masks"] is True
    assert reader["mask_type"] == "PNG_MASKS"


def test_the_reader_expands_by_relatives_unless_the_records_are_expanded_or_have_masks() -> None:
    reader = train_reader(TRAIN, RELATED)
    assert reader["expand_labels_hierarchy"] is True
    # Of the fullest image after the expansion.
    assert reader["max_number_of_boxes"] == 700
    for split in (dataclasses.replace(TRAIN, is_expanded=True), dataclasses.replace(TRAIN, has_masks=True)):
        reader = train_reader(split, RELATED)
        assert "expand_labels_hierarchy" not in reader
        assert reader["max_number_of_boxes"] == 250


def test_a_bad_choice_is_named_and_a_missing_split_too(
    output_dir: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match="did you mean 'ssd'"):
        TrainingConfigOptions(str(output_dir), model="sssd")
    assert main(["training-config", str(output_dir), "--model=ssd", "--eval=test"]) == 1
    assert "There are: train, validation" in capsys.readouterr().err


@pytest.fixture(scope="module")
def truth(output_dir: pathlib.Path) -> dict[str, dict[str, Any]]:
    shards = find_splits(str(output_dir))["validation"].shards
    values = [training_values(parse_example(data)) for shard in shards for _, data in read_shard(shard)]
    return {value["image_id"].decode(): value for value in values}


def evaluate(output_dir: pathlib.Path, metrics: str, detections: dict | None, folder: pathlib.Path) -> dict[str, float]:
    arguments = [
        str(REPOSITORY / "tests" / "support" / "peers" / "od_evaluate.py"),
        f"--label_map={output_dir / 'label_map.pbtxt'}",
        f"--metrics={metrics}",
        str(output_dir / "validation.tfrecord-*"),
    ]
    if detections is not None:
        (folder / "detections.json").write_text(json.dumps(detections))
        arguments.append(f"--detections={folder / 'detections.json'}")
    return dict(json.loads(in_api(*arguments).splitlines()[-1]))


def mean_precision(metrics: dict[str, float]) -> float:
    [value] = [value for name, value in metrics.items() if "mAP@0.5IOU" in name]
    return value


@pytest.mark.parametrize("metrics", ["oid_V2_detection_metrics", "oid_challenge_detection_metrics"])
def test_perfect_detections_of_our_records_score_one(
    metrics: str, output_dir: pathlib.Path, tmp_path: pathlib.Path, truth: dict[str, dict[str, Any]]
) -> None:
    assert sum(len(value["labels"]) for value in truth.values()) > 10
    assert mean_precision(evaluate(output_dir, metrics, None, tmp_path)) == 1.0


def test_known_errors_score_what_they_score_by_hand(
    output_dir: pathlib.Path, tmp_path: pathlib.Path, truth: dict[str, dict[str, Any]]
) -> None:
    counts = Counter(label for value in truth.values() for label in value["labels"].tolist())
    in_groups = {
        label
        for value in truth.values()
        for label, group_of in zip(value["labels"].tolist(), value["group_of"].tolist(), strict=True)
        if group_of
    }
    label, boxes = max((item for item in counts.items() if item[0] not in in_groups), key=lambda item: item[1])
    assert boxes >= 3
    detections = {
        image_id: {
            "boxes": value["boxes"].tolist(),
            "scores": [0.5] * len(value["labels"]),
            "classes": value["labels"].tolist(),
        }
        for image_id, value in truth.items()
    }
    image_id = next(image_id for image_id, value in truth.items() if label in value["labels"])
    own = detections[image_id]
    place = own["classes"].index(label)
    for values in own.values():
        del values[place]
    # The first detection hits no box, and one box has no detection: n - 1 of n boxes are found, and at any recall the
    # highest precision is that at the end, (n - 1) / n.
    own["boxes"].append([0.0, 0.0, 0.01, 0.01])
    own["scores"].append(0.9)
    own["classes"].append(label)
    expected = (len(counts) - 1 + ((boxes - 1) / boxes) ** 2) / len(counts)
    scored = mean_precision(evaluate(output_dir, "oid_V2_detection_metrics", detections, tmp_path))
    assert scored == pytest.approx(expected, abs=1e-6)


TREE, CHRISTMAS_TREE = "/m/07j7r", "/m/025nd"


@pytest.fixture
def hierarchy(tmp_path: pathlib.Path) -> str:
    tree = {"LabelName": TREE, "Subcategory": [{"LabelName": CHRISTMAS_TREE}]}
    (tmp_path / "hierarchy.json").write_text(json.dumps({"LabelName": "/m/0bl9f", "Subcategory": [tree]}))
    return f"--hierarchy={tmp_path / 'hierarchy.json'}"


@pytest.mark.parametrize("labels", ["annotations-human.csv", "none.csv"])
def test_the_api_expands_records_with_and_without_labels(
    labels: str,
    sample: pathlib.Path,
    tmp_path: pathlib.Path,
    run: Callable[..., Converted],
    hierarchy: str,
    od_read: Callable[..., tuple[list[dict[str, Any]], dict[str, Any]]],
    capfd: pytest.CaptureFixture[str],
) -> None:
    human = f"--human_labels={{split}}/{labels}"
    out = run(sample, tmp_path / "out", hierarchy, "--hierarchy_use=label_map", human)
    assert out.code == 0
    assert main(["training-config", str(out.output_dir), "--model=ssd", "--eval=train"]) == 0
    printed = capfd.readouterr()
    assert printed.out.count("expand_labels_hierarchy: true") == 2
    assert ("no human-verified labels" in printed.err) is (labels == "none.csv")
    read, _ = od_read(out.output_dir / "label_map.pbtxt", out.shards(), "--expand_hierarchy")
    expanded = run(sample, tmp_path / "expanded", hierarchy, human)
    label_map = read_label_map(str(expanded.output_dir))
    assert label_map is not None
    ids = label_map.id_of
    theirs = Counter(label for record in read for label in record["groundtruth_classes"])
    ours = {item["id"]: item["boxes"] for item in expanded.manifest()["classes"] if item["boxes"]}
    assert ours[ids[TREE]] > ours[ids[CHRISTMAS_TREE]] > 0
    assert theirs == ours


def test_what_is_expanded_once_is_not_expanded_again(
    sample: pathlib.Path,
    tmp_path: pathlib.Path,
    run: Callable[..., Converted],
    hierarchy: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    named, expanded = tmp_path / "named", tmp_path / "expanded"
    assert run(sample, named, hierarchy, "--hierarchy_use=label_map").code == 0
    reused = f"--label_map={named / 'label_map.pbtxt'}"
    assert run(sample, expanded, hierarchy, reused).code == 0
    assert "ancestor_ids" not in (expanded / "label_map.pbtxt").read_text()
    # A label map that another program put there names relatives again.
    merged = tmp_path / "merged"
    assert main(["merge", str(expanded), f"--to={merged}", reused]) == 0
    assert "ancestor_ids" not in (merged / "label_map.pbtxt").read_text()
    (merged / "label_map.pbtxt").write_bytes((named / "label_map.pbtxt").read_bytes())
    capfd.readouterr()
    assert main(["training-config", str(merged), "--model=ssd", "--eval=train"]) == 0
    assert "expand_labels_hierarchy" not in capfd.readouterr().out
    assert main(["merge", str(expanded), str(named), f"--to={tmp_path / 'both'}", "--on_duplicate=first"]) == 1
    assert "expanded by a hierarchy" in capfd.readouterr().err


def test_splits_of_which_one_is_expanded_are_warned_of(
    sample: pathlib.Path,
    tmp_path: pathlib.Path,
    run: Callable[..., Converted],
    hierarchy: str,
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert run(sample, tmp_path / "out", hierarchy).code == 0
    plain = run(sample, tmp_path / "out", split="validation")
    assert "train is expanded by a hierarchy, and validation in the same folder is not" in plain.err
    assert main(["training-config", str(tmp_path / "out"), "--model=ssd"]) == 0
    printed = capfd.readouterr()
    assert "train is expanded by a hierarchy, and validation is not" in printed.err
    text = training_config(TrainingConfigOptions(str(tmp_path / "out"), "ssd"))
    assert text.startswith("# Warning: train is expanded")
    assert in_api("-c", PARSE, text=text)


def test_an_evaluation_split_without_the_labelled_images_is_warned_of(
    sample: pathlib.Path, tmp_path: pathlib.Path, run: Callable[..., Converted]
) -> None:
    for select, warned in (("boxed", True), ("labelled", False)):
        assert run(sample, tmp_path / select, f"--select={select}", split="validation").code == 0
        options = TrainingConfigOptions(str(tmp_path / select), "ssd", train="validation")
        assert ("comes out too high" in training_config(options)) is warned
        coco = dataclasses.replace(options, metrics="coco_detection_metrics")
        assert "too high" not in training_config(coco)
