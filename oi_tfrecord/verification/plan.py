"""Which shards there are to check, the rules of their records, and which files are missing or too many."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence

from oi_tfrecord.dataset.splits import Split, find_shard_paths
from oi_tfrecord.openimages.image_id import ANY_FORMAT
from oi_tfrecord.records.keys import ENCODED_KEY
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.shard_names import parse_any_shard_file
from oi_tfrecord.verification.check_manifest import required_keys
from oi_tfrecord.verification.check_record import RecordRules
from oi_tfrecord.verification.check_shard import ShardTask
from oi_tfrecord.verification.faults import DatasetFault, FaultKind, fault_of_file

Files = Mapping[str, Sequence[str]]
"""Base names of the shards in a folder, by split."""


def find_shard_files(output_dir: str) -> Files:
    """Returns the shards in a folder, whether a manifest names them or not."""
    return {split: list(map(posixpath.basename, paths)) for split, paths in find_shard_paths(output_dir).items()}


def plan_shards(
    splits: Mapping[str, Split], files: Files, label_map: LabelMap | None, *, decode: bool, max_faults: int
) -> tuple[ShardTask, ...]:
    """Plans the checks of shards.

    Args:
        splits: the splits to verify.
        files: the shards in their folder.
        label_map: of the dataset.
        decode: whether to decode images.
        max_faults: number of faults that a shard keeps.

    Returns:
        A task for each shard of the splits that is in the folder.
    """
    tasks: list[ShardTask] = []
    for split in splits.values():
        rules = _make_rules(split, label_map, decode)
        for index, path in enumerate(split.shards):
            name = posixpath.basename(path)
            if name not in files.get(split.name, ()):
                continue
            expected = split.manifest["shards"][index] if split.manifest is not None else None
            parsed = parse_any_shard_file(name)
            shard, num_shards = (parsed.shard, parsed.num_shards) if rules.ours and parsed else (-1, -1)
            tasks.append(ShardTask(split.name, len(tasks), path, shard, num_shards, rules, expected, max_faults))
    return tuple(tasks)


def _make_rules(split: Split, label_map: LabelMap | None, decode: bool) -> RecordRules:
    if split.manifest is None:
        return RecordRules.of(False, (ENCODED_KEY,), label_map, decode)
    config = split.manifest.get("config", {})
    numeric_ids, any_ids = config.get("source_id") == "numeric", config.get("image_id_format") == ANY_FORMAT
    return RecordRules.of(True, required_keys(split.manifest), label_map, decode, numeric_ids, any_ids)


def check_shard_files(splits: Mapping[str, Split], files: Files) -> Iterator[DatasetFault]:
    """Yields the shards that are missing in a folder, and those that do not belong there.

    Args:
        splits: the splits to verify.
        files: the shards in their folder.
    """
    for split in splits.values():
        found = files.get(split.name, ())
        if split.manifest is not None:
            yield from _compare_with_manifest(split, found)
        else:
            yield from _compare_with_names(split.name, found)


def _compare_with_manifest(split: Split, found: Sequence[str]) -> Iterator[DatasetFault]:
    named = [posixpath.basename(path) for path in split.shards]
    for name in named:
        if name not in found:
            yield fault_of_file(split.name, name, FaultKind.SHARD_MISSING, "there is no such file")
    for name in found:
        if name not in named:
            detail = "not in the manifest, but a pattern that names the split matches it"
            yield fault_of_file(split.name, name, FaultKind.SHARD_STALE, detail)


def _compare_with_names(split: str, found: Sequence[str]) -> Iterator[DatasetFault]:
    """Yields the faults that the names of the shards alone show: `NAME-00000-of-00010` is one of ten."""
    parsed = [shard_name for name in found if (shard_name := parse_any_shard_file(name))]
    totals = sorted({shard_name.num_shards for shard_name in parsed})
    if len(totals) > 1:
        numbers = " and ".join(map(str, totals))
        yield fault_of_file(split, split, FaultKind.SHARD_STALE, f"there are shards of {numbers} in the folder")
    for total in totals:
        there = {shard_name.shard for shard_name in parsed if shard_name.num_shards == total}
        missing = sorted(set(range(total)) - there)
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            yield fault_of_file(
                split, split, FaultKind.SHARD_MISSING, f"shard {missing[0]} of {total}{more} is not there"
            )
