"""Merges datasets under one label map."""

import contextlib
import dataclasses
from collections.abc import Sequence

from oi_tfrecord import storage
from oi_tfrecord.dataset.label_map import load_label_map
from oi_tfrecord.dataset.label_map_claim import claim_label_map
from oi_tfrecord.dataset.manifest import is_expanded
from oi_tfrecord.dataset.manifest_file import read_manifest
from oi_tfrecord.dataset.output_state import prepare_output
from oi_tfrecord.dataset.publish_split import update_manifest
from oi_tfrecord.dataset.run_lock import hold_split
from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.derive.manifest import shared_config
from oi_tfrecord.derive.plan import DerivedPlan, Source, find_sources
from oi_tfrecord.derive.relabel import merge_label_maps
from oi_tfrecord.derive.repeated_images import find_repeated
from oi_tfrecord.derive.shard import DerivedJob
from oi_tfrecord.derive.write_split import WrittenSplit, choose_shards, finish_split, index_sources, write_shards
from oi_tfrecord.engine.dataflow_flags import accept_beam_arguments
from oi_tfrecord.engine.progress_line import NoProgress, Progress
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.reasons import Drop
from oi_tfrecord.records.label_map import LabelMap, without_relatives
from oi_tfrecord.records.sharding import MAX_SHARDS
from oi_tfrecord.settings.allowed_values import Choice, Range
from oi_tfrecord.settings.options import REQUIRED, Group, check_values, option

ON_DUPLICATE = ("error", "first")


@dataclasses.dataclass(frozen=True)
class MergeOptions:
    """Which datasets `merge` merges, and how: the flags of the command."""

    inputs: tuple[str, ...] = option(
        REQUIRED, "Folders that `oi-tfrecord` wrote, on any Beam filesystem.", Group.INPUTS, positional="DIR"
    )
    to: str = option(REQUIRED, "Folder to write to.", Group.OUTPUT)
    split: tuple[str, ...] = option((), "Splits to merge; all by default.", Group.INPUTS)
    label_map: str = option(
        "",
        "Label map to use; it must have every class of the inputs. Its relatives are left out if the records are "
        "expanded by a hierarchy.",
        Group.CLASSES,
    )
    on_duplicate: str = option(
        "error",
        "What to do about an image that several inputs have: error stops, first keeps the record of the first input.",
        Group.CHOICE,
        Choice(ON_DUPLICATE),
    )
    common_keys: bool = option(False, "Leave out keys that the records of some inputs lack.", Group.RECORDS)
    shard_sha256: bool = option(
        False, "Also compute the SHA-256 of each shard for the manifest, which takes time.", Group.OUTPUT
    )
    num_shards: int = option(
        0, "Number of shards of each split; 0 chooses by the size.", Group.OUTPUT, Range(0, MAX_SHARDS)
    )
    workers: int = option(
        0, "Shards that this machine works on at once, a core each; 0 chooses.", Group.RUNNER, Range(0, 1024)
    )
    overwrite: bool = option(False, "Replace splits that are in the output folder.", Group.OUTPUT)
    beam_arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_values(self)
        if not self.inputs:
            raise ConfigError("inputs", "give the folders to merge")
        folders = list(map(storage.identify, self.inputs))
        if twice := [path for path, folder in zip(self.inputs, folders, strict=True) if folders.count(folder) > 1]:
            raise ConfigError("inputs", f"{twice[0]} is given twice")
        if storage.identify(self.to) in folders:
            raise ConfigError("to", f"{self.to} is one of the folders to merge")


@dataclasses.dataclass(frozen=True)
class MergeResult:
    """What `merge` wrote: the splits, in the order of their names."""

    splits: tuple[WrittenSplit, ...]

    @property
    def balanced(self) -> bool:
        """Whether each record that was read was written, or left out for a reason."""
        return all(split.balanced for split in self.splits)


