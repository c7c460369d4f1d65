"""What the output folder already holds of a split, and what a run does about it."""

import contextlib
import dataclasses
import json
import posixpath
from collections.abc import Collection, Mapping
from typing import Any

from oi_tfrecord import storage
from oi_tfrecord.dataset.accounts import decode_account
from oi_tfrecord.dataset.file_names import LABEL_MAP_CSV, LABEL_MAP_FILE, MANIFEST_FILE, find_foreign_files, side_files
from oi_tfrecord.dataset.manifest_file import read_manifest, restore_manifest
from oi_tfrecord.dataset.publish_split import publish_split
from oi_tfrecord.dataset.shard_index import find_index_files, write_missing_indexes
from oi_tfrecord.dataset.tfds_files import write_missing_tfds_files
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.errors import ConfigError, EngineError
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import CORRECTABLE
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.label_map_file import format_csv, format_pbtxt
from oi_tfrecord.records.shard_names import parse_shard_file


@dataclasses.dataclass(frozen=True)
class OutputTarget:
    """A split that a run writes.

    Attributes:
        output_dir: Folder of the dataset.
        split: Name of the split.
        overwrite: Whether the run may replace what the folder holds of the split.
        fingerprint: What must be equal for a run to resume another.
        label_map: The classes; None while their ids depend on counts.
    """

    output_dir: str
    split: str
    overwrite: bool
    fingerprint: dict[str, Any]
    label_map: LabelMap | None

    @property
    def work(self) -> WorkFolder:
        """The work folder of the split."""
        return WorkFolder.of(self.output_dir, self.split)


@dataclasses.dataclass(frozen=True)
class OutputState:
    """How a run starts.

    Attributes:
        finished: The shards that are done; their accounts stay in the work folder.
        complete: Manifest of the split if nothing is left to do.
    """

    finished: frozenset[int]
    complete: dict[str, Any] | None = None


@dataclasses.dataclass(frozen=True)
class _FoundOutput:
    """What the output folder holds.

    Attributes:
        shards: Name to size of each shard file of the split.
        entry: Manifest of the split; None without one.
        other_splits: Names of the other splits in the manifest.
        unfinished: Fingerprint of an unfinished run in the work folder; None without one.
    """

    shards: Mapping[str, int]
    entry: dict[str, Any] | None
    other_splits: frozenset[str]
    unfinished: dict[str, Any] | None


def prepare_output(target: OutputTarget) -> OutputState:
    """Looks at the output folder and makes it ready for a run.

    An interrupted conversion of the same inputs and configuration is resumed. Without `overwrite` a finished one is
    left as it is, and anything else of the split is refused; with `overwrite` both are removed.

    Raises:
        ConfigError: If the folder holds anything else.
    """
    storage.make_folder(target.output_dir)
    restore_manifest(target.output_dir)
    found = _inspect(target)
    if found.entry is None and not found.other_splits and found.unfinished is None:
        _check_foreign_files(target)
    if target.overwrite and (found.entry is not None or found.unfinished != target.fingerprint):
        # Before anything is removed, because this check may refuse the run.
        _check_label_map(target, found)
        _remove(target, found)
        found = dataclasses.replace(found, shards={}, entry=None, unfinished=None)
    if found.entry is not None:
        _check_finished(target, found.entry, found.shards)
        write_missing_indexes(target.output_dir, [shard["file"] for shard in found.entry["shards"]])
        write_missing_tfds_files(target.output_dir, read_splits(target.output_dir), target.work.temporary)
        if can_try_again(target.work, found.entry):
            target.work.keep_results()
        else:
            target.work.delete()
        return OutputState(frozenset(), found.entry)
    _check_unfinished(target, found)
    _check_label_map(target, found)
    return OutputState(_open_work_folder(target, found))


def count_correctable(entry: Mapping[str, Any]) -> int:
    """Returns how many images and masks of a split were rejected, or skipped, for a reason that may have passed."""
    tables = entry["tables"]
    images = entry["images"]
    counts = [images["rejected"], images.get("skipped", {}), tables.get(Table.MASKS, {}).get("rejected", {})]
    return sum(count for by_reason in counts for reason, count in by_reason.items() if reason in CORRECTABLE)


