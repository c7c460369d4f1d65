"""The official program and ours give the same scores for the same files."""

import csv
import dataclasses
import json
import math
import pathlib
import random
import subprocess
from collections.abc import Iterator

import pytest

import oi_tfrecord
from oi_tfrecord.cli.main import main
from tests.conftest import DATA, REPOSITORY
from tests.support import random_truth
from tests.support.dataset_rows import read_rows
from tests.support.optional import peer_python

PEERS = REPOSITORY / "tests" / "support" / "peers"
EXPANSION = "object_detection.dataset_tools.oid_hierarchical_labels_expansion"


@dataclasses.dataclass(frozen=True)
class Case:
    """A file of detections, and how it is scored."""

    metrics: str
    spoil: str
    with_masks: bool
    expanded: bool
    folder: pathlib.Path

    @property
    def name(self) -> str:
        return f"{self.metrics}, {self.spoil}, masks {self.with_masks}, expanded {self.expanded}"

    @property
    def predictions(self) -> pathlib.Path:
        return self.folder / f"{self.spoil}.csv"

    def official(self) -> dict[str, str]:
        exported = self.folder / ("expanded" if self.expanded else "official")
        tables = {table: exported / f"validation-{table.replace('_', '-')}.csv" for table in ("boxes", "image_labels")}
        tables |= {"masks": exported / "validation-masks.csv"} if self.with_masks else {}
        predictions = self.folder / f"{self.spoil}-expanded.csv" if self.expanded else self.predictions
        named = tables | {"label_map": self.folder / "official" / "label_map.pbtxt", "predictions": predictions}
        return {"metrics": self.metrics} | {name: str(path) for name, path in named.items()}

    def ours(self) -> oi_tfrecord.EvaluateResult:
        return oi_tfrecord.evaluate(
            oi_tfrecord.EvaluateOptions(
                str(self.folder / "records"),
                str(self.predictions),
                metrics=self.metrics,
                masks=self.with_masks,
                hierarchy=str(self.folder / "hierarchy.json") if self.expanded else "",
                expand_detections=self.expanded,
            )
        )


def expand(source: pathlib.Path, target: pathlib.Path, hierarchy: pathlib.Path, kind: int) -> None:
    target.parent.mkdir(exist_ok=True)
    command = [str(peer_python("peers")), "-m", EXPANSION, f"--json_hierarchy_file={hierarchy}"]
    command += [f"--input_annotations={source}", f"--output_annotations={target}", f"--annotation_type={kind}"]
    subprocess.run(command, check=True, capture_output=True)


def make_cases(folder: pathlib.Path, with_masks: bool) -> Iterator[Case]:
    images = random_truth.make_images(seed=7 + with_masks, count=60, with_masks=with_masks)
    random_truth.write_records(folder / "records", images, with_masks)
    random_truth.write_hierarchy(folder / "hierarchy.json")
    options = oi_tfrecord.ExportOptions(str(folder / "records"), str(folder / "official"), format="oid")
    written = oi_tfrecord.export(options).rows["validation"]
    assert written["boxes"] == sum(len(item.boxes) for item in images)
    for seed, spoil in enumerate(random_truth.SPOILS):
        rows = random_truth.detect(images, spoil, seed, with_masks)
        random_truth.write_csv(folder / f"{spoil}.csv", rows, with_masks)
        yield Case("oid_V2", spoil, with_masks, expanded=False, folder=folder)
        yield Case("oid_challenge", spoil, with_masks, expanded=False, folder=folder)
    hierarchy = folder / "hierarchy.json"
    for table, kind in {"boxes": 1, "image-labels": 2, **({"masks": 1} if with_masks else {})}.items():
        name = f"validation-{table}.csv"
        expand(folder / "official" / name, folder / "expanded" / name, hierarchy, kind)
    for spoil in ("perfect", "everything"):
        expand(folder / f"{spoil}.csv", folder / f"{spoil}-expanded.csv", hierarchy, 1)
        yield Case("oid_challenge", spoil, with_masks, expanded=True, folder=folder)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Case, dict[str, float]]]:
    """All cases with the official scores: the program takes ten seconds to start."""
    python = peer_python("peers")
    cases = [case for masks in (False, True) for case in make_cases(tmp_path_factory.mktemp("cases"), masks)]
    text = json.dumps([case.official() for case in cases])
    done = subprocess.run(
        [str(python), str(PEERS / "oid_score.py")], input=text, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout.splitlines()[-1])
    assert not [result for result in results if isinstance(result, str)]
    return list(zip(cases, results, strict=True))


