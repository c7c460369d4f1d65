"""Checks that Beam and its runner would take a job's flags, before anything is written."""

import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from oi_tfrecord import storage
from oi_tfrecord.engine.beam_flags import check_beam_arguments, is_dataflow, runs_here, value_of
from oi_tfrecord.engine.beam_internals import find_option_problems
from oi_tfrecord.engine.job_server import check_servers
from oi_tfrecord.errors import ConfigError

if TYPE_CHECKING:
    from apache_beam.options.pipeline_options import PipelineOptions

_EXAMPLES = {"project": "PROJECT", "region": "REGION", "temp_location": "gs://BUCKET/tmp"}
"""Flags that a job on Dataflow needs, in the order in which missing ones are named, with an example of each."""


def accept_beam_arguments(beam_arguments: Sequence[str]) -> None:
    """Checks flags of Beam, and has all file systems of this process use them.

    Raises:
        ConfigError: naming the flag that Beam or its runner would not take.
    """
    check_beam_arguments(beam_arguments, ())
    check_job(beam_arguments)
    if not runs_here(beam_arguments):
        check_servers(functools.partial(value_of, beam_arguments))
    storage.start_command(beam_arguments)


def check_job(beam_arguments: Sequence[str]) -> None:
    """Checks the flags together, as Beam does when a pipeline is made.

    Args:
        beam_arguments: Beam's flags, each of which is known and has a good value.

    Raises:
        ConfigError: naming the flags that are missing and how to give them, or what Beam finds wrong.
    """
    if not beam_arguments:
        return
    from apache_beam.options.pipeline_options import PipelineOptions

    options = PipelineOptions(list(beam_arguments))
    runner = _create_runner(options)
    problems = find_option_problems(options, runner, checks_google=is_dataflow(beam_arguments))
    missing = [found[1] for problem in problems if (found := re.match(r"Missing .*option: (\w+)\.$", problem))]
    if missing:
        named = [name for name in _EXAMPLES if name in missing] or missing
        flags = " ".join(f"--{name}={_EXAMPLES.get(name, 'VALUE')}" for name in named)
        raise ConfigError(named[0], f"is needed by {type(runner).__name__}; give {flags}")
    if problems:
        raise ConfigError("flags", "; ".join(map(_one_line, problems)))


def _create_runner(options: "PipelineOptions") -> object:
    from apache_beam.options.pipeline_options import StandardOptions
    from apache_beam.runners.runner import create_runner

    try:
        return create_runner(options.view_as(StandardOptions).runner or StandardOptions.DEFAULT_RUNNER)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError("runner", _one_line(str(error))) from error


def _one_line(text: str) -> str:
    return " ".join(text.split())
