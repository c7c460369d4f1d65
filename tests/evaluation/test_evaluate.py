import csv
import json
import pathlib

import pytest

import oi_tfrecord
from oi_tfrecord.cli.main import main
from tests.support import random_truth
from tests.support.random_truth import MIDS, RandomImage

WHOLE = (0.0, 0.0, 1.0, 1.0)
HALF = (0.0, 0.0, 0.5, 1.0)
IMAGES = (
    RandomImage("a" * 16, 40, 20, (("/m/dog", WHOLE, False, None), ("/m/cat", HALF, True, None)), (("/m/tree", 0.0),)),
    RandomImage("b" * 16, 40, 20, (), (("/m/dog", 0.0),)),
)


def predict(*rows: tuple[str, str, float, random_truth.Box]) -> str:
    lines = (f"{image},{mid} {score} {box[1]} {box[0]} {box[3]} {box[2]}" for image, mid, score, box in rows)
    return "\n".join(["ImageID,PredictionString", *lines, ""])


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    random_truth.write_records(tmp_path / "records", IMAGES, with_masks=False)
    random_truth.write_hierarchy(tmp_path / "hierarchy.json")
    return tmp_path


def score(folder: pathlib.Path, text: str, **options: object) -> oi_tfrecord.EvaluateResult:
    (folder / "found.csv").write_text(text)
    made = oi_tfrecord.EvaluateOptions(str(folder / "records"), str(folder / "found.csv"), **options)  # type: ignore[arg-type]
    return oi_tfrecord.evaluate(made)


def precisions(result: oi_tfrecord.EvaluateResult) -> dict[str, float]:
    return {item.mid: item.average_precision for item in result.classes if item.average_precision is not None}


def test_a_false_positive_on_an_image_without_a_box_counts(folder: pathlib.Path) -> None:
    text = predict(("b" * 16, "/m/dog", 0.9, WHOLE), ("a" * 16, "/m/dog", 0.5, WHOLE))
    assert precisions(score(folder, text, metrics="oid_V2")) == {"/m/dog": 0.5}
    assert precisions(score(folder, text, metrics="oid_challenge")) == {"/m/dog": 0.5, "/m/cat": 0.0}


def test_a_class_that_nobody_verified_is_ignored_by_the_challenge_alone(folder: pathlib.Path) -> None:
    text = predict(("b" * 16, "/m/cat", 0.9, WHOLE), ("a" * 16, "/m/cat", 0.5, HALF))
    challenge = score(folder, text, metrics="oid_challenge")
    assert precisions(challenge)["/m/cat"] == 1.0
    assert challenge.not_scored == 1
    # In V2, a group is no object to find, so there is no score of the class.
    assert "/m/cat" not in precisions(score(folder, text, metrics="oid_V2"))


def test_expansion_counts_a_dog_as_an_animal(folder: pathlib.Path) -> None:
    text = predict(("a" * 16, "/m/animal", 0.9, WHOLE), ("a" * 16, "/m/dog", 0.9, WHOLE))
    assert "/m/animal" not in precisions(score(folder, text))
    assert precisions(score(folder, text, hierarchy=str(folder / "hierarchy.json")))["/m/animal"] == 1.0
    only_dog = predict(("a" * 16, "/m/dog", 0.9, WHOLE))
    expanded = {"hierarchy": str(folder / "hierarchy.json"), "expand_detections": True}
    assert precisions(score(folder, only_dog, **expanded))["/m/animal"] == 1.0


def test_records_that_are_expanded_are_not_expanded_again(folder: pathlib.Path) -> None:
    shards = [{"file": path.name, "records": 1} for path in sorted((folder / "records").glob("*-of-*"))]
    entry = {"shards": shards, "config": {"hierarchy": ["x"], "hierarchy_use": "expand", "select": "boxed"}}
    (folder / "records" / "manifest.json").write_text(json.dumps({"splits": {"validation": entry}}))
    result = score(folder, predict(("a" * 16, "/m/animal", 0.9, WHOLE)), hierarchy=str(folder / "hierarchy.json"))
    assert "/m/animal" not in precisions(result)
    assert "are not expanded again" in result.warnings[1]
    assert "--select=labelled" in result.warnings[0]


