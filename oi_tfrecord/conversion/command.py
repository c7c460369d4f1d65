"""Runs a conversion from its command line to its exit code."""

import contextlib
import dataclasses
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from oi_tfrecord import __version__, storage
from oi_tfrecord.conversion.dry_run.describe import describe
from oi_tfrecord.conversion.dry_run.measure import measure
from oi_tfrecord.conversion.finish import FinishJob
from oi_tfrecord.conversion.flags import Command, parse_convert
from oi_tfrecord.conversion.outcome import find_problems, print_shard_plan, print_summary
from oi_tfrecord.conversion.plan import ConvertPlan, make_plan
from oi_tfrecord.conversion.plan_shards import ShardPlan, plan_shards
from oi_tfrecord.dataset.coverage import Unit
from oi_tfrecord.dataset.file_names import rejects_path
from oi_tfrecord.dataset.manifest import TableInput
from oi_tfrecord.dataset.output_state import OutputState, planned_before, prepare_output, read_split
from oi_tfrecord.engine.beam_flags import is_local, value_of
from oi_tfrecord.engine.dataflow_flags import check_job
from oi_tfrecord.engine.progress_line import ProgressLine
from oi_tfrecord.engine.run_pipeline import import_beam_quietly, run_pipeline
from oi_tfrecord.engine.threads import Work, choose_workers, split_workers
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.schema import Listing, Table
from oi_tfrecord.settings.convert_config import IMAGE_SOURCES, ConvertConfig

_WORKERS_PER_CORE = 2
"""A dry run does not start more than these, as it would learn nothing but that they wait for each other."""


def convert(arguments: Sequence[str], out: TextIO | None = None) -> int:
    """Runs the `convert` command.

    Args:
        arguments: its flags.
        out: where the summary goes; standard output by default.

    Returns:
        Exit code: 0 if everything balances and the rejects are within bounds, 2 if they are not,
        3 if it does not balance.

    Raises:
        ConfigError, InputError: naming what to mend.
    """
    out = out or sys.stdout
    began, start_seconds = time.monotonic(), time.process_time()
    command = parse_convert(arguments)
    check_job(command.beam_arguments)
    storage.use_options(command.beam_arguments)
    if command.config.dry_run and not is_local(command.beam_arguments):
        raise ConfigError(
            "dry_run", "counts and times on this machine; leave out the runner (Beam's own dry run is --beam_dry_run)"
        )
    plan, shard_plan = _plan_shards(make_plan(command.config), out)
    if command.beam_dry_run:
        _build_job(command, plan, out)
        return 0
    is_template = _is_template(command)
    if is_template and plan.config.max_images:
        raise ConfigError("max_images", "needs two jobs, and a template is one; give --sample")
    state = prepare_output(plan)
    started = time.monotonic()
    if state.complete is not None:
        print("Nothing to do: this conversion is complete.", file=out)
    else:
        _run(command, plan, state)
    if is_template and state.complete is None:
        print(f"The job was built; it writes to {plan.config.output_dir}.", file=out)
        return 0
    split = read_split(plan.config.output_dir, plan.config.split)
    if state.complete is None:
        # Only now: what is finished stays for the next run if the last step was lost.
        plan.work.delete()
    seconds = time.monotonic() - started
    print_summary(plan, split, seconds, out)
    if plan.config.dry_run and shard_plan is not None:
        used = _count_workers(command, plan)
        workload = measure(plan, shard_plan, split, start_seconds + time.monotonic() - began, used)
        for line in describe(workload, command.workers or used, command.prices):
            print(line, file=out)
    return _exit_code(plan.config, split)


def _is_template(command: Command) -> bool:
    """Returns whether the job runs after this process has ended."""
    return bool(value_of(command.beam_arguments, "--template_location"))


def _plan_shards(plan: ConvertPlan, out: TextIO) -> tuple[ConvertPlan, ShardPlan | None]:
    """Decides the number of shards: as given, as an interrupted or finished run had it, or planned."""
    config = plan.config
    if config.num_shards and not config.dry_run:
        return plan, None
    if not config.overwrite and (num_shards := planned_before(plan)):
        return plan.with_shards(num_shards), None
    job = plan.shard_job()
    shard_plan = plan_shards(
        plan.range_job(frozenset()), job.driver, job.select, job.source, job.image_options, config.max_images
    )
    num_shards = config.num_shards or shard_plan.num_shards
    field = next(field for field in IMAGE_SOURCES if getattr(config, field))
    print_shard_plan(shard_plan, num_shards, (field, job.source.where(shard_plan.missing or "0")), out)
    return plan.with_shards(num_shards), shard_plan


