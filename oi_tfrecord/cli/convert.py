r"""Converts one split of Open Images to TFRecords.

On this machine:

  oi-tfrecord convert --config=configs/v3.yaml --split=validation --data_dir=2017_11 \
    --images='validation/{image_id}.jpg' --output_dir=records --num_shards=16

On Dataflow:

  oi-tfrecord convert --config=configs/v3.yaml --split=train --data_dir=gs://BUCKET/2017_11 \
    --images='gs://BUCKET/train/{image_id}.jpg' --output_dir=gs://BUCKET/records --num_shards=2048 \
    --runner_config=dataflow --project=PROJECT --region=REGION \
    --temp_location=gs://BUCKET/tmp --setup_file=./setup.py
"""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, TextIO

from oi_tfrecord.cli.command_line import run_command
from oi_tfrecord.engine.shared_heap import share_freed_memory
from oi_tfrecord.storage.optional_imports import keep_pandas_from_arrow

if TYPE_CHECKING:
    from oi_tfrecord.conversion.flags import Command


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if any(argument in ("-h", "--help", "-help") for argument in arguments):
        from oi_tfrecord.conversion.flags import describe_convert_flags

        print(f"{__doc__}\nFlags (each is also a key of the configuration file):\n{describe_convert_flags()}")
        print("All flags of Apache Beam are taken too.")
        return 0
    share_freed_memory()
    keep_pandas_from_arrow()
    return run_command(
        lambda: run(arguments, sys.stdout),
        "interrupted; a job that was handed to a remote runner goes on there: cancel it before you run this again",
    )


def run(arguments: Sequence[str], out: TextIO) -> int:
    """Runs the command that the flags ask for, and prints its result to `out`.

    Returns:
        Exit code: 0 if everything balances and the rejects are within bounds, 2 if they are not, 3 if it does not
        balance.

    Raises:
        OiTfrecordError: naming what to correct.
    """
    from oi_tfrecord.conversion.flags import parse_convert
    from oi_tfrecord.engine.beam_flags import value_of

    command = parse_convert(arguments)
    if command.config.dry_run:
        return _dry_run(command, out)
    if command.beam_dry_run:
        return _build_beam_job(command, out)
    if value_of(command.beam_arguments, "--template_location"):
        return _build_template(command, out)
    return _convert(command, out)


def _convert(command: "Command", out: TextIO) -> int:
    from oi_tfrecord.conversion.convert import convert
    from oi_tfrecord.conversion.outcome import summary_lines
    from oi_tfrecord.engine.progress_line import PrintedProgress

    result = convert(
        command.config,
        workers=command.workers,
        beam_arguments=command.beam_arguments,
        progress=PrintedProgress(out),
    )
    print("\n".join(summary_lines(result)), file=out)
    return _print_problems(result.problems, result.exit_code)


def _dry_run(command: "Command", out: TextIO) -> int:
    from oi_tfrecord.conversion.convert import dry_run
    from oi_tfrecord.conversion.dry_run.describe import describe
    from oi_tfrecord.conversion.outcome import dry_run_lines
    from oi_tfrecord.engine.progress_line import PrintedProgress

    result = dry_run(
        command.config,
        workers=command.workers,
        beam_arguments=command.beam_arguments,
        progress=PrintedProgress(out),
    )
    estimate = describe(result.workload, command.workers or result.workers, command.prices)
    print("\n".join([*dry_run_lines(result.counted), *estimate]), file=out)
    return _print_problems(result.counted.problems, result.counted.exit_code)


def _build_beam_job(command: "Command", out: TextIO) -> int:
    from oi_tfrecord.conversion.convert import build_beam_job
    from oi_tfrecord.engine.progress_line import PrintedProgress

    job = build_beam_job(command.config, beam_arguments=command.beam_arguments, progress=PrintedProgress(out))
    print(f"job        {job.steps:,} steps, {job.size:,} bytes; staged: {', '.join(job.staged) or 'nothing'}", file=out)
    return 0


def _build_template(command: "Command", out: TextIO) -> int:
    from oi_tfrecord.conversion.convert import build_template
    from oi_tfrecord.engine.progress_line import PrintedProgress

    built = build_template(command.config, beam_arguments=command.beam_arguments, progress=PrintedProgress(out))
    if built.was_complete:
        print("Nothing to do: this conversion is complete.", file=out)
    else:
        print(f"The job was built; it writes to {built.output_dir}.", file=out)
    return 0


def _print_problems(problems: Sequence[str], exit_code: int) -> int:
    for line in problems:
        print(f"error: {line}", file=sys.stderr)
    return exit_code


if __name__ == "__main__":
    sys.exit(main())
