"""Writes splits whose records other splits have: all of a split or nothing, and an interrupted run is resumed."""

import contextlib
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from oi_tfrecord import __version__, storage
from oi_tfrecord.dataset.accounts import read_shard_accounts, sum_accounts
from oi_tfrecord.dataset.error_relay import raise_relayed_errors
from oi_tfrecord.dataset.file_names import LABEL_MAP_CSV, LABEL_MAP_FILE, MANIFEST_FILE, rejects_file
from oi_tfrecord.dataset.label_map_claim import claim_label_map
from oi_tfrecord.dataset.manifest import merge_split
from oi_tfrecord.dataset.manifest_file import read_manifest, write_manifest
from oi_tfrecord.dataset.output_state import prepare_output
from oi_tfrecord.dataset.rejects_csv import format_header
from oi_tfrecord.dataset.run_lock import hold_folder, hold_split
from oi_tfrecord.derive.manifest import DerivedFrom, build_derived_split
from oi_tfrecord.derive.plan import DerivedPlan
from oi_tfrecord.engine.beam_flags import runs_here
from oi_tfrecord.engine.progress_line import Progress
from oi_tfrecord.engine.progress_text import RecordsStatus, describe_resumption
from oi_tfrecord.engine.run_pipeline import import_beam_quietly, run_pipeline
from oi_tfrecord.engine.threads import Work, choose_workers, split_workers
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.label_map_file import format_csv, format_pbtxt
from oi_tfrecord.records.record_counts import RecordCounts
from oi_tfrecord.records.sharding import choose_num_shards
from oi_tfrecord.records.tfrecord import FOOTER_BYTES, HEADER_BYTES


@dataclasses.dataclass(frozen=True)
class WrittenSplit:
    """A split that `resample` or `merge` wrote, or found complete.

    Attributes:
        output_dir: its folder.
        split: its name.
        manifest: its entry in the manifest of the folder.
        was_complete: whether an earlier run wrote it, so that there was nothing to do.
    """

    output_dir: str
    split: str
    manifest: Mapping[str, Any]
    was_complete: bool = False

    @property
    def balanced(self) -> bool:
        """Whether each record that was read was written, or left out for a reason."""
        return bool(self.manifest["balanced"])


def describe_written(written: WrittenSplit) -> str:
    """Returns the line that says what was written."""
    if written.was_complete:
        return f"{written.split}: nothing to do, it is complete."
    images = written.manifest["images"]
    reasons = "".join(f", {count:,} left out ({reason})" for reason, count in images["left_out"].items())
    num_shards = len(written.manifest["shards"])
    shards = f"{num_shards:,} shard" + ("s" if num_shards > 1 else "")
    path = storage.join(written.output_dir, MANIFEST_FILE)
    return f"{written.split}: {images['records']:,} of {images['read']:,} records in {shards}{reasons}; {path}"


def write_splits(
    plans: Sequence[DerivedPlan],
    select: Callable[[Sequence[DerivedPlan]], None],
    finish: Callable[[DerivedPlan], dict[str, Any]],
    progress: Progress,
) -> tuple[WrittenSplit, ...]:
    """Writes derived splits; none is complete before the shards of all are written.

    Args:
        plans: what they will be, all in one folder under one label map.
        select: called with the plans that are not complete yet when all their sources are indexed; stores which records
            are taken, or raises.
        finish: called with a plan when all shards are written; writes further files, returns more for the manifest.
        progress: takes what there is to say while it runs.

    Returns:
        The splits, in the order of the plans.

    Raises:
        ConfigError, InputError: naming the option or file that is to be corrected.
    """
    with contextlib.ExitStack() as held:
        for plan in plans:
            held.enter_context(hold_split(plan.config.output_dir, plan.config.split))
        return _write_held_splits(plans, select, finish, progress)


def _write_held_splits(
    plans: Sequence[DerivedPlan],
    select: Callable[[Sequence[DerivedPlan]], None],
    finish: Callable[[DerivedPlan], dict[str, Any]],
    progress: Progress,
) -> tuple[WrittenSplit, ...]:
    states = [prepare_output(plan.target) for plan in plans]
    written = {
        plan.config.split: WrittenSplit(plan.config.output_dir, plan.config.split, state.complete, was_complete=True)
        for plan, state in zip(plans, states, strict=True)
        if state.complete is not None
    }
    todo = [(plan, set(state.finished)) for plan, state in zip(plans, states, strict=True) if state.complete is None]
    for plan, _ in todo:
        claim_label_map(plan.config.output_dir, plan.config.split, plan.classes.label_map)
        with raise_relayed_errors(plan.work):
            index_sources(plan, progress)
    if todo:
        select([plan for plan, _ in todo])
    sized = [(_with_num_shards(plan), finished) for plan, finished in todo]
    for plan, finished in sized:
        with raise_relayed_errors(plan.work):
            _write_shards(plan, finished, progress)
    for plan, _ in sized:
        entry = _finish(plan, finish(plan))
        written[plan.config.split] = WrittenSplit(plan.config.output_dir, plan.config.split, entry)
        plan.work.delete()
    return tuple(written[plan.config.split] for plan in plans)


