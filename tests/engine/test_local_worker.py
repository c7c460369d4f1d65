import subprocess
import sys

import pytest

from tests.support import small_release
from tests.support.processes import processes_of, wait_until

PARENT = """
import subprocess, sys, time
worker = "import os; from oi_tfrecord.engine.local_worker import _die_with_parent as die; die(os.getppid())"
worker += "; print('there', flush=True)"
subprocess.Popen([sys.executable, "-c", worker + "; import time; time.sleep(600)"])
time.sleep(600)
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the end of a parent")


@linux
def test_dies_with_its_parent() -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT], env=small_release.environment(), cwd=small_release.ROOT,
        stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert parent.stdout is not None
    assert parent.stdout.readline() == "there\n"
    assert len(processes_of(parent.pid)) == 2
    parent.kill()
    parent.wait()
    wait_until(lambda: not processes_of(parent.pid), "the child is gone")
    parent.stdout.close()


@linux
def test_does_not_start_for_a_parent_that_is_gone() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "oi_tfrecord.engine.local_worker", "1"],
        env=small_release.environment(), cwd=small_release.ROOT, capture_output=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"")
