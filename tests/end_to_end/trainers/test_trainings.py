"""Short forms of the trainings of examples/ in environments of their own, which `make trainings` installs."""

import math
import os
import pathlib
import re
import subprocess
import sys

import pytest
import yaml

from oi_tfrecord.cli.main import main
from oi_tfrecord.training.garden_experiment import MODELS
from tests.conftest import REPOSITORY
from tests.end_to_end.trainers.conftest import Score
from tests.support.optional import peer_python

EXAMPLES = REPOSITORY / "examples"


def run(*command: str, **environment: str) -> str:
    path = f"{pathlib.Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        command, check=False, capture_output=True, text=True,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(REPOSITORY), **environment},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


# A model that has learned nothing scores below 0.05.
@pytest.mark.parametrize(
    ("example", "variable", "steps", "least"),
    [("object_detection_api", "OD_PYTHON", 200, 0.1), ("model_garden", "GARDEN_PYTHON", 200, 0.1)],
)
def test_a_shell_script_trains_evaluates_and_detects(
    example: str, variable: str, steps: int, least: float, scenes: pathlib.Path, tmp_path: pathlib.Path, score: Score
) -> None:
    python = str(peer_python(example))
    script = str(EXAMPLES / example / "train.sh")
    printed = run("bash", script, str(scenes), str(steps), str(tmp_path / "out"), **{variable: python})
    official = score(tmp_path / "out" / "detections.json")
    assert official > least, printed[-3000:]
    assert f"mAP@0.5IOU: {official:.6f}" in printed


SMALL = {
    "maskrcnn": {
        "min_level": 3,
        "backbone": {"type": "resnet", "resnet": {"model_id": 18}},
        "decoder": {"type": "fpn", "fpn": {"num_filters": 16}},
        "rpn_head": {"num_filters": 16},
        "roi_generator": {"num_proposals": 32, "test_num_proposals": 32},
        "roi_sampler": {"num_sampled_rois": 16},
        "mask_sampler": {"num_sampled_masks": 8},
        "detection_head": {"num_convs": 1, "num_filters": 16, "fc_dims": 32},
        "mask_head": {"num_convs": 1, "num_filters": 16},
        "detection_generator": {"nms_version": "batched"},
    },
    "classification": {"backbone": {"type": "resnet", "resnet": {"model_id": 18}}},
}
"""Model to what makes it small."""


@pytest.mark.parametrize(
    ("model", "metric"), [("maskrcnn", "mask_AP50"), ("classification", "globalPR-AUC")], ids=["masks", "classes"]
)
def test_experiments_of_model_garden_with_masks_and_with_classes_run(
    model: str, metric: str, request: pytest.FixtureRequest, tmp_path: pathlib.Path
) -> None:
    python = str(peer_python("model_garden"))
    records = request.getfixturevalue({"maskrcnn": "mask_records", "classification": "class_records"}[model])
    written, small = tmp_path / "written.yaml", tmp_path / "small.yaml"
    flags = ["--framework=garden", f"--model={model}", "--image_size=128", "--batch_size=2", "--steps=3"]
    assert main(["training-config", str(records), *flags, f"--output={written}"]) == 0
    small.write_text(yaml.safe_dump({"task": {"model": SMALL[model]}}))
    printed = run(
        python, "-m", "official.vision.train", f"--experiment={MODELS[model].experiment}", "--mode=train_and_eval",
        f"--config_file={written}", f"--config_file={small}", f"--model_dir={tmp_path / 'model'}", PYTHONPATH="",
    )  # fmt: skip
    assert "training until step 3" in printed
    assert metric in printed, printed[-3000:]
    losses = [float(loss) for loss in re.findall(r"_loss': np\.float32\(([^)]+)\)", printed)]
    assert losses
    assert all(map(math.isfinite, losses))


def test_torchvision_trains_and_detects(scenes: pathlib.Path, tmp_path: pathlib.Path, score: Score) -> None:
    python = str(peer_python("torchvision"))
    script = str(EXAMPLES / "torchvision" / "train.py")
    printed = run(python, script, str(scenes), "--steps=150", f"--detections={tmp_path / 'detections.json'}")
    assert score(tmp_path / "detections.json") > 0.3, printed
