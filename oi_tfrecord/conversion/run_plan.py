"""Runs the pipelines of a planned conversion, and judges what they wrote."""

import contextlib
import dataclasses
import os
import time
from collections.abc import Sequence
from typing import Any

from oi_tfrecord import storage
from oi_tfrecord.conversion.kept_lists import store_lists
from oi_tfrecord.conversion.outcome import ConversionResult, find_problems
from oi_tfrecord.conversion.planning.plan import ConvertPlan
from oi_tfrecord.conversion.rerun.try_again import try_again
from oi_tfrecord.conversion.run_here import (
    choose_images_here,
    limit_images_here,
    list_images_here,
    write_shards_here,
)
from oi_tfrecord.dataset.error_relay import raise_relayed_errors
from oi_tfrecord.dataset.file_names import rejects_path
from oi_tfrecord.dataset.output_state import OutputState, count_correctable, prepare_output, read_split
from oi_tfrecord.dataset.run_lock import hold_split
from oi_tfrecord.engine.beam_flags import count_slots, runs_here
from oi_tfrecord.engine.local_end import temporary_folder
from oi_tfrecord.engine.progress_line import Progress
from oi_tfrecord.engine.progress_text import ConversionStatus, describe_resumption
from oi_tfrecord.engine.run_pipeline import run_here, run_steps
from oi_tfrecord.engine.submitted_job import SubmittedJob
from oi_tfrecord.engine.threads import Work, choose_workers, split_workers

_WORKERS_PER_CORE = 2
"""Bound on the workers of a dry run: more workers would only wait for each other, and their times say nothing."""


def choose_conversion_workers(plan: ConvertPlan) -> int:
    """Returns how many ranges and shards this machine works on at once, by the size of the table of the images."""
    work = Work.COPY_IMAGES if plan.config.image_mode == "copy" else Work.DECODE_IMAGES
    size = sum(file.size for file in plan.tables if file.table == plan.config.driver)
    return choose_workers(work, size, plan.num_shards)


def count_dry_run_workers(plan: ConvertPlan, workers: int) -> int:
    """Returns the workers of a dry run.

    Args:
        plan: the dry run.
        workers: number of workers to predict the time for; 0 chooses. Those of a cluster count as this machine's cores.
    """
    cores = os.cpu_count() or 1
    if workers:
        return cores if workers > _WORKERS_PER_CORE * cores else workers
    return choose_workers(Work.COUNT_ROWS, sum(file.size for file in plan.tables), plan.num_shards)


def run_plan(plan: ConvertPlan, workers: int, beam_arguments: Sequence[str], progress: Progress) -> ConversionResult:
    """Runs the rest of a conversion while no other process writes the split, and judges its manifest.

    Args:
        plan: the conversion.
        workers: ranges and shards that this machine works on at once.
        beam_arguments: flags of Beam.
        progress: takes messages while the conversion runs.

    Raises:
        ConfigError: if another process writes the split, or the folder holds another conversion.
        FileError: the error of a worker.
        EngineError, RunnerError: if the job was handed to a runner elsewhere and failed there.
    """
    with hold_split(plan.config.output_dir, plan.config.split):
        return _run_held_plan(plan, workers, beam_arguments, progress)


def _run_held_plan(
    plan: ConvertPlan, workers: int, beam_arguments: Sequence[str], progress: Progress
) -> ConversionResult:
    config = plan.config
    state = try_again(plan, prepare_output(plan.target), progress)
    began = time.monotonic()
    if state.complete is None:
        _run_pipelines(plan, state, workers, beam_arguments, progress)
    entry = read_split(config.output_dir, config.split)
    if state.complete is None:
        # Not before the manifest was read: if the last step was lost, the next run needs the finished shards.
        if count_correctable(entry):
            plan.work.keep_results()
        else:
            plan.work.delete()
    exit_code, problems = find_problems(entry, config.max_rejects, rejects_path(config.output_dir, config.split))
    return ConversionResult(
        output_dir=config.output_dir,
        split=config.split,
        num_shards=plan.num_shards,
        manifest=entry,
        was_complete=state.complete is not None,
        resumed_shards=len(state.finished),
        seconds=time.monotonic() - began,
        problems=tuple(problems),
        exit_code=exit_code,
    )


def _run_pipelines(
    plan: ConvertPlan, state: OutputState, workers: int, beam_arguments: Sequence[str], progress: Progress
) -> None:
    processes, threads = split_workers(workers, is_local=runs_here(beam_arguments))
    store_lists(plan.filters, plan.work)
    if state.finished:
        progress.note(describe_resumption(len(state.finished), plan.num_shards))
    with raise_relayed_errors(plan.work), _shuffle_folder(plan, beam_arguments) as folder:
        plan = dataclasses.replace(plan, shuffle_folder=folder, threads=threads, slots=count_slots(beam_arguments))
        if plan.config.max_images:
            plan = _limit_images(plan, processes, beam_arguments, progress)
        if plan.chooses_images and not storage.exists(plan.work.chosen_images):
            _choose_images(plan, processes, beam_arguments, progress)
        _write_shards(_keep_images(plan), state.finished, processes, beam_arguments, progress)


