"""The keyboard while a command imports its modules."""

import pathlib
import subprocess
import sys

import pytest

from tests.support import small_release

INTERRUPTING = """
import os, sys

class Interrupting:
    count = 0

    def find_spec(self, name, path, target=None):
        if Interrupting.count or name.startswith("oi_tfrecord.cli"):
            Interrupting.count += 1
        if Interrupting.count == {at}:
            os.kill(os.getpid(), 2)

sys.meta_path.insert(0, Interrupting())
"""


@pytest.mark.parametrize("at", [1, 2, 3, 40, 150])
def test_an_interruption_of_any_import_is_one_line(at: int, tmp_path: pathlib.Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(INTERRUPTING.format(at=at))
    environment = small_release.environment()
    environment["PYTHONPATH"] = f"{tmp_path}:{environment['PYTHONPATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "oi_tfrecord", "convert", "--config=none.yaml"],
        env=environment, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n"), done.stdout) == (130, 1, ""), done.stderr
    assert done.stderr.startswith("error: interrupted")
