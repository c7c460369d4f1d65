"""The runner of local conversions: Beam's FnApiRunner, in this process or with worker processes."""

import os
import sys
import threading

from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.portability.api import beam_provision_api_pb2
from apache_beam.runners.job import utils
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.portability.fn_api_runner.fn_runner import ExtendedProvisionInfo
from apache_beam.transforms.environments import SubprocessSDKEnvironment

WORKER_DIED = 70


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
    return FnApiRunner(
        default_environment=SubprocessSDKEnvironment.from_command_string(
            f"exec {sys.executable} -m oi_tfrecord.worker"
        ),
        provision_info=ExtendedProvisionInfo(provision),
    )


def _end_with_worker(arguments: threading.ExceptHookArgs) -> None:
    """Ends the process when a worker process died: Beam raises in the thread that waits for it, and hangs."""
    if arguments.thread is None or arguments.thread.name != "run_worker":
        threading.__excepthook__(arguments)
        return
    print(
        f"error: {arguments.exc_value}. If the machine is short of memory, give fewer --workers or a smaller "
        "--csv_block_mb. Run the same command again to go on with what is finished.",
        file=sys.stderr,
        flush=True,
    )
    os._exit(WORKER_DIED)