def index_sources(plan: DerivedPlan, progress: Progress) -> None:
    """Indexes the shards of the sources that are not indexed yet.

    Args:
        plan: what the split will be.
        progress: takes what there is to say while it runs.

    Raises:
        InputError: if a shard does not hold what the manifest of its split says.
    """
    import_beam_quietly(plan.config.beam_arguments)
    from oi_tfrecord.derive.pipeline import IndexShards

    storage.make_folder(plan.job.index.path)
    todo = [place for place in plan.input_shards if not plan.job.index.has(*place)]
    if todo:
        processes, threads = _choose_workers(plan, len(todo))
        run_pipeline(
            plan.config.beam_arguments,
            processes,
            progress.watch(RecordsStatus(plan.work, len(todo), "indexed")),
            lambda root: root | "IndexShards" >> IndexShards(plan.job, todo, threads),
        )
        # What was reported while indexing is not of the shards that are written.
        plan.work.clear_temporary()
    for source, shard in plan.input_shards:
        counted = plan.job.index.read_counts(source, shard).records
        stated = plan.sources[source].manifest["shards"][shard]["records"]
        if counted != stated:
            problem = f"has {counted} records, and the manifest {stated}"
            raise InputError(plan.job.sources[source][shard], problem, "Run `oi-tfrecord verify` on its folder")


def _with_num_shards(plan: DerivedPlan) -> DerivedPlan:
    num_shards = plan.config.num_shards
    if not num_shards:
        size = 0
        for source, shard in plan.input_shards:
            index = plan.job.index.read(source, shard)
            kept = plan.job.index.read_selection(source, shard, len(index.image_ids))
            size += int((index.lengths[kept] + HEADER_BYTES + FOOTER_BYTES).sum())
        num_shards = choose_num_shards(size)
    return dataclasses.replace(plan, job=dataclasses.replace(plan.job, num_shards=num_shards))


def _write_shards(plan: DerivedPlan, finished: set[int], progress: Progress) -> None:
    from oi_tfrecord.derive.pipeline import WriteDerivedShards

    todo = [shard for shard in range(plan.job.num_shards) if shard not in finished]
    if finished:
        progress.note(describe_resumption(len(finished), plan.job.num_shards))
    if todo:
        processes, threads = _choose_workers(plan, len(todo))
        run_pipeline(
            plan.config.beam_arguments,
            processes,
            progress.watch(RecordsStatus(plan.work, len(todo), "written")),
            lambda root: root | "WriteDerivedShards" >> WriteDerivedShards(plan.job, todo, threads),
        )


def _choose_workers(plan: DerivedPlan, shards: int) -> tuple[int, int]:
    """Returns the number of local processes, and of the shards that each does at once."""
    size = sum(source.size for source in plan.sources)
    workers = plan.config.workers or choose_workers(Work.COPY_RECORDS, size, shards)
    return split_workers(workers, is_local=runs_here(plan.config.beam_arguments))


def _finish(plan: DerivedPlan, more: Mapping[str, Any]) -> dict[str, Any]:
    """Writes what makes the shards a dataset; the manifest marks it complete."""
    output_dir, split, temporary = plan.config.output_dir, plan.config.split, plan.work.temporary
    with raise_relayed_errors(plan.work):
        totals = sum_accounts((), read_shard_accounts(plan.work, range(plan.job.num_shards)))
    label_map = plan.classes.label_map
    texts = {
        LABEL_MAP_FILE: format_pbtxt(label_map),
        LABEL_MAP_CSV: format_csv(label_map),
        rejects_file(split): format_header(),
    }
    for name, text in texts.items():
        storage.write(storage.join(output_dir, name), text.encode(), temporary)
    about = {
        "oi_tfrecord": __version__,
        "config": plan.record_config,
        "class_files": {},
        "fingerprint": plan.fingerprint,
        "warnings": [
            f"{source.manifest['attribution']['file']} of {source.path} is not copied; keep it for this split, too"
            for source in plan.sources
            if "attribution" in source.manifest
        ],
    }
    entry = build_derived_split(
        [
            DerivedFrom(
                source.path, source.split.name, source.manifest, source.manifest_sha256, _source_counts(plan, number)
            )
            for number, source in enumerate(plan.sources)
        ],
        totals,
        label_map,
        about,
        plan.options,
        plan.job.reason,
        plan.job.keys,
    )
    entry |= more
    with hold_folder(output_dir):
        write_manifest(output_dir, merge_split(read_manifest(output_dir), split, entry), temporary)
    return entry


def _source_counts(plan: DerivedPlan, source: int) -> RecordCounts:
    counts = RecordCounts()
    for shard in range(len(plan.job.sources[source])):
        counts.merge(plan.job.index.read_counts(source, shard))
    return counts
