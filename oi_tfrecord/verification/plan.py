"""Which shards there are to verify, what each is held to, and which files are missing or too many."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import LABEL_MAP_CSV, LABEL_MAP_FILE, rejects_file
from oi_tfrecord.dataset.label_map import load_label_map
from oi_tfrecord.dataset.splits import Split
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.shard_names import parse_any_shard_file
from oi_tfrecord.verification.check_manifest import compare_label_map, compare_rejects, required_keys
from oi_tfrecord.verification.check_record import RecordRules
from oi_tfrecord.verification.check_shard import ShardTask
from oi_tfrecord.verification.faults import Fault, FaultKind, fault_of_file


def check_label_map(path: str, is_needed: bool) -> tuple[LabelMap | None, list[Fault]]:
    """Reads a label map.

    Args:
        path: of the pbtxt.
        is_needed: whether it is a fault if there is none.

    Returns:
        The label map, None if it cannot be read, and what is wrong with it.
    """
    file = posixpath.basename(path)
    if not storage.exists(path):
        missing = fault_of_file("", file, FaultKind.LABEL_MAP, "there is no such file")
        return None, [missing] if is_needed else []
    try:
        return load_label_map(path), []
    except InputError as error:
        return None, [fault_of_file("", file, FaultKind.LABEL_MAP, str(error))]


def plan_shards(
    output_dir: str, splits: Mapping[str, Split], label_map: LabelMap | None, *, decode: bool, max_faults: int
) -> tuple[tuple[ShardTask, ...], list[Fault]]:
    """Plans the checks of shards.

    Args:
        output_dir: folder of the dataset.
        splits: what to verify.
        label_map: of the dataset.
        decode: whether to decode images.
        max_faults: how many faults a shard keeps.

    Returns:
        A task for each shard that is there, and the faults of those that are not, or should not be.
    """
    there: dict[str, list[str]] = {}
    for info in storage.match(storage.join(storage.escape(output_dir), "*-of-*")):
        name = posixpath.basename(info.path)
        if parsed := parse_any_shard_file(name):
            there.setdefault(parsed[0], []).append(name)
    tasks: list[ShardTask] = []
    faults: list[Fault] = []
    for split in splits.values():
        ours = split.manifest is not None
        required = required_keys(split.manifest) if split.manifest is not None else ("image/encoded",)
        numeric_ids = split.manifest is not None and split.manifest.get("config", {}).get("source_id") == "numeric"
        rules = RecordRules.of(ours, required, label_map, decode, numeric_ids)
        found = there.get(split.name, [])
        wanted = [posixpath.basename(path) for path in split.shards]
        faults += _find_stray(split, wanted, found)
        for index, (path, name) in enumerate(zip(split.shards, wanted, strict=True)):
            if name not in found:
                continue
            entry = split.manifest["shards"][index] if split.manifest is not None else None
            place = parse_any_shard_file(name)
            shard, num_shards = place[1:] if ours and place else (-1, -1)
            tasks.append(ShardTask(split.name, len(tasks), path, shard, num_shards, rules, entry, max_faults))
    return tuple(tasks), faults


def _find_stray(split: Split, wanted: Sequence[str], found: Sequence[str]) -> Iterator[Fault]:
    if split.manifest is not None:
        for name in wanted:
            if name not in found:
                yield fault_of_file(split.name, name, FaultKind.SHARD_MISSING, "there is no such file")
        for name in found:
            if name not in wanted:
                detail = "not in the manifest, but a pattern that names the split matches it"
                yield fault_of_file(split.name, name, FaultKind.SHARD_STALE, detail)
        return
    places = [place for name in found if (place := parse_any_shard_file(name))]
    totals = sorted({place[2] for place in places})
    if len(totals) > 1:
        told = " and ".join(str(total) for total in totals)
        detail = f"there are shards of {told} in the folder"
        yield fault_of_file(split.name, split.name, FaultKind.SHARD_STALE, detail)
    for total in totals:
        missing = sorted(set(range(total)) - {place[1] for place in places if place[2] == total})
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            detail = f"shard {missing[0]} of {total}{more} is not there"
            yield fault_of_file(split.name, split.name, FaultKind.SHARD_MISSING, detail)


def check_side_files(output_dir: str, split: Split, label_map: LabelMap | None) -> list[Fault]:
    """Compares label map and rejects beside the records of a split of ours with its manifest."""
    if split.manifest is None:
        return []
    csv_text = _read_text(storage.join(output_dir, LABEL_MAP_CSV))
    files = (LABEL_MAP_FILE, LABEL_MAP_CSV)
    faults = compare_label_map(split.name, split.manifest, label_map, csv_text, files)
    file = rejects_file(split.name)
    return faults + compare_rejects(split.name, split.manifest, _read_text(storage.join(output_dir, file)), file)


def _read_text(path: str) -> str | None:
    return storage.read(path).decode(errors="replace") if storage.exists(path) else None
