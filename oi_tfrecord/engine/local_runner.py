"""The runner of local conversions: Beam's FnApiRunner, in this process or with worker processes."""

import contextlib
import logging
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
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.job import utils
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo
from apache_beam.transforms.environments import SubprocessSDKEnvironment

WORKER_DIED = 70

INTERRUPTED = 130
"""Exit codes; the second is that of shells for a command that the keyboard interrupted."""


def make_local_runner(options: PipelineOptions, workers: int) -> FnApiRunner:
    """Returns the runner.

    It is named rather than left to `DirectRunner`, which means another runner where the machine
    has a network.

    Args:
        options: of the pipeline. Worker processes get them (those of filesystems among them) only
            through the provision info, which Beam leaves empty.
        workers: 1 works in this process, more in as many processes.
    """
    if workers == 1:
        return FnApiRunner()
    values = {
        # A protobuf Struct has no integers: 2 would come back as 2.0.
        name: str(value) if isinstance(value, int) and not isinstance(value, bool) else value
        for name, value in options.get_all_options(drop_default=True).items()
        if isinstance(value, (str, int, float, bool, list))
    }
    provision = beam_provision_api_pb2.ProvisionInfo(pipeline_options=utils.dict_to_struct(values))
    threading.excepthook = _end_with_worker
    logging.getLogger("apache_beam.runners.worker.data_plane").addFilter(_is_news)
    return FnApiRunner(
        default_environment=SubprocessSDKEnvironment.from_command_string(
            f"exec {sys.executable} -m oi_tfrecord.engine.local_worker {os.getpid()}"
        ),
        provision_info=ExtendedProvisionInfo(provision),
    )


@contextlib.contextmanager
def ended_by_interrupt() -> Iterator[None]:
    """Ends the process at once when the keyboard interrupts the block.

    As an exception an interrupt would become an error of the step it happens to hit, and threads
    would work on to their end.
    """

    def end(number: int, frame: object) -> None:
        _end("interrupted", INTERRUPTED)

    # Who started the command in the background may have made it ignore interrupts.
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
    """Yields a folder that is deleted however the run ends, but for a kill.

    Args:
        folder: which; empty makes one on this machine.
    """
    made = folder or tempfile.mkdtemp(prefix="oi_tfrecord-")
    _folders.append(made)
    try:
        yield made
    finally:
        _folders.remove(made)
        shutil.rmtree(made, ignore_errors=True)


_folders: list[str] = []


def _end_with_worker(arguments: threading.ExceptHookArgs) -> None:
    """Ends the process when a worker process died: Beam raises in the thread that waits for it, and hangs."""
    if arguments.thread is not None and arguments.thread.name == "run_worker":
        remedy = "If the machine is short of memory, give fewer --workers or a smaller --csv_block_mb"
        _end(f"{arguments.exc_value}. {remedy}", WORKER_DIED)
    if not issubclass(arguments.exc_type, grpc.RpcError):
        threading.__excepthook__(arguments)


def _is_news(record: logging.LogRecord) -> bool:
    """Tells what is not: that threads that talk to a worker fail of its end, too."""
    return not (record.exc_info and isinstance(record.exc_info[1], grpc.RpcError))


def _end(problem: str, code: int) -> NoReturn:
    # The line that tells how far the conversion is may be on the terminal.
    clear = "\r\x1b[2K" if sys.stderr.isatty() else ""
    sys.stderr.write(f"{clear}error: {problem}. Run the same command again to go on with what is finished.\n")
    sys.stderr.flush()
    for folder in _folders:
        shutil.rmtree(folder, ignore_errors=True)
    os._exit(code)
