"""Converts a split, tries the conversion out, or builds its job for a runner elsewhere.

These functions print nothing: `progress` takes messages while they run, and the result holds the rest.
"""

import contextlib
import dataclasses
import pathlib
import tempfile
import time
from collections.abc import Sequence

from oi_tfrecord import storage
from oi_tfrecord.conversion.dry_run.measure import Workload, measure
from oi_tfrecord.conversion.fetch import fetch, with_data_dir, with_mask_archives
from oi_tfrecord.conversion.kept_lists import store_lists
from oi_tfrecord.conversion.outcome import ConversionResult
from oi_tfrecord.conversion.planning.plan import ConvertPlan, make_plan
from oi_tfrecord.conversion.planning.plan_shards import (
    CORE_SECONDS_PER_IMAGE,
    ShardPlan,
    describe_bucket,
    describe_shards,
    plan_shards,
    reads_images_from_store,
)
from oi_tfrecord.conversion.rerun.known_inputs import with_known_inputs
from oi_tfrecord.conversion.rerun.try_again import try_again
from oi_tfrecord.conversion.run_plan import choose_conversion_workers, count_dry_run_workers, run_plan
from oi_tfrecord.dataset.error_relay import raise_relayed_errors
from oi_tfrecord.dataset.output_state import earlier_num_shards, prepare_output
from oi_tfrecord.dataset.run_lock import hold_split
from oi_tfrecord.engine.beam_flags import choose_parallelism, runs_here, value_of
from oi_tfrecord.engine.dataflow_flags import accept_beam_arguments
from oi_tfrecord.engine.progress_line import NoProgress, Progress
from oi_tfrecord.engine.progress_text import StepStatus
from oi_tfrecord.engine.run_pipeline import Job, build_job, import_beam_quietly, run_pipeline
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.settings.allowed_values import parse_max_rejects
from oi_tfrecord.settings.check_complete import check_complete
from oi_tfrecord.settings.convert_config import IMAGE_SOURCES, ConvertConfig
from oi_tfrecord.sources.archive_format import ArchiveKind
from oi_tfrecord.sources.fetch_files import summary_lines
from oi_tfrecord.sources.plan_kept_images import describe_kept, plan_kept

DRY_RUN_FOLDER = "dry_run"
"""Folder within the output for the files of a dry run."""


def convert(
    config: ConvertConfig, *, workers: int = 0, beam_arguments: Sequence[str] = (), progress: Progress | None = None
) -> ConversionResult:
    """Converts a split, or resumes an interrupted conversion of it.

    Args:
        config: complete configuration of the conversion.
        workers: ranges and shards that this machine works on at once; 0 chooses.
        beam_arguments: flags of Beam; without `--runner` the pipeline runs on this machine.
        progress: takes messages while the conversion runs; None drops them.

    Returns:
        The manifest of the split, and all problems.

    Raises:
        ConfigError, InputError: naming the field, flag or file to correct.
        EngineError, RunnerError: if the job was handed to a runner elsewhere and failed there.
    """
    progress = progress or NoProgress()
    _check_runs_now(config, beam_arguments)
    accept_beam_arguments(beam_arguments)
    plan = plan_conversion(config, progress, is_here=runs_here(beam_arguments))
    if not runs_here(beam_arguments) and reads_images_from_store(plan):
        progress.plan(describe_bucket(CORE_SECONDS_PER_IMAGE))
    beam_arguments = choose_parallelism(beam_arguments, progress.note)
    return run_plan(plan, workers or choose_conversion_workers(plan), beam_arguments, progress)


@dataclasses.dataclass(frozen=True)
class DryRunResult:
    """What a dry run found out.

    Attributes:
        counted: the counts, as if every image were there; no records are written.
        workload: the measured and estimated work of the conversion itself.
        workers: number of workers that the dry run had.
    """

    counted: ConversionResult
    workload: Workload
    workers: int