def list_images(plan: ConvertPlan, workers: int, progress: Progress) -> list[str]:
    """Returns the ImageIDs of the images that a conversion would write if every image were there, in no order.

    Args:
        plan: the conversion, in a local folder of its own.
        workers: ranges that this process works on at once.
        progress: takes messages while the tables are read.
    """
    prepare_output(plan.target)
    store_lists(plan.filters, plan.work)
    _, threads = split_workers(workers, is_local=True)
    with raise_relayed_errors(plan.work), _shuffle_folder(plan, ()) as folder:
        plan = dataclasses.replace(plan, shuffle_folder=folder, threads=threads)
        if plan.config.max_images:
            plan = _limit_images(plan, 1, (), progress)
        shown = progress.watch(_status(plan, 0, SubmittedJob(progress.note), ()))
        return run_here(shown, lambda: list_images_here(plan))


def _limit_images(plan: ConvertPlan, processes: int, beam_arguments: Sequence[str], progress: Progress) -> ConvertPlan:
    """Returns the plan with the limit that `max_images` stands for, for which all tables are read once more."""
    job = SubmittedJob(progress.note)
    shown = progress.watch(_status(dataclasses.replace(plan, archives=()), 0, job, beam_arguments))

    def build(root: Any) -> Any:
        from oi_tfrecord.conversion.pipeline import build_limit_pipeline

        return build_limit_pipeline(root, plan)

    run_steps(beam_arguments, processes, shown, build, lambda: limit_images_here(plan), job)
    limited = plan.with_image_limit(plan.work.limit())
    _clear(plan)
    return limited


def _choose_images(plan: ConvertPlan, processes: int, beam_arguments: Sequence[str], progress: Progress) -> None:
    """Finds the images that are kept of tar.gz archives, for which all tables are read once more."""
    job = SubmittedJob(progress.note)
    shown = progress.watch(_status(dataclasses.replace(plan, archives=()), 0, job, beam_arguments))

    def build(root: Any) -> Any:
        from oi_tfrecord.conversion.pipeline import build_choice_pipeline

        return build_choice_pipeline(root, plan)

    run_steps(beam_arguments, processes, shown, build, lambda: choose_images_here(plan), job)
    _clear(plan)


def _clear(plan: ConvertPlan) -> None:
    """Clears what a pass over the tables leaves for its own steps only."""
    plan.work.clear_temporary()
    if plan.shuffle_folder:
        storage.delete_folder(plan.shuffle_folder)
        storage.make_folder(plan.shuffle_folder)


def _keep_images(plan: ConvertPlan) -> ConvertPlan:
    """Returns the plan with the folder where images of tar.gz archives are kept."""
    if not plan.shuffle_folder or storage.is_local(plan.work.path):
        return plan.keeping_in(plan.work.kept, plan.work.temporary)
    folder = storage.join(plan.shuffle_folder, "kept")
    storage.make_folder(folder)
    return plan.keeping_in(folder, folder)


def _write_shards(
    plan: ConvertPlan, finished: frozenset[int], processes: int, beam_arguments: Sequence[str], progress: Progress
) -> None:
    """Writes the shards that are not finished, and the files that make all shards a dataset."""
    job = SubmittedJob(progress.note)
    shown = progress.watch(_status(plan, len(finished), job, beam_arguments))

    def build(root: Any) -> Any:
        from oi_tfrecord.conversion.pipeline import build_pipeline

        return build_pipeline(root, plan, finished)

    run_steps(beam_arguments, processes, shown, build, lambda: write_shards_here(plan, finished), job)


def _status(
    plan: ConvertPlan, finished_shards: int, job: SubmittedJob, beam_arguments: Sequence[str]
) -> ConversionStatus:
    sizes = [*(file.size for file in plan.tables), *(archive.size for archive in plan.archives_to_list)]
    # How much a compressed table holds is known only once it is read.
    is_known = not any(file.compressed for file in plan.tables)
    return ConversionStatus(
        plan.work,
        sum(sizes) if is_known else 0,
        plan.num_shards,
        finished_shards,
        engine_state=job.state,
        expected_images=plan.expected_images,
        runs_elsewhere=not runs_here(beam_arguments),
    )


def _shuffle_folder(plan: ConvertPlan, beam_arguments: Sequence[str]) -> contextlib.AbstractContextManager[str]:
    """Returns the folder of a local run's shuffle, "" for a run elsewhere."""
    if not runs_here(beam_arguments):
        return contextlib.nullcontext("")
    # Beside the output, or, as a shuffle through remote storage would be slow, on this machine.
    return temporary_folder(plan.work.shuffle if storage.is_local(plan.work.path) else "")