def merge(options: MergeOptions, progress: Progress | None = None) -> MergeResult:
    """Merges datasets, one split after the other.

    Args:
        options: which and how.
        progress: shows messages and how far the run is; silent by default.

    Returns:
        The splits that were written.

    Raises:
        ConfigError, InputError: naming the option or file that is to be corrected; an image that several inputs have,
            with its shards.
    """
    progress = progress or NoProgress()
    accept_beam_arguments(options.beam_arguments)
    plans = _make_plans(options)
    with contextlib.ExitStack() as held:
        for plan in plans:
            held.enter_context(hold_split(plan.output_dir, plan.split))
        return MergeResult(_write_splits(options, plans, progress))


def _write_splits(options: MergeOptions, plans: Sequence[DerivedPlan], progress: Progress) -> tuple[WrittenSplit, ...]:
    """Writes the splits; no split is complete before the shards of all are written."""
    if options.overwrite:
        _remove_replaced_entries(options.to, plans)
    states = {plan.split: prepare_output(plan.target) for plan in plans}
    unfinished = [plan for plan in plans if states[plan.split].complete is None]
    for plan in unfinished:
        claim_label_map(plan.output_dir, plan.split, plan.label_map)
        index_sources(plan, progress)
    _resolve_duplicates(options, unfinished)
    sized = [choose_shards(plan) for plan in unfinished]
    for plan in sized:
        write_shards(plan, states[plan.split].finished, progress)
    written = {plan.split: finish_split(plan, {}) for plan in sized}
    complete = {
        split: WrittenSplit(options.to, split, state.complete, was_complete=True)
        for split, state in states.items()
        if state.complete is not None
    }
    return tuple((complete | written)[plan.split] for plan in plans)


def _make_plans(options: MergeOptions) -> list[DerivedPlan]:
    """Returns a plan for each split that is merged."""
    found = [find_sources(path) for path in options.inputs]
    names = sorted({name for sources in found for name in sources})
    if missing := [name for name in options.split if name not in names]:
        raise ConfigError("split", f"no input has a split {missing[0]!r}; there are: {', '.join(names)}")
    label_maps = [next(iter(sources.values())).label_map for sources in found]
    label_map = merge_label_maps(label_maps, _read_given(options.label_map))
    if all(is_expanded(source.manifest["config"]) for sources in found for source in sources.values()):
        # A reader would expand the records a second time by relatives that the label map names.
        label_map = without_relatives(label_map)
    return [
        _make_plan(options, name, [sources[name] for sources in found if name in sources], label_map)
        for name in names
        if not options.split or name in options.split
    ]


def _remove_replaced_entries(output_dir: str, plans: Sequence[DerivedPlan]) -> None:
    """Empties the manifest if all its splits are replaced, because the label map of the folder may change then."""
    if read_manifest(output_dir) is not None and set(find_splits(output_dir)) <= {plan.split for plan in plans}:
        for plan in plans:
            storage.make_folder(plan.work.temporary)
            update_manifest(output_dir, plan.split, None, plan.work.temporary)


def _read_given(path: str) -> LabelMap | None:
    if not path:
        return None
    if not storage.exists(path):
        raise ConfigError("label_map", f"there is no file {path}")
    return load_label_map(path)


def _make_plan(options: MergeOptions, split: str, sources: Sequence[Source], label_map: LabelMap) -> DerivedPlan:
    source_id = _find_source_id(split, sources)
    _check_all_expanded(split, sources)
    keys, left_out = _find_common_keys(split, sources, options.common_keys)
    job = DerivedJob(
        split=split,
        output_dir=options.to,
        work=WorkFolder.of(options.to, split),
        sources=tuple(source.split.shards for source in sources),
        by="boxes",
        reason=Drop.IN_EARLIER_INPUT,
        label_ids={item.name.encode(): item.id for item in label_map.items},
        keys=frozenset(keys),
        number_source_ids=source_id == "numeric" and len(sources) > 1,
        expanded_boxes=label_map.expanded_boxes,
        shard_sha256=options.shard_sha256,
    )
    return DerivedPlan(
        sources=tuple(sources),
        label_map=label_map,
        record_config=shared_config([source.manifest["config"] for source in sources]),
        options={
            "command": "merge",
            "on_duplicate": options.on_duplicate,
            "label_map": options.label_map,
            "common_keys": options.common_keys,
            "keys_left_out": left_out,
            "num_shards": options.num_shards,
            "shard_sha256": options.shard_sha256,
        },
        job=job,
        overwrite=options.overwrite,
        num_shards=options.num_shards,
        workers=options.workers,
        beam_arguments=options.beam_arguments,
    )