def dry_run(
    config: ConvertConfig,
    *,
    workers: int = 0,
    beam_arguments: Sequence[str] = (),
    progress: Progress | None = None,
) -> DryRunResult:
    """Reads and joins all tables of a split without its images, and times a sample of these.

    The manifest and the list of rejects go to a folder of the output, whose other files stay as they are.

    Args:
        config: complete configuration of the conversion.
        workers: number of workers to predict the time for; the dry run itself has at most two for each core.
        beam_arguments: flags of Beam, such as those of file systems; a runner is refused.
        progress: as in `convert`.

    Raises:
        ConfigError, InputError: naming the field, flag or file to correct.
    """
    began, start_seconds = time.monotonic(), time.process_time()
    progress = progress or NoProgress()
    if not runs_here(beam_arguments):
        problem = "counts and times on this machine; leave out the runner (Beam's own dry run is --beam_dry_run)"
        raise ConfigError("dry_run", problem)
    accept_beam_arguments(beam_arguments)
    plan, shard_plan = _plan_dry_run(config, progress)
    used = count_dry_run_workers(plan, workers)
    counted = run_plan(plan, used, beam_arguments, progress)
    seconds = start_seconds + time.monotonic() - began
    return DryRunResult(counted, measure(plan, shard_plan, counted.manifest, seconds, used), used)


def for_dry_run(config: ConvertConfig) -> ConvertConfig:
    """Returns the configuration of a conversion's dry run, which has its own folder and overwrites it.

    Raises:
        ConfigError: naming the field that is missing.
    """
    # Before the folder is joined, as that would hide an output_dir that is missing.
    check_complete(config)
    folder = storage.join(config.output_dir, DRY_RUN_FOLDER)
    return dataclasses.replace(config, output_dir=folder, overwrite=True, dry_run=True)


def build_beam_job(config: ConvertConfig, *, beam_arguments: Sequence[str], progress: Progress | None = None) -> Job:
    """Builds the job as Dataflow would get it; nothing is written or run.

    Args:
        config: complete configuration of the conversion.
        beam_arguments: flags of Beam, `--dry_run=True` among them.
        progress: as in `convert`.

    Raises:
        ConfigError, InputError: naming the field, flag or file to correct.
    """
    accept_beam_arguments(beam_arguments)
    plan = _plan_job(config, progress or NoProgress())
    import_beam_quietly(beam_arguments)
    from oi_tfrecord.conversion.pipeline import build_pipeline

    return build_job(beam_arguments, lambda root: build_pipeline(root, plan, ()))


@dataclasses.dataclass(frozen=True)
class BuiltTemplate:
    """A job that runs later.

    Attributes:
        output_dir: folder that the job writes to.
        was_complete: whether the conversion is complete already, so that no job was built.
    """

    output_dir: str
    was_complete: bool


def build_template(
    config: ConvertConfig, *, beam_arguments: Sequence[str], progress: Progress | None = None
) -> BuiltTemplate:
    """Builds the job of a template, which runs later without this command.

    Args:
        config: complete configuration of the conversion.
        beam_arguments: flags of Beam, `--template_location` among them.
        progress: as in `convert`.

    Raises:
        ConfigError, InputError: naming the field, flag or file to correct.
    """
    if config.max_images:
        raise ConfigError("max_images", "needs two jobs, and a template is one; give --sample")
    accept_beam_arguments(beam_arguments)
    plan = _plan_job(config, progress or NoProgress())
    with hold_split(config.output_dir, config.split):
        state = try_again(plan, prepare_output(plan.target), progress or NoProgress())
    if state.complete is None:
        store_lists(plan.filters, plan.work)
        import_beam_quietly(beam_arguments)
        from oi_tfrecord.conversion.pipeline import build_template_pipeline

        with raise_relayed_errors(plan.work):
            run_pipeline(
                beam_arguments,
                1,
                contextlib.nullcontext(),
                lambda root: build_template_pipeline(root, plan, state.finished),
            )
    return BuiltTemplate(plan.config.output_dir, state.complete is not None)


def _check_runs_now(config: ConvertConfig, beam_arguments: Sequence[str]) -> None:
    if config.dry_run:
        raise ConfigError("dry_run", "writes no records; call dry_run in place of convert")
    for flag, function in (("--template_location", "build_template"), ("--dry_run", "build_beam_job")):
        if value_of(beam_arguments, flag):
            raise ConfigError(flag.lstrip("-"), f"builds a job that does not run now; call {function}")


def _plan_job(config: ConvertConfig, progress: Progress) -> ConvertPlan:
    """Plans a conversion that is a single job elsewhere, which keeps all images of tar.gz archives."""
    plan = plan_conversion(config, progress, is_here=False)
    return dataclasses.replace(plan, chooses_images=False).keeping_in(plan.work.kept, plan.work.temporary)


