"""Checks that Beam and its runner would take a job's flags, before anything is written."""

import re
from collections.abc import Sequence

from oi_tfrecord import storage
from oi_tfrecord.engine.beam_flags import check_beam_arguments, is_dataflow
from oi_tfrecord.errors import ConfigError

_EXAMPLES = {"project": "PROJECT", "region": "REGION", "temp_location": "gs://BUCKET/tmp"}
"""What a job on Dataflow cannot do without, in the order in which it is named."""


def accept_beam_arguments(beam_arguments: Sequence[str]) -> None:
    """Checks flags of Beam, and has all file systems of this process use them.

    Raises:
        ConfigError: naming the flag that Beam or its runner would not take.
    """
    check_beam_arguments(beam_arguments, ())
    check_job(beam_arguments)
    storage.use_options(beam_arguments)


def check_job(beam_arguments: Sequence[str]) -> None:
    """Checks the flags together, as Beam does when a pipeline is made.

    Args:
        beam_arguments: flags that Beam owns, each of which is known and has a good value.

    Raises:
        ConfigError: naming what is missing and how to give it, or what Beam finds wrong.
    """
    if not beam_arguments:
        return
    from apache_beam.options.pipeline_options import GoogleCloudOptions, PipelineOptions, StandardOptions
    from apache_beam.options.pipeline_options_validator import PipelineOptionsValidator
    from apache_beam.runners.runner import create_runner

    options = PipelineOptions(list(beam_arguments))
    try:
        runner = create_runner(options.view_as(StandardOptions).runner or StandardOptions.DEFAULT_RUNNER)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError("runner", _one_line(str(error))) from error
    validator = PipelineOptionsValidator(options, runner)
    problems: list[str] = []
    if is_dataflow(beam_arguments):
        google = options.view_as(GoogleCloudOptions)
        # Beam's own check of these two makes a bucket where they are bad, and asks the storage about it.
        in_temp = validator.validate_gcs_path(google, "temp_location")
        in_staging = validator.validate_gcs_path(google, "staging_location")
        if in_temp and in_staging:
            problems += in_temp if google.temp_location or not google.staging_location else in_staging
        problems += validator.validate_cloud_options(google)
    # Without the class whose check does that.
    validator.OPTIONS = [view for view in validator.OPTIONS if view is not GoogleCloudOptions]
    problems += validator.validate()
    missing = [found[1] for problem in problems if (found := re.match(r"Missing .*option: (\w+)\.$", problem))]
    if missing:
        named = [name for name in _EXAMPLES if name in missing] or missing
        flags = " ".join(f"--{name}={_EXAMPLES.get(name, 'VALUE')}" for name in named)
        raise ConfigError(named[0], f"is needed by {type(runner).__name__}; give {flags}")
    if problems:
        raise ConfigError("flags", "; ".join(map(_one_line, problems)))


def _one_line(text: str) -> str:
    return " ".join(text.split())
