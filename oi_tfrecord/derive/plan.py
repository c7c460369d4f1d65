"""What a split will be that is made of records that other splits have."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from oi_tfrecord.dataset.file_names import LABEL_MAP_FILE
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.output_state import OutputTarget
from oi_tfrecord.dataset.splits import Split, find_splits, read_shard
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.derive.shard import DerivedJob
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.example_reader import ExampleError, parse_example
from oi_tfrecord.records.keys import RECORD_FORMAT
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.label_map_file import format_pbtxt
from oi_tfrecord.records.tfrecord import FramingError


@dataclasses.dataclass(frozen=True)
class Source:
    """A split of ours that records are taken from: its folder as given, itself, its entry in the manifest."""

    path: str
    split: Split
    manifest: Mapping[str, Any]
    label_map: LabelMap

    @property
    def manifest_sha256(self) -> str:
        """Hex digest of the entry, which names every shard by its own."""
        return hashlib.sha256(json.dumps(self.manifest, sort_keys=True).encode()).hexdigest()

    def read_keys(self) -> frozenset[str]:
        """Returns the keys of its first record, which all of a split of ours have; empty if it has none."""
        for path, shard in zip(self.split.shards, self.manifest["shards"], strict=True):
            if shard["records"]:
                try:
                    return frozenset(parse_example(next(read_shard(path))[1]))
                except (FramingError, ExampleError, StopIteration) as error:
                    raise InputError(path, str(error), "Run `oi-tfrecord verify` on its folder") from error
        return frozenset()

    @property
    def size(self) -> int:
        """Bytes of its shards."""
        return int(self.manifest["totals"]["bytes"])


@dataclasses.dataclass(frozen=True)
class DerivedConfig:
    """Where a derived split is written, and how.

    Attributes:
        output_dir: folder of the split.
        split: its name.
        overwrite: whether one that is there is replaced.
        num_shards: number of shards; 0 chooses by the size.
        workers: shards that this machine works on at once; 0 chooses.
        beam_arguments: flags that Beam owns.
    """

    output_dir: str
    split: str
    overwrite: bool = False
    num_shards: int = 0
    workers: int = 0
    beam_arguments: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class DerivedClasses:
    """The label map of a derived split."""

    label_map: LabelMap


@dataclasses.dataclass(frozen=True)
class DerivedPlan:
    """What a derived split will be.

    Attributes:
        config: where and how.
        sources: what it is made of.
        classes: its label map.
        record_config: configuration of the records, as the manifest has it.
        options: what decides its bytes, for the manifest; `command` is the command.
        job: what its shards have in common.
        fingerprint: what must be equal for a rerun to go on.
    """

    config: DerivedConfig
    sources: tuple[Source, ...]
    classes: DerivedClasses
    record_config: Mapping[str, Any]
    options: Mapping[str, Any]
    job: DerivedJob
    fingerprint: dict[str, Any]

    @property
    def work(self) -> WorkFolder:
        """Folder of what is unfinished."""
        return self.job.work

    @property
    def target(self) -> OutputTarget:
        """The split that is written."""
        config = self.config
        return OutputTarget(config.output_dir, config.split, config.overwrite, self.fingerprint, self.classes.label_map)

    @property
    def input_shards(self) -> list[tuple[int, int]]:
        """(source, shard) of each shard that is read."""
        sizes = [len(paths) for paths in self.job.sources]
        return [(source, shard) for source, size in enumerate(sizes) for shard in range(size)]


def find_sources(output_dir: str, splits: Sequence[str] = ()) -> dict[str, Source]:
    """Finds splits that records are to be taken from.

    Args:
        output_dir: folder of the records.
        splits: names; all by default.

    Returns:
        Source by name.

    Raises:
        InputError: if one is not there, or not of ours.
    """
    found = find_splits(output_dir, splits)
    label_map = read_label_map(output_dir)
    sources = {}
    for name, split in found.items():
        if split.manifest is None or "fingerprint" not in split.manifest or label_map is None:
            lacking = f"no manifest tells of the split {name!r}" if label_map else f"there is no {LABEL_MAP_FILE}"
            raise InputError(output_dir, lacking, "Give the folder of records that `oi-tfrecord convert` finished")
        sources[name] = Source(output_dir, split, split.manifest, label_map)
    return sources


def make_fingerprint(sources: Sequence[Source], options: Mapping[str, Any], label_map: LabelMap) -> dict[str, Any]:
    """Returns what must be equal for a rerun to go on, shaped as that of a conversion, with which it is compared."""
    values = {
        "record_format": RECORD_FORMAT,
        "config": {**options, "label_map_sha256": hashlib.sha256(format_pbtxt(label_map).encode()).hexdigest()},
        "inputs": [("records", source.path, source.size, source.manifest_sha256) for source in sources],
        "class_files": [],
        "num_shards": max(int(options["num_shards"]), 1),
    }
    return dict(json.loads(json.dumps(values)))
