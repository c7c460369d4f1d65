"""Short forms of the trainings of examples/ in environments of their own, which `make trainings` installs."""

import os
import pathlib
import subprocess
import sys

import pytest

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
    assert score(tmp_path / "out" / "detections.json") > least, printed[-3000:]


def test_torchvision_trains_and_detects(scenes: pathlib.Path, tmp_path: pathlib.Path, score: Score) -> None:
    python = str(peer_python("torchvision"))
    script = str(EXAMPLES / "torchvision" / "train.py")
    printed = run(python, script, str(scenes), "--steps=150", f"--detections={tmp_path / 'detections.json'}")
    assert score(tmp_path / "detections.json") > 0.3, printed
