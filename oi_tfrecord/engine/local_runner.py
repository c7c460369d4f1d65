"""The runner of local conversions: Beam's FnApiRunner, in this process or with worker processes."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from typing import NoReturn

import grpc  # type: ignore[import-untyped]
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from oi_tfrecord.engine.beam_internals import hide_lost_connections, is_worker_thread, make_provision_info

WORKER_DIED = 70
"""Exit code of a run whose worker process died."""

INTERRUPTED = 130
"""Exit code of shells for a command that the keyboard interrupted."""


def make_local_runner(options: PipelineOptions, workers: int) -> FnApiRunner:
    """Returns the runner; `DirectRunner` is another runner where the machine has a network.

    Args:
        options: options of the pipeline.
        workers: 1 works in this process, more in as many processes.
    """
    if workers == 1:
        return FnApiRunner()
    threading.excepthook = _end_with_worker
    hide_lost_connections()
    return FnApiRunner(
        default_environment=SubprocessSDKEnvironment.from_command_string(
            f"exec {sys.executable} -m oi_tfrecord.engine.local_worker {os.getpid()}"
        ),
        provision_info=make_provision_info(options),
    )


@contextlib.contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """Ends the process at once when the keyboard interrupts the block.

    An exception would become an error of the step that it happens to hit, and threads would work on to their end.
    """

    def end(number: int, frame: object) -> None:
        _end("interrupted", INTERRUPTED)

    # A command that was started in the background may have to ignore interrupts.
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        yield
        return
    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def temporary_folder(folder: str = "") -> Iterator[str]:
    """Yields a folder that is deleted however the run ends, unless it is killed.

    Args:
        folder: its path; empty makes a folder on this machine.
    """
    made = folder or tempfile.mkdtemp(prefix="oi_tfrecord-")
    _folders.append(made)
    try:
        yield made
    finally:
        _folders.remove(made)
        shutil.rmtree(made, ignore_errors=True)


_folders: list[str] = []
"""Folders to delete when the process ends in the middle of a run."""


def _end_with_worker(arguments: threading.ExceptHookArgs) -> None:
    """Ends the process when a worker process died: Beam raises in the thread that waits for it, and hangs."""
    if is_worker_thread(arguments.thread):
        remedy = "If the machine is short of memory, give fewer --workers or a smaller --csv_block_mb"
        _end(f"{arguments.exc_value}. {remedy}", WORKER_DIED)
    if not issubclass(arguments.exc_type, grpc.RpcError):
        threading.__excepthook__(arguments)


def _end(problem: str, code: int) -> NoReturn:
    # The progress line may be on the terminal.
    clear = "\r\x1b[2K" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{clear}error: {problem}. Run the same command again to resume.\n")
    sys.stderr.flush()
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(code)
