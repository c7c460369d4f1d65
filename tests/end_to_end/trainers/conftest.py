"""What the trainings of the examples share: records of a sample, and the official score of their detections."""

import json
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Callable

import pytest
from PIL import Image

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.record_dataset import RecordDataset
from oi_tfrecord.openimages.demo.release import generate
from tests.conftest import REPOSITORY, convert_arguments, in_api

Score = Callable[[pathlib.Path], float]


@pytest.fixture(scope="session")
def scenes(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """A folder of records with 200 scenes to train with and 60 held-out ones."""
    folder = tmp_path_factory.mktemp("scenes")
    data, records = folder / "data", folder / "records"
    generate(data, train_images=200, validation_images=60)
    for split in ("train", "validation"):
        assert main(["convert", *convert_arguments(data, records, split=split)]) == 0
    shutil.rmtree(data)
    learned = {record["image_id"] for record in RecordDataset(str(records), "train", decode=False)}
    held_out = {record["image_id"] for record in RecordDataset(str(records), "validation", decode=False)}
    assert len(held_out) > 40
    assert not held_out & learned
    return records


@pytest.fixture
def score(scenes: pathlib.Path, tmp_path: pathlib.Path) -> Score:
    """Draws the detections of a file, and returns the mAP@0.5 that the Object Detection API gives them."""

    def score(detections: pathlib.Path) -> float:
        held_out = {record["image_id"].decode() for record in RecordDataset(str(scenes), "validation", decode=False)}
        assert json.loads(detections.read_text()).keys() == held_out
        picture = tmp_path / "detections.jpg"
        draw = REPOSITORY / "examples" / "draw_detections.py"
        subprocess.run([sys.executable, str(draw), str(scenes), str(detections), str(picture)], check=True)
        with Image.open(picture) as drawn:
            # Not the blank sheet.
            assert len(drawn.convert("L").getcolors()) > 100
        metrics = json.loads(
            in_api(
                str(REPOSITORY / "tests" / "support" / "peers" / "od_evaluate.py"),
                f"--label_map={scenes / 'label_map.pbtxt'}",
                "--metrics=oid_V2_detection_metrics",
                f"--detections={detections}",
                str(scenes / "validation.tfrecord-*"),
            ).splitlines()[-1]
        )
        return float(metrics["OpenImagesV2_Precision/mAP@0.5IOU"])

    return score