def test_what_the_records_do_not_have_is_counted(folder: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = predict(("c" * 16, "/m/dog", 0.9, WHOLE), ("a" * 16, "/m/none", 0.9, WHOLE), ("a" * 16, "/m/dog", 1, WHOLE))
    result = score(folder, text)
    assert result.unknown_images == {"c" * 16: 1}
    assert result.unknown_classes == {"/m/none": 1}
    assert (result.images, result.detections) == (2, 1)
    output = folder / "scores" / "classes.csv"
    arguments = [str(folder / "records"), f"--detections={folder / 'found.csv'}", f"--output={output}"]
    assert main(["evaluate", *arguments]) == 0
    printed = capsys.readouterr().out
    assert "oid_V2 mAP@0.5IOU: 1.000000\n" in printed
    assert "1 detections of 1 images that are not in the split are left out" in printed
    assert "1 detections of classes that are not in the label map are left out: /m/none" in printed
    with output.open(newline="") as file:
        rows = {row["LabelName"]: row for row in csv.DictReader(file)}
    assert list(rows) == list(MIDS)
    assert rows["/m/dog"] | {"id": ""} == {
        "id": "",
        "LabelName": "/m/dog",
        "DisplayName": "Dog",
        "AP": "1.0",
        "Objects": "1",
        "Detections": "1",
    }
    assert rows["/m/tree"]["AP"] == ""


def test_the_score_as_json_has_null_where_no_class_has_an_object(
    folder: pathlib.Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random_truth.write_records(folder / "empty", [RandomImage("c" * 16, 40, 20, (), ())], with_masks=False)
    (folder / "found.csv").write_text(predict(("a" * 16, "/m/dog", 0.5, WHOLE)))
    printed = []
    for records in ("records", "empty"):
        arguments = [str(folder / records), f"--detections={folder / 'found.csv'}", "--format=json", "--quiet"]
        assert main(["evaluate", *arguments]) == 0
        printed.append(json.loads(capsys.readouterr().out, parse_constant=pytest.fail))
    dog = {item["mid"]: item["average_precision"] for item in printed[0]["classes"]}["/m/dog"]
    assert (printed[0]["summary"], dog, printed[0]["images"]) == ({"mAP@0.5IOU": 1.0}, 1.0, 2)
    assert (printed[1]["summary"], printed[1]["unknown_images"]) == ({"mAP@0.5IOU": None}, {"a" * 16: 1})


def test_what_is_missing_for_a_score_is_named(folder: pathlib.Path) -> None:
    text = predict(("a" * 16, "/m/dog", 1, WHOLE))
    with pytest.raises(oi_tfrecord.InputError, match="the detections have no masks"):
        score(folder, text, masks=True)
    with pytest.raises(oi_tfrecord.InputError, match="there is no split 'train'"):
        score(folder, text, split="train")
    with pytest.raises(oi_tfrecord.ConfigError, match="give --hierarchy=FILE"):
        score(folder, text, expand_detections=True)
    with pytest.raises(oi_tfrecord.ConfigError, match="did you mean 'oid_challenge'"):
        score(folder, text, metrics="challenge")
    (folder / "records" / "label_map.pbtxt").unlink()
    with pytest.raises(oi_tfrecord.InputError, match=r"there is no label_map\.pbtxt"):
        score(folder, text)


def test_records_without_verified_labels_are_warned_of(tmp_path: pathlib.Path) -> None:
    images = [RandomImage("a" * 16, 40, 20, (("/m/dog", WHOLE, False, None),), ())]
    random_truth.write_records(tmp_path / "records", images, with_masks=False)
    result = score(tmp_path, predict(("a" * 16, "/m/dog", 1, WHOLE)), metrics="oid_challenge")
    assert result.summary == {"mAP@0.5IOU": 1.0}
    assert "no human-verified labels" in result.warnings[0]


def test_relatives_in_the_label_map_are_warned_of(folder: pathlib.Path) -> None:
    path = folder / "records" / "label_map.pbtxt"
    path.write_text(path.read_text().replace('name: "/m/dog"', 'name: "/m/dog"\n  ancestor_ids: 1', 1))
    text = predict(("a" * 16, "/m/dog", 1, WHOLE))
    assert any("give --hierarchy=FILE" in warning for warning in score(folder, text).warnings)
    assert not score(folder, text, hierarchy=str(folder / "hierarchy.json")).warnings
