"""A shortened run of examples/train_detector.py, scored by the Object Detection API's evaluator."""

import json
import pathlib
import re
import shutil
import subprocess
import sys

from PIL import Image

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.record_dataset import RecordDataset
from oi_tfrecord.openimages.demo.release import generate
from tests.conftest import REPOSITORY, convert_arguments, in_api

STEPS = 150


def test_a_detector_trains_on_the_records_alone_and_finds_objects_in_held_out_scenes(tmp_path: pathlib.Path) -> None:
    data, records = tmp_path / "data", tmp_path / "records"
    generate(data, train_images=200, validation_images=60)
    for split in ("train", "validation"):
        assert main(["convert", *convert_arguments(data, records, split=split)]) == 0
    shutil.rmtree(data)
    held_out = {record["image_id"].decode() for record in RecordDataset(str(records), "validation", decode=False)}
    learned = {record["image_id"].decode() for record in RecordDataset(str(records), "train", decode=False)}
    assert len(held_out) > 40
    assert not held_out & learned

    detections, picture = tmp_path / "detections.json", tmp_path / "detections.jpg"
    done = subprocess.run(
        [
            sys.executable, str(REPOSITORY / "examples" / "train_detector.py"), str(records),
            f"--steps={STEPS}", f"--detections={detections}", f"--picture={picture}",
        ],
        check=False, capture_output=True, text=True, cwd=REPOSITORY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    loss = re.search(
        r"^loss: ([\d.]+) in the first tenth of the steps, ([\d.]+) in the last$", done.stdout, re.MULTILINE
    )
    assert loss is not None, done.stdout
    assert float(loss[2]) < float(loss[1]) / 3
    assert json.loads(detections.read_text()).keys() == held_out
    with Image.open(picture) as drawn:
        # Not the blank sheet.
        assert len(drawn.convert("L").getcolors()) > 100

    metrics = json.loads(
        in_api(
            str(REPOSITORY / "tests" / "support" / "peers" / "od_evaluate.py"),
            f"--label_map={records / 'label_map.pbtxt'}",
            "--metrics=oid_V2_detection_metrics",
            f"--detections={detections}",
            str(records / "validation.tfrecord-*"),
        ).splitlines()[-1]
    )
    # After 10 steps it is 0, after these about 0.9.
    assert metrics["OpenImagesV2_Precision/mAP@0.5IOU"] > 0.6, (metrics, done.stdout)
