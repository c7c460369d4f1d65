"""A shortened run of examples/keras/train.py, scored by the Object Detection API's evaluator."""

import pathlib
import re
import subprocess
import sys

from tests.conftest import REPOSITORY
from tests.end_to_end.trainers.conftest import Score

STEPS = 150


def test_a_detector_trains_on_the_records_alone_and_finds_objects_in_held_out_scenes(
    scenes: pathlib.Path, tmp_path: pathlib.Path, score: Score
) -> None:
    detections = tmp_path / "detections.json"
    done = subprocess.run(
        [
            sys.executable, str(REPOSITORY / "examples" / "keras" / "train.py"), str(scenes),
            f"--steps={STEPS}", f"--detections={detections}",
        ],
        check=False, capture_output=True, text=True, cwd=REPOSITORY,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    loss = re.search(
        r"^loss: ([\d.]+) in the first tenth of the steps, ([\d.]+) in the last$", done.stdout, re.MULTILINE
    )
    assert loss is not None, done.stdout
    assert float(loss[2]) < float(loss[1]) / 3
    # After 10 steps the score is 0, after these about 0.9.
    official = score(detections)
    assert official > 0.6, done.stdout
    assert done.stdout.splitlines()[-1] == f"mAP@0.5: {official:.3f}"
