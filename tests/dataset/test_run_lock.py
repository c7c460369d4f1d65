import pathlib
import subprocess
import sys

import pytest

from oi_tfrecord.dataset.run_lock import FOLDER_LOCK, hold_folder, hold_split, split_lock
from oi_tfrecord.errors import ConfigError
from tests.conftest import REPOSITORY

HOLDER = """
import sys
from oi_tfrecord.dataset.run_lock import hold_split
with hold_split(sys.argv[1], "train"):
    print("held", flush=True)
    sys.stdin.readline()
"""


def holder_of(folder: pathlib.Path) -> "subprocess.Popen[str]":
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_run_of_a_split_is_refused_and_names_the_process(tmp_path: pathlib.Path) -> None:
    process = holder_of(tmp_path)
    with (
        pytest.raises(ConfigError, match=f"is being written by process {process.pid} on "),
        hold_split(str(tmp_path), "train"),
    ):
        pass
    # Another split of the folder is free.
    with hold_split(str(tmp_path), "validation"):
        assert (tmp_path / split_lock("validation")).exists()
    process.communicate("end\n")
    with hold_split(str(tmp_path), "train"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_killed_process_holds_no_lock(tmp_path: pathlib.Path) -> None:
    process = holder_of(tmp_path)
    process.kill()
    process.communicate()
    assert (tmp_path / split_lock("train")).exists()
    with hold_split(str(tmp_path), "train"):
        pass
    assert not list(tmp_path.iterdir())


def test_a_lock_file_that_is_deleted_while_another_waits_is_not_believed(tmp_path: pathlib.Path) -> None:
    with hold_folder(str(tmp_path)):
        assert (tmp_path / FOLDER_LOCK).exists()
    with hold_folder(str(tmp_path)):
        # The first holder deleted its file, so this one is new.
        assert (tmp_path / FOLDER_LOCK).exists()
    assert not list(tmp_path.iterdir())
