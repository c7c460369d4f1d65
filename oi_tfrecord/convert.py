"""Runs a conversion from its command line to its exit code."""

import logging
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

from oi_tfrecord import __version__, storage
from oi_tfrecord.config import ConvertConfig, parse_max_rejects
from oi_tfrecord.finish import LABEL_MAP_FILE, FinishJob, rejects_file
from oi_tfrecord.manifest import MANIFEST_FILE, TableInput, too_many_rejects
from oi_tfrecord.options import Command, parse_convert
from oi_tfrecord.output_state import OutputState, first_shard, prepare_output, read_split
from oi_tfrecord.plan import ConvertPlan, make_plan
from oi_tfrecord.progress import ProgressLine
from oi_tfrecord.tables import Table

SMALL_METADATA_BYTES = 8 << 20
"""Below this (some 20,000 images) a second process costs more time to start than it saves."""


def convert(arguments: Sequence[str], out: TextIO = sys.stdout) -> int:
    """Runs the `convert` command.

    Args:
      arguments: its flags.
      out: where the summary goes.

    Returns:
      Exit code: 0 if everything balances and the rejects are within bounds, 2 if they are not,
      3 if it does not balance.

    Raises:
      ConfigError, InputError: naming what to mend.
    """
    command = parse_convert(arguments)
    plan = make_plan(command.config)
    state = prepare_output(plan)
    started = time.monotonic()
    if state.complete is not None:
        print("Nothing to do: this conversion is complete.", file=out)
    else:
        _run(command, plan, state)
    split = read_split(plan.config.output_dir, plan.config.split)
    _print_summary(plan, split, time.monotonic() - started, out)
    return _exit_code(plan.config, split)


def _run(command: Command, plan: ConvertPlan, state: OutputState) -> None:
    # Beam warns of optional packages when it is imported, which a user can do nothing about.
    logging.getLogger().setLevel(logging.ERROR)
    from apache_beam import Pipeline
    from apache_beam.options.pipeline_options import PipelineOptions

    from oi_tfrecord.local_runner import make_local_runner
    from oi_tfrecord.pipeline import build_pipeline

    arguments = list(command.beam_arguments)
    named_runner = any(argument.partition("=")[0] == "--runner" for argument in arguments)
    workers = command.workers or _choose_workers(plan)
    if not named_runner:
        arguments.append(f"--direct_num_workers={workers}")
    progress = ProgressLine(
        plan.work,
        total_bytes=sum(file.size for file in plan.files),
        num_shards=plan.num_shards,
        finished_shards=len(state.finished),
    )
    if state.finished:
        print(f"Going on: {len(state.finished)} of {plan.num_shards} shards are finished.", file=sys.stderr)
    logging.getLogger().setLevel(logging.WARNING)
    # Both tell of the number of workers, which is our choice here.
    for name in ("fn_api_runner.fn_runner", "local_job_service"):
        logging.getLogger(f"apache_beam.runners.portability.{name}").setLevel(logging.ERROR)
    options = PipelineOptions(arguments)
    runner = None if named_runner else make_local_runner(options, workers)
    pipeline = Pipeline(runner=runner, options=options)
    build_pipeline(pipeline, plan, _finish_job(plan), state.finished)
    progress.start()
    try:
        pipeline.run().wait_until_finish()
    finally:
        progress.stop()
    plan.work.delete()


def _choose_workers(plan: ConvertPlan) -> int:
    driver_bytes = sum(file.size for file in plan.files if file.table == plan.config.driver)
    return 1 if driver_bytes < SMALL_METADATA_BYTES else min(os.cpu_count() or 1, plan.num_shards)


def _finish_job(plan: ConvertPlan) -> FinishJob:
    inputs = tuple(
        TableInput(str(file.table), file.number, file.path, file.size, file.modified, file.header_lines)
        for file in plan.files
    )
    about = {
        "oi_tfrecord": __version__,
        "config": plan.config.shaping(),
        "class_files": dict(plan.class_files),
        "fingerprint": plan.fingerprint,
    }
    return FinishJob(plan.config.split, plan.config.output_dir, plan.work, inputs, about)


def _exit_code(config: ConvertConfig, split: Mapping[str, Any]) -> int:
    if not split["balanced"]:
        print("error: rows or images were lost; this is a fault of oi_tfrecord, please report it", file=sys.stderr)
        return 3
    limit, is_percentage = parse_max_rejects(config.max_rejects)
    over = too_many_rejects(split, limit, is_percentage)
    for line in over:
        print(f"error: {line}", file=sys.stderr)
    if over:
        path = storage.join(config.output_dir, rejects_file(config.split))
        print(
            f"error: more rejects than --max_rejects={config.max_rejects} allows; they are listed in {path}. "
            "The records are complete without them: mend the input, or give a higher --max_rejects.",
            file=sys.stderr,
        )
    return 2 if over else 0


def _print_summary(plan: ConvertPlan, split: Mapping[str, Any], seconds: float, out: TextIO) -> None:
    config, totals, images = plan.config, split["totals"], split["images"]
    lines = [
        f"records    {totals['records']:,} in {totals['shards']:,} shards, {totals['bytes'] / 1e6:,.1f} MB, "
        f"{seconds:.1f} s",
        f"           {first_shard(plan)}{' ...' if plan.num_shards > 1 else ''}",
        f"images     {images['selected']:,} selected, {images['not_selected']:,} not selected, "
        f"{sum(images['rejected'].values()):,} rejected{_by_reason(images['rejected'])}",
    ]
    for table in Table:
        if (count := split["tables"].get(table)) is not None:
            lines.append(
                f"{table:<14} {count['rows_read']:,} rows read, {count['written']:,} written, "
                f"{sum(count['rejected'].values()):,} rejected{_by_reason(count['rejected'])}, "
                f"{sum(count['dropped'].values()):,} left out{_by_reason(count['dropped'])}"
            )
    for name, file in (
        ("label map", LABEL_MAP_FILE), ("manifest", MANIFEST_FILE), ("rejects", rejects_file(config.split))
    ):  # fmt: skip
        lines.append(f"{name:<10} {storage.join(config.output_dir, file)}")
    lines += [f"warning    {warning}" for warning in split["warnings"]]
    print("\n".join(lines), file=out)


def _by_reason(counts: Mapping[str, int]) -> str:
    return f" ({', '.join(f'{reason} {count:,}' for reason, count in counts.items())})" if counts else ""
