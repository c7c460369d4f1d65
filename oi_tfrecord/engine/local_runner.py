"""The runner of local conversions: Beam's FnApiRunner, in this process or with worker processes."""

import os
import sys
import threading

import grpc  # type: ignore[import-untyped]
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from oi_tfrecord.engine.beam_internals import hide_lost_connections, is_worker_thread, make_provision_info
from oi_tfrecord.engine.local_end import end_run

WORKER_DIED = 70
"""Exit code of a run whose worker process died."""


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


def _end_with_worker(arguments: threading.ExceptHookArgs) -> None:
    """Ends the process when a worker process died: Beam raises in the thread that waits for it, and hangs."""
    if is_worker_thread(arguments.thread):
        remedy = "If the machine is short of memory, give fewer --workers or a smaller --csv_block_mb"
        end_run(f"{arguments.exc_value}. {remedy}", WORKER_DIED)
    if not issubclass(arguments.exc_type, grpc.RpcError):
        threading.__excepthook__(arguments)
