"""Merges datasets under one label map."""

import dataclasses
from collections.abc import Sequence

from oi_tfrecord import storage
from oi_tfrecord.dataset.label_map import load_label_map
from oi_tfrecord.dataset.manifest_file import delete_manifest, read_manifest
from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.derive.manifest import shared_config
from oi_tfrecord.derive.plan import DerivedClasses, DerivedConfig, DerivedPlan, Source, find_sources, make_fingerprint
from oi_tfrecord.derive.relabel import merge_label_maps
from oi_tfrecord.derive.repeated_images import find_repeated
from oi_tfrecord.derive.shard import DerivedJob
from oi_tfrecord.derive.write_split import WrittenSplit, write_splits
from oi_tfrecord.engine.dataflow_flags import accept_beam_arguments
from oi_tfrecord.engine.progress_line import NoProgress, Progress
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.openimages.image_id import format_id
from oi_tfrecord.reasons import Drop
from oi_tfrecord.records.label_map import LabelMap
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
    label_map: str = option("", "Label map to use unchanged; it must have every class of the inputs.", Group.CLASSES)
    on_duplicate: str = option(
        "error",
        "What to do about an image that several inputs have: error stops, first keeps the record of the first input.",
        Group.CHOICE,
        Choice(ON_DUPLICATE),
    )
    common_keys: bool = option(False, "Leave out keys that the records of some inputs lack.", Group.RECORDS)
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
        progress: takes what there is to say while it runs.

    Returns:
        The splits that were written.

    Raises:
        ConfigError, InputError: naming the option or file that is to be corrected; an image that several inputs have,
            with its shards.
    """
    progress = progress or NoProgress()
    accept_beam_arguments(options.beam_arguments)
    found = [find_sources(path) for path in options.inputs]
    names = sorted({name for sources in found for name in sources})
    if missing := [name for name in options.split if name not in names]:
        raise ConfigError("split", f"no input has a split {missing[0]!r}; there are: {', '.join(names)}")
    label_map = merge_label_maps(
        [next(iter(sources.values())).label_map for sources in found], _read_given(options.label_map)
    )
    plans = [
        _make_plan(options, name, [sources[name] for sources in found if name in sources], label_map)
        for name in names
        if not options.split or name in options.split
    ]

    if options.overwrite:
        _forget_replaced(options.to, {plan.config.split for plan in plans})

    return MergeResult(
        write_splits(plans, lambda indexed: _resolve_duplicates(options, indexed), lambda written: {}, progress)
    )


def _forget_replaced(output_dir: str, splits: set[str]) -> None:
    """Deletes the manifest if all that it tells of is replaced: their common label map may then be another."""
    if read_manifest(output_dir) is not None and set(find_splits(output_dir)) <= splits:
        delete_manifest(output_dir)


def _read_given(path: str) -> LabelMap | None:
    if not path:
        return None
    if not storage.exists(path):
        raise ConfigError("label_map", f"there is no file {path}")
    return load_label_map(path)


def _make_plan(options: MergeOptions, split: str, sources: Sequence[Source], label_map: LabelMap) -> DerivedPlan:
    source_ids = {source.path: source.manifest["config"].get("source_id", "hex") for source in sources}
    if len(set(source_ids.values())) > 1:
        told = ", ".join(f"{source_id} in {path}" for path, source_id in source_ids.items())
        raise ConfigError("inputs", f"source ids of {split} are of several kinds: {told}; convert with one --source_id")
    keys, left_out = _common_keys(split, sources, options.common_keys)
    described = {
        "command": "merge",
        "on_duplicate": options.on_duplicate,
        "label_map": options.label_map,
        "common_keys": options.common_keys,
        "keys_left_out": left_out,
        "num_shards": options.num_shards,
    }
    config = DerivedConfig(
        options.to, split, options.overwrite, options.num_shards, options.workers, options.beam_arguments
    )
    job = DerivedJob(
        split=split,
        output_dir=options.to,
        work=WorkFolder.of(options.to, split),
        sources=tuple(source.split.shards for source in sources),
        by="boxes",
        reason=Drop.IN_EARLIER_INPUT,
        label_ids={item.name.encode(): item.id for item in label_map.items},
        keys=frozenset(keys),
        number_source_ids="numeric" in source_ids.values() and len(sources) > 1,
    )
    return DerivedPlan(
        config=config,
        sources=tuple(sources),
        classes=DerivedClasses(label_map),
        record_config=shared_config([source.manifest["config"] for source in sources]),
        options=described,
        job=job,
        fingerprint=make_fingerprint(sources, described, label_map),
    )


def _common_keys(split: str, sources: Sequence[Source], wanted: bool) -> tuple[set[str], list[str]]:
    """Returns the keys that the records of all sources have, and those that only some have, in order."""
    key_sets = {source.path: set(keys) for source in sources if (keys := source.read_keys())}
    every: set[str] = set().union(*key_sets.values())
    common = {key for key in every if all(key in keys for keys in key_sets.values())}
    left_out = sorted(every - common)
    if left_out and not wanted:
        lacking = next(path for path, keys in key_sets.items() if left_out[0] not in keys)
        raise ConfigError(
            "inputs",
            f"records of {split} have different keys: {lacking} is without {left_out[0]} "
            f"({len(left_out)} such keys); give --common_keys to leave them out, or convert with the same --extra_keys",
        )
    return common, left_out


def _resolve_duplicates(options: MergeOptions, plans: Sequence[DerivedPlan]) -> None:
    """Keeps images that are there more than once, also in different splits, from the first input only, or raises."""
    # The earlier input first; of one that has an image in two splits, the first split by name.
    places = sorted(
        (options.inputs.index(source.path), number, source_number)
        for number, plan in enumerate(plans)
        for source_number, source in enumerate(plan.sources)
    )
    sources = [(plans[number].job, source_number) for _, number, source_number in places]
    # A part of the hashes at a time; how many parts is free.
    parts = max(len(job.sources[source]) for job, source in sources)
    for part in range(parts):
        for again in find_repeated(sources, part, parts):
            if options.on_duplicate == "error":
                raise InputError(
                    again.path,
                    f"has the image {format_id(again.image_id)}, which is also in {again.first_path}",
                    "Give --on_duplicate=first to keep the one of the first input",
                )
            job, source = sources[again.source]
            kept = job.index.read_selection(source, again.shard, job.index.read_counts(source, again.shard).records)
            kept[again.records] = False
            job.index.write_selection(source, again.shard, kept)