def _build_job(command: Command, plan: ConvertPlan, out: TextIO) -> None:
    """Builds the job as the runner would get it, and tells of it; nothing is written or run."""
    import_beam_quietly(command.beam_arguments)
    from oi_tfrecord.conversion.pipeline import build_pipeline
    from oi_tfrecord.engine.run_pipeline import build_job

    job = build_job(command.beam_arguments, lambda root: build_pipeline(root, plan, _finish_job(plan), {}))
    print(f"job        {job.steps:,} steps, {job.size:,} bytes; staged: {', '.join(job.staged) or 'nothing'}", file=out)


def _run(command: Command, plan: ConvertPlan, state: OutputState) -> None:
    import_beam_quietly(command.beam_arguments)
    from oi_tfrecord.conversion.pipeline import build_limit_pipeline, build_pipeline

    def progress(finished_shards: int) -> ProgressLine:
        # What a compressed file holds is known only once it is read.
        files = plan.files_to_read
        total_bytes = 0 if any(file.compressed for file in files) else sum(file.size for file in files)
        return ProgressLine(
            plan.work, total_bytes=total_bytes, num_shards=plan.num_shards, finished_shards=finished_shards
        )

    processes, threads = split_workers(_count_workers(command, plan), is_local=is_local(command.beam_arguments))
    work = plan.work
    if state.finished:
        print(f"Going on: {len(state.finished)} of {plan.num_shards} shards are finished.", file=sys.stderr)
    try:
        with _shuffle_folder(command, plan) as folder:
            plan = dataclasses.replace(plan, shuffle_folder=folder, threads=threads)
            if plan.config.max_images:
                run_pipeline(
                    command.beam_arguments, processes, progress(0), lambda root: build_limit_pipeline(root, plan)
                )
                plan = plan.with_image_limit(plan.work.limit())
                plan.work.clear_temporary()
                if folder:
                    storage.delete_folder(folder)
                    storage.make_folder(folder)
            run_pipeline(
                command.beam_arguments,
                processes,
                progress(len(state.finished)),
                lambda root: build_pipeline(
                    root, plan, _finish_job(plan), state.finished, fails_by_rejects=_is_template(command)
                ),
            )
    except Exception as error:
        # Beam rewords the exceptions of its workers; the stored one names the file as it is.
        raise work.error(error) or error from None


def _shuffle_folder(command: Command, plan: ConvertPlan) -> contextlib.AbstractContextManager[str]:
    """Returns the folder of a local run's shuffle, "" for a run elsewhere."""
    from oi_tfrecord.engine.local_runner import temporary_folder

    if not is_local(command.beam_arguments):
        return contextlib.nullcontext("")
    # Beside the output, or, as a shuffle through remote storage would be slow, on this machine.
    return temporary_folder(plan.work.shuffle if storage.is_local(plan.work.path) else "")


def _count_workers(command: Command, plan: ConvertPlan) -> int:
    """Returns the number of local workers; a dry run that asks for those of a cluster gets what this machine has."""
    cores = os.cpu_count() or 1
    if command.workers and not (plan.config.dry_run and command.workers > _WORKERS_PER_CORE * cores):
        return command.workers
    return cores if command.workers else _choose_workers(plan)


def _choose_workers(plan: ConvertPlan) -> int:
    if plan.config.dry_run:
        work, size = Work.COUNT_ROWS, sum(file.size for file in plan.files if isinstance(file.table, Table))
    else:
        work = Work.COPY_IMAGES if plan.config.image_mode == "copy" else Work.DECODE_IMAGES
        size = sum(file.size for file in plan.files if file.table == plan.config.driver)
    return choose_workers(work, size, plan.num_shards)


def _finish_job(plan: ConvertPlan) -> FinishJob:
    inputs = tuple(map(_table_input, plan.files_to_read))
    about = {
        "oi_tfrecord": __version__,
        "config": plan.config.shaping(),
        "class_files": dict(plan.class_files),
        "fingerprint": plan.fingerprint,
        "warnings": plan.warnings,
    }
    config = plan.config
    attribution_csv = config.attribution_csv and not config.dry_run
    return FinishJob(
        config.split, config.output_dir, plan.work, inputs, about, plan.asked, attribution_csv, config.dry_run
    )


def _table_input(file: InputFile) -> TableInput:
    unit = Unit.UNPACKED_BYTES if file.compressed else Unit.BYTES
    if isinstance(file.table, Listing):
        unit = Unit.FILES
    return TableInput(str(file.table), file.number, file.path, file.size, file.header_lines, file.rows_start, unit)


def _exit_code(config: ConvertConfig, split: Mapping[str, Any]) -> int:
    code, problems = find_problems(split, config.max_rejects, rejects_path(config.output_dir, config.split))
    for line in problems:
        print(f"error: {line}", file=sys.stderr)
    return code