def test_scores_equal_those_of_the_official_program(scored: list[tuple[Case, dict[str, float]]]) -> None:
    values = set()
    for case, official in scored:
        result = case.ours()
        [mean] = [value for name, value in official.items() if "mAP@0.5IOU" in name]
        assert result.summary["mAP@0.5IOU"] == pytest.approx(mean, abs=1e-9), case.name
        by_name = {name.split("AP@0.5IOU/")[1]: value for name, value in official.items() if "AP@0.5IOU/" in name}
        for item in result.classes:
            ours = math.nan if item.average_precision is None else item.average_precision
            assert ours == pytest.approx(by_name[item.mid], abs=1e-9, nan_ok=True), (case.name, item.mid)
        values.add(round(mean, 6))
    assert len(values) > 10, "the cases differ"


def write_real_records(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Converts the real images at hand with real boxes and labels of seven and three columns; returns both tables."""
    real = DATA / "real"
    boxes = real / "v6" / "mpeg_vcm_detection_bbox.held-images.csv"
    if not boxes.exists():
        pytest.skip("the folder of real files is missing")
    held = {row["ImageID"] for row in read_rows(boxes)}
    labels = folder / "labels.csv"
    rows = [
        row for row in read_rows(real / "v6" / "mpeg_vcm_detection_validation_labels_5k.csv") if row["ImageID"] in held
    ]
    names = sorted({row["LabelName"] for row in [*rows, *read_rows(boxes)]})
    (folder / "classes.csv").write_text("".join(f"{name},{name}\n" for name in names))
    with labels.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    given = {"boxes": boxes, "human_labels": labels, "class_descriptions": "classes.csv", "class_list": "classes.csv"}
    given |= {"data_dir": folder, "images": real / "images" / "{image_id}.jpg", "output_dir": folder / "records"}
    flags = [f"--{name}={value}" for name, value in given.items()]
    assert main(["convert", *flags, "--split=validation", "--driver=boxes", "--workers=1", "--max_rejects=0"]) == 0
    return boxes, labels


@pytest.mark.parametrize("metrics", ["oid_V2", "oid_challenge"])
def test_real_rows_score_as_the_official_program_scores_the_tables(metrics: str, tmp_path: pathlib.Path) -> None:
    boxes, labels = write_real_records(tmp_path)
    chosen = random.Random(1)
    predictions = tmp_path / "found.csv"
    with predictions.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["ImageID", "LabelName", "Score", "XMin", "XMax", "YMin", "YMax"])
        for row in read_rows(boxes):
            for _ in range(chosen.choice([0, 1, 3])):
                sides = [float(row[side]) + chosen.uniform(-0.05, 0.05) for side in ("XMin", "XMax", "YMin", "YMax")]
                writer.writerow([row["ImageID"], row["LabelName"], round(chosen.random(), 2), *sides])
    case = {"metrics": metrics, "boxes": str(boxes), "image_labels": str(labels), "predictions": str(predictions)}
    case["label_map"] = str(tmp_path / "records" / "label_map.pbtxt")
    command = [str(peer_python("peers")), str(PEERS / "oid_score.py")]
    done = subprocess.run(command, input=json.dumps([case]), capture_output=True, text=True, check=True)
    [official] = json.loads(done.stdout.splitlines()[-1])
    [mean] = [value for name, value in official.items() if "mAP@0.5IOU" in name]
    options = oi_tfrecord.EvaluateOptions(str(tmp_path / "records"), str(predictions), metrics=metrics)
    assert oi_tfrecord.evaluate(options).summary["mAP@0.5IOU"] == pytest.approx(mean, abs=1e-6)
    assert 0.2 < mean < 0.9