def _find_source_id(split: str, sources: Sequence[Source]) -> str:
    """Returns the `source_id` with which all sources were converted."""
    found = {source.path: source.manifest["config"].get("source_id", "hex") for source in sources}
    if len(set(found.values())) > 1:
        kinds = ", ".join(f"{source_id} in {path}" for path, source_id in found.items())
        raise ConfigError(
            "inputs", f"source ids of {split} are of several kinds: {kinds}; convert with one --source_id"
        )
    return str(next(iter(found.values())))


def _check_all_expanded(split: str, sources: Sequence[Source]) -> None:
    """Checks that the records of all sources are expanded by a hierarchy, or of none."""
    expanded = [source.path for source in sources if is_expanded(source.manifest["config"])]
    if others := [source.path for source in sources if source.path not in expanded] if expanded else []:
        raise ConfigError(
            "inputs",
            f"records of {split} are expanded by a hierarchy in {expanded[0]}, and not in {others[0]}: a class would "
            "have the boxes of its subclasses in some images only; convert both with --hierarchy, or both without",
        )


def _find_common_keys(split: str, sources: Sequence[Source], may_differ: bool) -> tuple[set[str], list[str]]:
    """Returns the keys that the records of all sources have, and the keys of only some, in order."""
    key_sets = {source.path: set(keys) for source in sources if (keys := source.read_keys())}
    every: set[str] = set().union(*key_sets.values())
    common = {key for key in every if all(key in keys for keys in key_sets.values())}
    left_out = sorted(every - common)
    if left_out and not may_differ:
        lacking = next(path for path, keys in key_sets.items() if left_out[0] not in keys)
        raise ConfigError(
            "inputs",
            f"records of {split} have different keys: {lacking} is without {left_out[0]} "
            f"({len(left_out)} such keys); give --common_keys to leave them out, or convert with the same --extra_keys",
        )
    return common, left_out


def _resolve_duplicates(options: MergeOptions, plans: Sequence[DerivedPlan]) -> None:
    """Keeps images that several inputs or splits have from the first of them only, or raises.

    Raises:
        InputError: naming such an image, with `on_duplicate` error.
    """
    sources = _order_sources(options.inputs, plans)
    # The number of parts decides only how much memory a part takes.
    parts = max((len(job.sources[source]) for job, source in sources), default=0)
    for part in range(parts):
        for repeated in find_repeated(sources, part, parts):
            if options.on_duplicate == "error":
                raise InputError(
                    repeated.path,
                    f"has the image {repeated.image_id}, which is also in {repeated.first_path}",
                    "Give --on_duplicate=first to keep the record of the first input",
                )
            job, source = sources[repeated.source]
            records = job.index.read_counts(source, repeated.shard).records
            keep_mask = job.index.read_selection(source, repeated.shard, records)
            keep_mask[repeated.records] = False
            job.index.write_selection(source, repeated.shard, keep_mask)


def _order_sources(inputs: Sequence[str], plans: Sequence[DerivedPlan]) -> list[tuple[DerivedJob, int]]:
    """Returns (job, number of the source in the job), by input first and by split second."""
    places = sorted(
        (inputs.index(source.path), number, source_number)
        for number, plan in enumerate(plans)
        for source_number, source in enumerate(plan.sources)
    )
    return [(plans[number].job, source_number) for _, number, source_number in places]
