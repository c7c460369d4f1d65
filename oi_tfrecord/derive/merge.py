"""Merges datasets under one label map."""

import dataclasses
from collections.abc import Sequence
from typing import Any, TextIO

from oi_tfrecord import storage
from oi_tfrecord.dataset.label_map import load_label_map
from oi_tfrecord.dataset.manifest_file import delete_manifest, read_manifest
from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.derive.manifest import shared_config
from oi_tfrecord.derive.plan import DerivedClasses, DerivedConfig, DerivedPlan, Source, find_sources, make_fingerprint
from oi_tfrecord.derive.relabel import merge_label_maps
from oi_tfrecord.derive.repeated_images import find_repeated
from oi_tfrecord.derive.run import derive
from oi_tfrecord.derive.shard import DerivedJob
from oi_tfrecord.errors import ConfigError, InputError, nearest
from oi_tfrecord.openimages.image_id import format_id
from oi_tfrecord.reasons import Drop
from oi_tfrecord.records.label_map import LabelMap

ON_DUPLICATE = ("error", "first")


@dataclasses.dataclass(frozen=True)
class MergeOptions:
    """How datasets are merged.

    Attributes:
        inputs: their folders, in order.
        output_dir: where to.
        splits: names; all by default.
        label_map: path of the label map to use; without it the first dataset's, with what it lacks appended.
        on_duplicate: `error`, or `first` keeps an image that several have from the first of them.
        common_keys: whether keys that not all have are left out, instead of an error.
        num_shards, workers, overwrite, beam_arguments: as in `DerivedConfig`.
    """

    inputs: tuple[str, ...]
    output_dir: str
    splits: tuple[str, ...] = ()
    label_map: str = ""
    on_duplicate: str = "error"
    common_keys: bool = False
    num_shards: int = 0
    workers: int = 0
    overwrite: bool = False
    beam_arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.inputs:
            raise ConfigError("inputs", "give the folders to merge")
        folders = [storage.join(path, "") for path in self.inputs]
        if twice := [path for path in folders if folders.count(path) > 1]:
            raise ConfigError("inputs", f"{twice[0]} is given twice")
        if storage.join(self.output_dir, "") in folders:
            raise ConfigError("to", f"{self.output_dir} is one of the folders to merge")
        if self.on_duplicate not in ON_DUPLICATE:
            known = ", ".join(ON_DUPLICATE)
            raise ConfigError(
                "on_duplicate", f"{self.on_duplicate!r} is none of {known}{nearest(self.on_duplicate, ON_DUPLICATE)}"
            )


def merge(options: MergeOptions, out: TextIO) -> dict[str, dict[str, Any]]:
    """Merges datasets, one split after the other.

    Args:
        options: which and how.
        out: where the summary goes.

    Returns:
        Manifest by split.

    Raises:
        ConfigError, InputError: naming what to mend; an image that several inputs have, with its shards.
    """
    found = [find_sources(path) for path in options.inputs]
    names = sorted({name for sources in found for name in sources})
    if missing := [name for name in options.splits if name not in names]:
        raise ConfigError("split", f"no input has a split {missing[0]!r}; there are: {', '.join(names)}")
    label_map = merge_label_maps(
        [next(iter(sources.values())).label_map for sources in found], _read_given(options.label_map)
    )
    plans = [
        _make_plan(options, name, [sources[name] for sources in found if name in sources], label_map)
        for name in names
        if not options.splits or name in options.splits
    ]

    if options.overwrite:
        _forget_replaced(options.output_dir, {plan.config.split for plan in plans})

    return derive(plans, lambda indexed: _resolve_duplicates(options, indexed), lambda written: {}, out)


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
        options.output_dir, split, options.overwrite, options.num_shards, options.workers, options.beam_arguments
    )
    job = DerivedJob(
        split=split,
        output_dir=options.output_dir,
        work=WorkFolder.of(options.output_dir, split),
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