def can_try_again(work: WorkFolder, entry: Mapping[str, Any]) -> bool:
    """Returns whether some shards of a finished split can be written again with the results of the others."""
    return count_correctable(entry) > 0 and work.count_results() == len(entry["shards"])


def reopen_split(target: OutputTarget, shards: Collection[int]) -> OutputState:
    """Makes a finished split unfinished again, so that a run writes some of its shards again.

    Args:
        target: The split, whose work folder has the results of all shards.
        shards: Numbers of the shards to write.

    Returns:
        How the run starts.
    """
    # The manifest goes first: an interruption leaves an unfinished split, which the next run finishes.
    _remove_entry(target)
    target.work.delete_results(sorted(shards))
    return OutputState(_open_work_folder(target, _inspect(target)))


def earlier_num_shards(target: OutputTarget) -> int:
    """Returns the number of shards of an interrupted or finished run of the split; 0 without one.

    A resumed run without `num_shards` keeps this number, because a new sample of the images could give another.
    """
    entry = read_splits(target.output_dir).get(target.split)
    earlier: dict[str, Any] | None = entry["fingerprint"] if entry else target.work.fingerprint()
    return int(earlier["num_shards"]) if earlier else 0


def read_split(output_dir: str, split: str) -> dict[str, Any]:
    """Returns the manifest of a split that a runner has just finished.

    Raises:
        EngineError: If the manifest does not hold the split.
    """
    data = read_manifest(output_dir)
    splits = json.loads(data)["splits"] if data else {}
    if split not in splits:
        path = storage.join(output_dir, MANIFEST_FILE)
        remedy = "Run the same command again, which keeps the finished shards"
        raise EngineError(f"{path} does not hold the split {split!r}, though the job ended", remedy)
    return dict(splits[split])


def _inspect(target: OutputTarget) -> _FoundOutput:
    shards = _shard_sizes(target)
    splits = read_splits(target.output_dir)
    return _FoundOutput(
        shards=shards,
        entry=splits.get(target.split),
        other_splits=frozenset(splits) - {target.split},
        # If a user deleted the shards of a finished split, nothing is left to resume.
        unfinished=target.work.fingerprint() if shards or not target.work.is_kept() else None,
    )


def _shard_sizes(target: OutputTarget) -> dict[str, int]:
    found = storage.match(storage.join(storage.escape(target.output_dir), f"{target.split}.tfrecord-*"))
    sizes = {posixpath.basename(info.path): info.size for info in found}
    names = {name: parse_shard_file(name) for name in sizes}
    return {name: sizes[name] for name, parsed in names.items() if parsed and parsed.split == target.split}


def read_splits(output_dir: str) -> dict[str, Any]:
    """Returns the manifest of each split of a folder.

    Raises:
        ConfigError: If the file is no manifest.
    """
    data = read_manifest(output_dir)
    if data is None:
        return {}
    with contextlib.suppress(ValueError):
        manifest = json.loads(data)
        if isinstance(manifest, dict) and isinstance(manifest.get("splits"), dict):
            return dict(manifest["splits"])
    path = storage.join(output_dir, MANIFEST_FILE)
    raise ConfigError("output_dir", f"{path} is no manifest of oi_tfrecord; remove it, or give another folder")


def _check_finished(target: OutputTarget, entry: Mapping[str, Any], shards: Mapping[str, int]) -> None:
    if entry["fingerprint"] != target.fingerprint:
        raise _refused(target, "a finished conversion", entry["fingerprint"])
    if any(shards.get(shard["file"]) != shard["bytes"] for shard in entry["shards"]):
        problem = f"{target.output_dir}: shards named in its manifest are missing; give --overwrite"
        raise ConfigError("output_dir", problem)


