"""`oi-tfrecord convert`: converts a split, tries the conversion out, or builds its job for Dataflow."""

from collections.abc import Sequence

from oi_tfrecord.cli.command import BeamFlags, Command, Example
from oi_tfrecord.cli.console import Console, SummaryOptions
from oi_tfrecord.cli.convert_flags import Conversion, RunOptions, make_conversion
from oi_tfrecord.cli.exit_codes import ExitCode
from oi_tfrecord.cli.flags import ParsedFlags
from oi_tfrecord.cli.runner_options import RunnerOptions
from oi_tfrecord.engine.beam_flags import value_of
from oi_tfrecord.settings.convert_config import ConvertConfig
from oi_tfrecord.storage.optional_imports import keep_pandas_from_arrow


def run(parsed: ParsedFlags, console: Console) -> int:
    """Runs what the flags ask for."""
    keep_pandas_from_arrow()
    conversion = make_conversion(parsed)
    if conversion.config.dry_run:
        return _dry_run(conversion, console)
    if conversion.beam_dry_run:
        return _build_beam_job(conversion, console)
    if value_of(conversion.beam_arguments, "--template_location"):
        return _build_template(conversion, console)
    return _convert(conversion, console)


def _convert(conversion: Conversion, console: Console) -> int:
    from oi_tfrecord.conversion.convert import convert
    from oi_tfrecord.conversion.outcome import summary_lines

    result = convert(
        conversion.config,
        workers=conversion.workers,
        beam_arguments=conversion.beam_arguments,
        progress=console.progress,
    )
    console.print_result(summary_lines(result), result)
    console.print_warnings(result.manifest["warnings"])
    return _print_problems(result.problems, result.exit_code, console)


def _dry_run(conversion: Conversion, console: Console) -> int:
    from oi_tfrecord.conversion.convert import dry_run
    from oi_tfrecord.conversion.dry_run.describe import describe
    from oi_tfrecord.conversion.outcome import dry_run_lines

    result = dry_run(
        conversion.config,
        workers=conversion.workers,
        beam_arguments=conversion.beam_arguments,
        progress=console.progress,
    )
    estimate = describe(result.workload, conversion.workers or result.workers, conversion.prices)
    console.print_result([*dry_run_lines(result.counted), *estimate], result)
    console.print_warnings(result.counted.manifest["warnings"])
    return _print_problems(result.counted.problems, result.counted.exit_code, console)


def _build_beam_job(conversion: Conversion, console: Console) -> int:
    from oi_tfrecord.conversion.convert import build_beam_job

    job = build_beam_job(conversion.config, beam_arguments=conversion.beam_arguments, progress=console.progress)
    staged = ", ".join(job.staged) or "nothing"
    console.print_summary([f"job        {job.steps:,} steps, {job.size:,} bytes; staged: {staged}"])
    return 0


def _build_template(conversion: Conversion, console: Console) -> int:
    from oi_tfrecord.conversion.convert import build_template

    built = build_template(conversion.config, beam_arguments=conversion.beam_arguments, progress=console.progress)
    if built.was_complete:
        console.print_summary(["Nothing to do: this conversion is complete."])
    else:
        console.print_summary([f"The job was built; it writes to {built.output_dir}."])
    return 0


def _print_problems(problems: Sequence[str], exit_code: int, console: Console) -> int:
    for problem in problems:
        console.print_error(problem)
    return exit_code


COMMAND = Command(
    name="convert",
    examples=(
        Example(
            "On this machine",
            "oi-tfrecord convert --config=v3 --split=validation --data_dir=2017_11 "
            "--images='validation/{image_id}.jpg' --output_dir=records",
        ),
        Example(
            "On Dataflow",
            "oi-tfrecord convert --config=v3 --split=train --data_dir=gs://BUCKET/2017_11 "
            "--images='gs://BUCKET/train/{image_id}.jpg' --output_dir=gs://BUCKET/records --num_shards=2048 "
            "--runner_config=dataflow --project=PROJECT --region=REGION --temp_location=gs://BUCKET/tmp "
            "--sdk_container_image=IMAGE",
        ),
    ),
    options=(RunOptions, RunnerOptions, SummaryOptions, ConvertConfig),
    run=run,
    details=(
        "Flags that decide what is read and written are also keys of the configuration file.",
        "Names of CSV and class files are relative to --data_dir unless they are absolute or have a scheme, and may "
        "hold {split} and {short_split} (`val` for validation). Of the names given for one table, the first file that "
        "exists is read, also with .gz or .bz2 added.",
        "The same inputs and flags give the same bytes, whatever the number of workers. Run the same command again to "
        "resume an interrupted conversion.",
    ),
    beam_flags=BeamFlags.ALL,
    exit_codes=tuple(ExitCode),
    when_interrupted=(
        "interrupted; a job that was handed to a remote runner still runs there: cancel it before you run this again"
    ),
)
