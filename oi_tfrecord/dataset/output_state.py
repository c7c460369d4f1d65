"""What is in the output folder already, and what a run may do about it."""

import contextlib
import dataclasses
import json
import posixpath
from collections.abc import Mapping
from typing import Any, Protocol

from oi_tfrecord import storage
from oi_tfrecord.dataset.accounts import decode_account
from oi_tfrecord.dataset.file_names import LABEL_MAP_FILE, MANIFEST_FILE, attribution_file, rejects_file, weights_file
from oi_tfrecord.dataset.manifest import merge_split
from oi_tfrecord.dataset.manifest_file import read_manifest, restore_manifest, write_manifest
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.errors import ConfigError, EngineError
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.label_map_file import format_pbtxt
from oi_tfrecord.records.shard_names import parse_shard_file


@dataclasses.dataclass(frozen=True)
class OutputState:
    """How a run starts.

    Attributes:
        finished: the shards that are done; their results stay in the work folder.
        complete: manifest of the split if nothing is left to do.
    """

    finished: frozenset[int]
    complete: dict[str, Any] | None = None


class OutputConfig(Protocol):
    """Where a split is written, and whether one that is there may be replaced."""

    @property
    def output_dir(self) -> str: ...
    @property
    def split(self) -> str: ...
    @property
    def overwrite(self) -> bool: ...


class OutputClasses(Protocol):
    """The classes of an output; the label map is None while it depends on counts."""

    @property
    def label_map(self) -> LabelMap | None: ...


class OutputPlan(Protocol):
    """A plan that writes a split."""

    @property
    def config(self) -> OutputConfig: ...
    @property
    def classes(self) -> OutputClasses: ...
    @property
    def work(self) -> WorkFolder: ...
    @property
    def fingerprint(self) -> dict[str, Any]: ...


def prepare_output(plan: OutputPlan) -> OutputState:
    """Looks at the output folder and makes it ready for a run.

    A finished conversion of the same inputs and configuration is left as it is, an interrupted
    one is gone on with; anything else of the split is refused without `overwrite`, and with it
    removed first.

    Raises:
        ConfigError: when the folder holds something else.
    """
    config = plan.config
    storage.make_folder(config.output_dir)
    restore_manifest(config.output_dir)
    shards = _shard_sizes(plan)
    manifest = _manifest(plan)
    entry = manifest.get("splits", {}).get(config.split)
    work_fingerprint = plan.work.fingerprint()
    other_splits = {name for name in manifest.get("splits", {}) if name != config.split}
    if config.overwrite:
        # Before anything is removed, as the run may be refused.
        _check_label_map(plan, other_splits)
        _remove(plan, shards, entry is not None)
        entry, work_fingerprint, shards = None, None, {}
    elif entry is not None:
        if entry["fingerprint"] != plan.fingerprint:
            raise _refused(plan, "a finished conversion", entry["fingerprint"])
        if all(shards.get(shard["file"]) == shard["bytes"] for shard in entry["shards"]):
            plan.work.delete()
            return OutputState(frozenset(), entry)
        raise ConfigError(
            "output_dir", f"{config.output_dir}: shards named in its manifest are missing; give --overwrite"
        )
    elif work_fingerprint is not None and work_fingerprint != plan.fingerprint:
        raise _refused(plan, "an interrupted conversion", work_fingerprint)
    elif work_fingerprint is None and shards:
        raise ConfigError(
            "output_dir",
            f"{config.output_dir} holds shards of {config.split!r} that no manifest names ({min(shards)}, ...); "
            "give --overwrite to remove them, or another folder",
        )
    _check_label_map(plan, other_splits)
    if work_fingerprint is None:
        # A removal that was cut short may have left results of another conversion.
        plan.work.delete()
    plan.work.create(plan.fingerprint)
    plan.work.clear_temporary()
    accounts = map(decode_account, plan.work.results())
    return OutputState(frozenset(account.shard for account in accounts if shards.get(account.file) == account.size))


