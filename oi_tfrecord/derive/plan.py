"""What a derived split will be: a split whose records are those of other splits."""

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
from oi_tfrecord.storage.secrets import without_secrets


@dataclasses.dataclass(frozen=True)
class Source:
    """A split that `oi-tfrecord` wrote and that records are taken from.

    Attributes:
        path: its folder, as given.
        split: its name and shards.
        manifest: its entry in the manifest of the folder.
        label_map: of the folder.
    """

    path: str
    split: Split
    manifest: Mapping[str, Any]
    label_map: LabelMap

    @property
    def manifest_sha256(self) -> str:
        """Hex digest of the entry, which has the digest of every shard."""
        return hashlib.sha256(json.dumps(self.manifest, sort_keys=True).encode()).hexdigest()

    @property
    def size(self) -> int:
        """Bytes of its shards."""
        return int(self.manifest["totals"]["bytes"])

    def read_keys(self) -> frozenset[str]:
        """Returns the keys of its first record, which all its records have; empty if it has no record."""
        for path, shard in zip(self.split.shards, self.manifest["shards"], strict=True):
            if shard["records"]:
                try:
                    return frozenset(parse_example(next(read_shard(path))[1]))
                except (FramingError, ExampleError, StopIteration) as error:
                    raise InputError(path, str(error), "Run `oi-tfrecord verify` on its folder") from error
        return frozenset()


@dataclasses.dataclass(frozen=True)
class DerivedPlan:
    """What a derived split will be, and how it is written.

    Attributes:
        sources: splits whose records it takes.
        label_map: its label map.
        record_config: configuration of its records, for the manifest.
        options: options that decide its bytes, for the manifest; `command` is the command.
        job: what its shards have in common.
        overwrite: whether a split of that name is replaced.
        num_shards: number of shards; 0 chooses by the size.
        workers: shards that this machine works on at once; 0 chooses.
        beam_arguments: flags that Beam owns.
    """

    sources: tuple[Source, ...]
    label_map: LabelMap
    record_config: Mapping[str, Any]
    options: Mapping[str, Any]
    job: DerivedJob
    overwrite: bool
    num_shards: int
    workers: int
    beam_arguments: tuple[str, ...]

    @property
    def split(self) -> str:
        """Name of the split."""
        return self.job.split

    @property
    def output_dir(self) -> str:
        """Folder of the split."""
        return self.job.output_dir

    @property
    def work(self) -> WorkFolder:
        """Folder of unfinished files."""
        return self.job.work

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What must be equal for a run to resume another."""
        return make_fingerprint(self.sources, self.options, self.label_map)

    @property
    def target(self) -> OutputTarget:
        """The split as its folder sees it."""
        return OutputTarget(self.output_dir, self.split, self.overwrite, self.fingerprint, self.label_map)

    @property
    def input_shards(self) -> list[tuple[int, int]]:
        """(source, shard) of each shard that is read."""
        sizes = [len(paths) for paths in self.job.sources]
        return [(source, shard) for source, size in enumerate(sizes) for shard in range(size)]


def find_sources(output_dir: str, splits: Sequence[str] = ()) -> dict[str, Source]:
    """Finds splits to take records from.

    Args:
        output_dir: folder of the records.
        splits: names; all by default.

    Returns:
        Source by name.

    Raises:
        InputError: if a split is missing, or `oi-tfrecord` did not write it.
    """
    found = find_splits(output_dir, splits)
    label_map = read_label_map(output_dir)
    sources = {}
    for name, split in found.items():
        if split.manifest is None or "fingerprint" not in split.manifest or label_map is None:
            lacking = f"no manifest names the split {name!r}" if label_map else f"there is no {LABEL_MAP_FILE}"
            raise InputError(output_dir, lacking, "Give the folder of records that `oi-tfrecord convert` finished")
        sources[name] = Source(output_dir, split, split.manifest, label_map)
    return sources


def make_fingerprint(sources: Sequence[Source], options: Mapping[str, Any], label_map: LabelMap) -> dict[str, Any]:
    """Returns what must be equal for a run to resume another, in the form that a conversion has, too.

    Args:
        sources: splits whose records are taken.
        options: options that decide the bytes.
        label_map: of the derived split.
    """
    values = {
        "record_format": RECORD_FORMAT,
        "config": {**options, "label_map_sha256": hashlib.sha256(format_pbtxt(label_map).encode()).hexdigest()},
        "inputs": [("records", source.path, source.size, source.manifest_sha256) for source in sources],
        "class_files": [],
        "num_shards": max(int(options["num_shards"]), 1),
    }
    return dict(json.loads(json.dumps(without_secrets(values))))
