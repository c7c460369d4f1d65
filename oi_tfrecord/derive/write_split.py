"""The steps that write a derived split. A run that is interrupted can be resumed, and a split appears whole."""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from oi_tfrecord import __version__, storage
from oi_tfrecord.dataset.accounts import read_shard_accounts, sum_accounts
from oi_tfrecord.dataset.error_relay import raise_relayed_errors
from oi_tfrecord.dataset.file_names import LABEL_MAP_CSV, LABEL_MAP_FILE, MANIFEST_FILE, rejects_file
from oi_tfrecord.dataset.manifest import seal_entry
from oi_tfrecord.dataset.publish_split import publish_split
from oi_tfrecord.dataset.rejects_csv import format_header
from oi_tfrecord.dataset.shard_index import write_missing_indexes
from oi_tfrecord.derive.manifest import DerivedFrom, build_derived_split
from oi_tfrecord.derive.plan import DerivedPlan
from oi_tfrecord.derive.steps import IndexShard, WriteShard
from oi_tfrecord.engine.beam_flags import runs_here
from oi_tfrecord.engine.progress_line import Progress
from oi_tfrecord.engine.progress_text import RecordsStatus, describe_resumption
from oi_tfrecord.engine.run_pipeline import run_steps
from oi_tfrecord.engine.step import run_to_end
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


def index_sources(plan: DerivedPlan, progress: Progress) -> None:
    """Indexes the shards of the sources that are not indexed yet.

    Args:
        plan: what the split will be.
        progress: shows messages and how far the run is.

    Raises:
        InputError: if a shard does not hold what the manifest of its split says.
    """
    storage.make_folder(plan.job.index.path)
    todo = [place for place in plan.input_shards if not plan.job.index.has(*place)]
    if todo:
        processes, threads = _choose_workers(plan, len(todo))

        def build(root: Any) -> Any:
            from oi_tfrecord.derive.pipeline import IndexShards

            return root | "IndexShards" >> IndexShards(plan.job, todo, threads)

        with raise_relayed_errors(plan.work):
            shown = progress.watch(RecordsStatus(plan.work, len(todo), "indexed"))
            step = IndexShard(plan.job, threads)
            run_steps(plan.beam_arguments, processes, shown, build, lambda: run_to_end(step, todo))
        # The reports of this step must not count for the next one.
        plan.work.clear_temporary()
    for source, shard in plan.input_shards:
        counted = plan.job.index.read_counts(source, shard).records
        stated = plan.sources[source].manifest["shards"][shard]["records"]
        if counted != stated:
            problem = f"has {counted} records, and the manifest {stated}"
            raise InputError(plan.job.sources[source][shard], problem, "Run `oi-tfrecord verify` on its folder")


def choose_shards(plan: DerivedPlan) -> DerivedPlan:
    """Returns a plan with the number of shards, which may depend on the size of the records that are taken."""
    num_shards = plan.num_shards or choose_num_shards(_taken_bytes(plan))
    return dataclasses.replace(plan, job=dataclasses.replace(plan.job, num_shards=num_shards))


def _taken_bytes(plan: DerivedPlan) -> int:
    size = 0
    for source, shard in plan.input_shards:
        index = plan.job.index.read(source, shard)
        keep_mask = plan.job.index.read_selection(source, shard, len(index.image_ids))
        size += int((index.lengths[keep_mask] + HEADER_BYTES + FOOTER_BYTES).sum())
    return size


def write_shards(plan: DerivedPlan, finished: Collection[int], progress: Progress) -> None:
    """Writes the shards that an earlier run did not finish.

    Args:
        plan: what the split will be, with its number of shards.
        finished: shards of an earlier run.
        progress: shows messages and how far the run is.
    """
    todo = [shard for shard in range(plan.job.num_shards) if shard not in finished]
    if finished:
        progress.note(describe_resumption(len(finished), plan.job.num_shards))
    if todo:
        processes, threads = _choose_workers(plan, len(todo))

        def build(root: Any) -> Any:
            from oi_tfrecord.derive.pipeline import WriteDerivedShards

            return root | "WriteDerivedShards" >> WriteDerivedShards(plan.job, todo, threads)

        with raise_relayed_errors(plan.work):
            shown = progress.watch(RecordsStatus(plan.work, len(todo), "written"))
            step = WriteShard(plan.job, threads, len(todo))
            run_steps(plan.beam_arguments, processes, shown, build, lambda: run_to_end(step, todo))


def finish_split(plan: DerivedPlan, more: Mapping[str, Any]) -> WrittenSplit:
    """Writes the files beside the shards; the last of them is the manifest, which marks the split complete.

    Args:
        plan: what the split is.
        more: further keys of its entry in the manifest.
    """
    label_map, temporary = plan.label_map, plan.work.temporary
    texts = {
        LABEL_MAP_FILE: format_pbtxt(label_map),
        LABEL_MAP_CSV: format_csv(label_map),
        rejects_file(plan.split): format_header(),
    }
    for name, text in texts.items():
        storage.write(storage.join(plan.output_dir, name), text.encode(), temporary)
    entry = seal_entry({**_make_entry(plan), **more})
    write_missing_indexes(plan.output_dir, [shard["file"] for shard in entry["shards"]], temporary)
    publish_split(plan.output_dir, plan.split, entry, temporary)
    plan.work.delete()
    return WrittenSplit(plan.output_dir, plan.split, entry)


def _make_entry(plan: DerivedPlan) -> dict[str, Any]:
    """Returns the entry of the split in the manifest."""
    with raise_relayed_errors(plan.work):
        totals = sum_accounts((), read_shard_accounts(plan.work, range(plan.job.num_shards)))
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
    sources = [
        DerivedFrom(
            source.path, source.split.name, source.manifest, source.manifest_sha256, _count_source(plan, number)
        )
        for number, source in enumerate(plan.sources)
    ]
    return build_derived_split(sources, totals, plan.label_map, about, plan.options, plan.job.reason, plan.job.keys)


def _count_source(plan: DerivedPlan, source: int) -> RecordCounts:
    counts = RecordCounts()
    for shard in range(len(plan.job.sources[source])):
        counts.merge(plan.job.index.read_counts(source, shard))
    return counts


def _choose_workers(plan: DerivedPlan, shards: int) -> tuple[int, int]:
    """Returns the number of local processes, and of the shards that each works on at once."""
    size = sum(source.size for source in plan.sources)
    workers = plan.workers or choose_workers(Work.COPY_RECORDS, size, shards)
    return split_workers(workers, is_local=runs_here(plan.beam_arguments))