def _check_unfinished(target: OutputTarget, found: _FoundOutput) -> None:
    if found.unfinished is not None and found.unfinished != target.fingerprint:
        raise _refused(target, "an interrupted conversion", found.unfinished)
    if found.unfinished is None and found.shards:
        raise ConfigError(
            "output_dir",
            f"{target.output_dir} holds shards of {target.split!r} that no manifest names ({min(found.shards)}, ...); "
            "give --overwrite to remove them, or another folder",
        )


def _check_foreign_files(target: OutputTarget) -> None:
    """Refuses to replace a file of a name that a run writes; `overwrite` may replace all but another label map."""
    texts = (
        {}
        if target.label_map is None
        else {LABEL_MAP_FILE: format_pbtxt(target.label_map), LABEL_MAP_CSV: format_csv(target.label_map)}
    )
    for path in find_foreign_files(target.output_dir, target.split):
        name = posixpath.basename(path)
        if target.overwrite and name != LABEL_MAP_FILE:
            continue
        if name not in texts or storage.read(path) != texts[name].encode():
            problem = f"{path} is there already, and no manifest says that a conversion wrote it"
            raise ConfigError("output_dir", f"{problem}; move it away, or give another folder")


def _check_label_map(target: OutputTarget, found: _FoundOutput) -> None:
    path = storage.join(target.output_dir, LABEL_MAP_FILE)
    if not found.other_splits or not storage.exists(path):
        return
    if target.label_map is None or format_pbtxt(target.label_map).encode() != storage.read(path):
        raise ConfigError(
            "label_map",
            f"{path} belongs to {', '.join(sorted(found.other_splits))} and could differ from the label map of this "
            f"run; give --label_map={path} to keep its ids, or another --output_dir",
        )


def _remove(target: OutputTarget, found: _FoundOutput) -> None:
    """Removes the split.

    The manifest goes first: without it no half removed dataset looks complete. The shards go after the files beside
    them: a run that finds shards without a manifest is refused, so that no other file of the split stays unseen. The
    fingerprint of this run is written when all is removed, so a resumed run does not take what is left for its own.
    """
    output_dir, split = target.output_dir, target.split
    if found.entry is not None:
        _remove_entry(target)
    storage.delete_all(output_dir, [*find_index_files(output_dir, split), *side_files(split)])
    storage.delete_all(output_dir, list(found.shards))
    target.work.delete()


def _remove_entry(target: OutputTarget) -> None:
    storage.make_folder(target.work.temporary)
    publish_split(target.output_dir, target.split, None, target.work.temporary)


def _open_work_folder(target: OutputTarget, found: _FoundOutput) -> frozenset[int]:
    """Makes the work folder ready, and returns the shards that an interrupted run finished."""
    if found.unfinished is None:
        # A removal that was interrupted may have left accounts of another conversion.
        target.work.delete()
    target.work.create(target.fingerprint)
    target.work.clear_temporary()
    accounts = map(decode_account, target.work.results())
    return frozenset(account.shard for account in accounts if found.shards.get(account.file) == account.size)


def _refused(target: OutputTarget, what: str, earlier: Mapping[str, Any]) -> ConfigError:
    return ConfigError(
        "output_dir",
        f"{target.output_dir} holds {what} of {target.split!r} that differs in: "
        f"{', '.join(_differences(target.fingerprint, earlier))}; give --overwrite to replace it, or another folder",
    )


def _differences(ours: Mapping[str, Any], earlier: Mapping[str, Any]) -> list[str]:
    """Names the flags and files in which two fingerprints differ."""
    our_config, earlier_config = ours["config"], earlier["config"]
    names = [*our_config, *(name for name in earlier_config if name not in our_config)]
    found = [f"--{name}" for name in names if our_config.get(name) != earlier_config.get(name)]
    if ours["num_shards"] != earlier["num_shards"]:
        found.append("--num_shards")
    inputs = [item for item in ours["inputs"] if item not in earlier["inputs"]]
    inputs += [item for item in earlier["inputs"] if item not in ours["inputs"]]
    found += dict.fromkeys(path for _table, path, *_ in inputs)
    if ours["class_files"] != earlier["class_files"]:
        found.append("class files")
    if ours["record_format"] != earlier["record_format"]:
        found.append("version of oi_tfrecord")
    return found