def plan_conversion(config: ConvertConfig, progress: Progress, *, is_here: bool) -> ConvertPlan:
    """Plans a conversion, with the number of shards that is given, that an earlier run had, or that fits.

    Args:
        config: complete configuration of the conversion.
        progress: takes the plan, and names the steps that take long.
        is_here: whether the conversion runs on this machine.
    """
    config = _fetch_tables(config, progress)
    with progress.watch(StepStatus("looking at the tables and images")):
        plan = make_plan(config)
    earlier = 0 if config.overwrite else earlier_num_shards(plan.target)
    if earlier:
        plan = with_known_inputs(plan.with_shards(config.num_shards or earlier), progress)
        return _plan_kept_images(plan, None, 0, progress, is_here=is_here)
    with progress.watch(StepStatus("planning from a sample of the tables and images")):
        shard_plan = plan_shards(plan)
    num_shards = config.num_shards or shard_plan.num_shards
    place = _place_of_images(plan, shard_plan)
    if not config.num_shards or shard_plan.has_none:
        progress.plan(describe_shards(shard_plan, num_shards, *place))
    # A user who allows every image to be rejected may have so few images that none was sampled.
    if shard_plan.has_none and not plan.samples.has_stand_ins and not _may_hold_some(plan, shard_plan):
        problem = f"none of the {shard_plan.sampled:,} images that were looked for is there"
        raise InputError(place[1], problem, f"Put the images there, or give another --{place[0]}")
    plan = plan.with_shards(num_shards, min(shard_plan.images, config.max_images or shard_plan.images))
    output_bytes = 0 if config.overwrite or not storage.is_local(plan.work.path) else shard_plan.output_bytes
    return _plan_kept_images(plan, shard_plan, output_bytes, progress, is_here=is_here)


def _plan_kept_images(
    plan: ConvertPlan, known: ShardPlan | None, output_bytes: int, progress: Progress, *, is_here: bool
) -> ConvertPlan:
    """Plans what is kept of tar.gz archives, and says how much disk that takes.

    Args:
        plan: the conversion.
        known: the estimate of its images; None makes one.
        output_bytes: bytes of the records that are written to the same disk.
        progress: takes a line.
        is_here: whether the conversion runs on this machine.
    """
    if not any(archive.kind is ArchiveKind.TAR_GZ for archive in plan.archives):
        return plan
    # A store is too far away for images that are read soon again on this machine.
    folder = tempfile.gettempdir() if is_here and not storage.is_local(plan.work.kept) else plan.work.kept
    shard_plan = known or plan_shards(plan)
    kept = plan_kept(plan.archives, int(shard_plan.images * shard_plan.file_bytes), folder)
    progress.plan(describe_kept(kept, output_bytes))
    return dataclasses.replace(plan, chooses_images=kept.chooses)


def _may_hold_some(plan: ConvertPlan, shard_plan: ShardPlan) -> bool:
    """Returns whether the flags allow most images to be missing, and images may be there though no sampled one is."""
    config = plan.config
    if config.missing_images == "skip":
        return shard_plan.sampled < shard_plan.images and not is_empty_folder(plan.samples.path("0"))
    return parse_max_rejects(config.max_rejects) == (100, True)


def is_empty_folder(path: str) -> bool:
    """Returns whether the folder of a local file is missing or empty."""
    folder = pathlib.Path(path).parent
    return storage.is_local(path) and not (folder.is_dir() and any(folder.iterdir()))


def _plan_dry_run(config: ConvertConfig, progress: Progress) -> tuple[ConvertPlan, ShardPlan]:
    """Plans a dry run, which always needs the sample of images."""
    plan = make_plan(for_dry_run(_fetch_tables(config, progress)))
    shard_plan = plan_shards(plan)
    num_shards = config.num_shards or shard_plan.num_shards
    progress.plan(describe_shards(shard_plan, num_shards, *_place_of_images(plan, shard_plan)))
    plan = plan.with_shards(num_shards)
    return _plan_kept_images(plan, shard_plan, shard_plan.output_bytes, progress, is_here=True), shard_plan


def _fetch_tables(config: ConvertConfig, progress: Progress) -> ConvertConfig:
    """Downloads the tables that are missing, if that is wanted; returns the configuration with their folder."""
    if not config.fetch:
        return config
    config = with_mask_archives(with_data_dir(config))
    # Problems of the options are found without the tables, so before gigabytes are downloaded.
    check_complete(config)
    result = fetch(config, progress=progress)
    for line in [*summary_lines(result), *result.notes]:
        progress.note(line)
    return config


def _place_of_images(plan: ConvertPlan, shard_plan: ShardPlan) -> tuple[str, str]:
    """Returns the field that says where images are, and the path where the missing one was looked for."""
    field = next(field for field in IMAGE_SOURCES if getattr(plan.config, field))
    return field, plan.samples.path(shard_plan.missing or "0")