def planned_before(plan: OutputPlan) -> int:
    """Returns the number of shards that an interrupted or finished run of the split planned, 0 if there is none.

    Only a run without `num_shards` asks: the plan samples the images, and a rerun goes on with the
    number it has even if images were added since.
    """
    entry = _manifest(plan).get("splits", {}).get(plan.config.split)
    earlier: dict[str, Any] | None = entry["fingerprint"] if entry else plan.work.fingerprint()
    return int(earlier["num_shards"]) if earlier else 0


def read_split(output_dir: str, split: str) -> dict[str, Any]:
    """Returns the manifest of a split that a runner has just finished.

    Raises:
        EngineError: if it is not there.
    """
    data = read_manifest(output_dir)
    splits = json.loads(data)["splits"] if data else {}
    if split not in splits:
        path = storage.join(output_dir, MANIFEST_FILE)
        remedy = "Run the same command again, which goes on with what is finished"
        raise EngineError(f"{path} does not hold the split {split!r}, though the job ended", remedy)
    return dict(splits[split])


def _shard_sizes(plan: OutputPlan) -> dict[str, int]:
    split = plan.config.split
    found = storage.match(storage.join(storage.escape(plan.config.output_dir), f"{split}.tfrecord-*"))
    sizes = {posixpath.basename(info.path): info.size for info in found}
    return {name: size for name, size in sizes.items() if (parse_shard_file(name) or ("",))[0] == split}


def _manifest(plan: OutputPlan) -> dict[str, Any]:
    data = read_manifest(plan.config.output_dir)
    if data is None:
        return {}
    with contextlib.suppress(ValueError):
        manifest = json.loads(data)
        if isinstance(manifest, dict) and isinstance(manifest.get("splits"), dict):
            return manifest
    path = storage.join(plan.config.output_dir, MANIFEST_FILE)
    raise ConfigError("output_dir", f"{path} is no manifest of oi_tfrecord; remove it, or give another folder")


def _remove(plan: OutputPlan, shards: dict[str, int], in_manifest: bool) -> None:
    # The manifest goes first: without it no half removed dataset looks complete. There is no fingerprint
    # of this run before all is gone, so a run that goes on does not take what is left for its own.
    config = plan.config
    if in_manifest:
        storage.make_folder(plan.work.temporary)
        data = merge_split(read_manifest(config.output_dir), config.split, None)
        write_manifest(config.output_dir, data, plan.work.temporary)
    for name in [*shards, rejects_file(config.split), attribution_file(config.split), weights_file(config.split)]:
        storage.delete(storage.join(config.output_dir, name))
    plan.work.delete()


def _check_label_map(plan: OutputPlan, other_splits: set[str]) -> None:
    path = storage.join(plan.config.output_dir, LABEL_MAP_FILE)
    if not other_splits or not storage.exists(path):
        return
    if plan.classes.label_map is None or format_pbtxt(plan.classes.label_map).encode() != storage.read(path):
        raise ConfigError(
            "label_map",
            f"{path} belongs to {', '.join(sorted(other_splits))} and could differ from the one this run makes; "
            f"give --label_map={path} to keep its ids, or another --output_dir",
        )


def _refused(plan: OutputPlan, what: str, theirs: dict[str, Any]) -> ConfigError:
    return ConfigError(
        "output_dir",
        f"{plan.config.output_dir} holds {what} of {plan.config.split!r} that differs in: "
        f"{', '.join(_differences(plan.fingerprint, theirs))}; give --overwrite to replace it, or another folder",
    )


def _differences(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """Names the flags and files in which two fingerprints differ."""
    our_config, their_config = ours["config"], theirs["config"]
    names = [*our_config, *(name for name in their_config if name not in our_config)]
    found = [f"--{name}" for name in names if our_config.get(name) != their_config.get(name)]
    if ours["num_shards"] != theirs["num_shards"]:
        found.append("--num_shards")
    # An input is (table, file name, size, time of change).
    inputs = [item for item in ours["inputs"] if item not in theirs["inputs"]]
    inputs += [item for item in theirs["inputs"] if item not in ours["inputs"]]
    found += dict.fromkeys(item[1] for item in inputs)
    if ours["class_files"] != theirs["class_files"]:
        found.append("class files")
    if ours["record_format"] != theirs["record_format"]:
        found.append("version of oi_tfrecord")
    return found
