"""Runs a pipeline on the runner of the command line, or locally."""

import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

from oi_tfrecord.progress import ProgressLine
from oi_tfrecord.worker import keep_told_errors_off_the_log


def import_beam_quietly() -> None:
    """Imports Beam, which warns of optional packages that it misses; a user can do nothing about them."""
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.ERROR)
    import apache_beam  # noqa: F401

    logging.getLogger().setLevel(level)
    keep_told_errors_off_the_log()


def is_local(beam_arguments: Sequence[str]) -> bool:
    """Returns whether a pipeline with these flags runs on this machine, as they name no runner."""
    return not any(argument.partition("=")[0] == "--runner" for argument in beam_arguments)


def run_pipeline(
    beam_arguments: Sequence[str], workers: int, progress: ProgressLine, build: Callable[[Any], Any]
) -> None:
    """Builds a pipeline, runs it to its end and shows how far it is.

    Args:
      beam_arguments: flags that Beam owns; without `--runner` the pipeline runs on this machine.
      workers: local worker processes.
      progress: the line to show.
      build: adds the steps to the pipeline it is given.
    """
    from apache_beam import Pipeline
    from apache_beam.options.pipeline_options import PipelineOptions

    from oi_tfrecord.local_runner import ended_by_interrupt, make_local_runner

    arguments = list(beam_arguments)
    local = is_local(beam_arguments)
    if local:
        arguments.append(f"--direct_num_workers={workers}")
        # Both tell of the number of workers, which is our choice here.
        for name in ("fn_api_runner.fn_runner", "local_job_service"):
            logging.getLogger(f"apache_beam.runners.portability.{name}").setLevel(logging.ERROR)
    options = PipelineOptions(arguments)
    pipeline = Pipeline(runner=make_local_runner(options, workers) if local else None, options=options)
    build(pipeline)
    progress.start()
    try:
        with ended_by_interrupt() if local else contextlib.nullcontext():
            pipeline.run().wait_until_finish()
    finally:
        progress.stop()
