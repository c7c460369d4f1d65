import logging
import subprocess
import sys
from collections.abc import Iterator

import pytest

from oi_tfrecord.engine.local_worker import keep_told_errors_off_the_log
from oi_tfrecord.errors import EncodedFileError, InputError, StorageError
from tests.support import small_release
from tests.support.processes import processes_of, wait_until

PARENT = """
import subprocess, sys, time
worker = "import os; from oi_tfrecord.engine.local_worker import _die_with_parent as die; die(os.getppid())"
worker += "; print('there', flush=True)"
subprocess.Popen([sys.executable, "-c", worker + "; import time; time.sleep(600)"])
time.sleep(600)
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's end")


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


@pytest.fixture
def quiet() -> Iterator[None]:
    loggers = [logging.getLogger(), logging.getLogger("apache_beam.runners.common")]
    before = [list(logger.filters) for logger in loggers]
    keep_told_errors_off_the_log()
    yield
    for logger, filters in zip(loggers, before, strict=True):
        logger.filters[:] = filters


@pytest.mark.usefixtures("quiet")
def test_only_errors_that_are_told_are_kept_off_the_log(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("apache_beam.runners.common")
    told = [
        InputError("a.csv", "is cut off", "Mend it"),
        StorageError("a", "is full", "Mend it"),
        EncodedFileError("x"),
    ]
    for error in (*told, ValueError("a fault")):
        try:
            raise error
        except Exception:
            logger.exception("while processing")
    assert [record.exc_info[1].args for record in caplog.records if record.exc_info] == [("a fault",)]


@pytest.mark.usefixtures("quiet")
def test_what_an_engine_says_of_told_errors_is_kept_off_the_log(caplog: pytest.LogCaptureFixture) -> None:
    # Beam's PortableRunner logs an engine's messages on the root logger.
    of_worker = "java.lang.RuntimeException: Error received from SDK harness for instruction 4: Traceback ...\n"
    logging.log(logging.ERROR, "%s", of_worker + "oi_tfrecord.errors.StorageError: a.jpg: is full. Free space.")
    logging.log(logging.ERROR, "%s", of_worker + "ValueError: a fault")
    assert [record.getMessage() for record in caplog.records] == [of_worker + "ValueError: a fault"]
