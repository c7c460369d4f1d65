import os
import pathlib
import signal
import subprocess
import sys
import threading

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.transforms.environments import EmbeddedPythonEnvironment

from oi_tfrecord.engine import local_runner
from oi_tfrecord.engine.local_runner import WORKER_DIED, make_local_runner
from tests.support import small_release
from tests.support.processes import HANG_SECONDS, processes_of, wait_until
from tests.support.small_release import convert


@pytest.fixture(autouse=True)
def _excepthook() -> object:
    """Undoes what the runner does to the whole process."""
    before = threading.excepthook
    yield
    threading.excepthook = before


@pytest.mark.skipif(sys.platform != "linux", reason="finds the workers in /proc")
def test_a_killed_worker_ends_the_command_and_a_rerun_resumes(tmp_path: pathlib.Path) -> None:
    release = small_release.write_release(tmp_path / "data", images=520, size=(640, 480))
    flags = release.flags(tmp_path / "out", num_shards=13, image_mode="verify", workers=4)
    process = subprocess.Popen(
        small_release.command(*flags), cwd=small_release.ROOT, env=small_release.environment(),
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    shards = lambda: list((tmp_path / "out").glob("train.tfrecord-*"))  # noqa: E731
    wait_until(lambda: bool(shards()) or process.poll() is not None, "a shard is finished")
    workers = processes_of(process.pid, "oi_tfrecord.engine.local_worker")
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    _, printed = process.communicate(timeout=HANG_SECONDS)
    assert process.returncode == WORKER_DIED, printed
    *_, error = printed.splitlines()
    assert error.startswith("error: ")
    assert "Traceback" not in printed
    assert "return code -9" in error
    assert "--workers" in error
    assert "same command again" in error
    wait_until(lambda: not processes_of(process.pid), "the other worker is gone, too")
    assert 0 < len(shards()) < 13
    assert convert(release.flags(tmp_path / "out", num_shards=13, image_mode="verify", workers=1)) == 0
    assert convert(release.flags(tmp_path / "undisturbed", num_shards=13, image_mode="verify")) == 0
    assert small_release.dataset(tmp_path / "out") == small_release.dataset(tmp_path / "undisturbed")


def test_one_worker_is_this_process() -> None:
    assert isinstance(make_local_runner(PipelineOptions([]), 1)._default_environment, EmbeddedPythonEnvironment)


def test_worker_processes_know_their_parent() -> None:
    environment = make_local_runner(PipelineOptions([]), 3)._default_environment
    assert environment.command_string.endswith(f"-m oi_tfrecord.engine.local_worker {os.getpid()}")


def test_other_threads_end_as_usual(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(threading, "__excepthook__", seen.append)
    monkeypatch.setattr(local_runner.os, "_exit", lambda code: pytest.fail("ended"))
    monkeypatch.setattr(threading, "excepthook", local_runner._end_with_worker)

    def fail() -> None:
        raise ValueError("of another thread")

    thread = threading.Thread(target=fail, name="another")
    thread.start()
    thread.join()
    assert [str(arguments.exc_value) for arguments in seen] == ["of another thread"]
