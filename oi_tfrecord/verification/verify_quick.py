"""Compares a dataset with its manifest without reading its records: files, sizes and checksums of the shards.

The bytes of a shard are read once where the storage has no checksum to ask for: on a local disk and on HDFS. In an
object store, the store's own checksum is compared, and nothing is read.
"""

import concurrent.futures
import dataclasses
import enum
import os
import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import LABEL_MAP_CSV, rejects_file
from oi_tfrecord.dataset.manifest_file import read_manifest
from oi_tfrecord.dataset.splits import Split, find_splits
from oi_tfrecord.engine.beam_flags import runs_here
from oi_tfrecord.engine.dataflow_flags import accept_beam_arguments
from oi_tfrecord.engine.progress_line import NoProgress, Progress
from oi_tfrecord.engine.progress_text import StepStatus, format_size
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.storage.streams import CHUNK_BYTES, HashingStream
from oi_tfrecord.verification.check_index import check_index_files
from oi_tfrecord.verification.check_label_map import compare_classes, compare_label_map_csv
from oi_tfrecord.verification.check_manifest import check_entry
from oi_tfrecord.verification.check_rejects import compare_rejects
from oi_tfrecord.verification.check_shard import compare_file
from oi_tfrecord.verification.check_side_files import check_manifest_form, check_named_files
from oi_tfrecord.verification.faults import DatasetFault, FaultKind, FaultList, fault_of_file
from oi_tfrecord.verification.plan import check_shard_files, find_shard_files
from oi_tfrecord.verification.verify import VerifyOptions, read_given_label_map, read_text, refusing_foreign_manifests


class Compared(enum.StrEnum):
    """How the checksum of a shard was compared with the manifest."""

    READ = "read"
    """Its bytes were read."""
    KEPT = "kept"
    """The store keeps the checksum."""
    SIZE = "size_only"
    """The checksum was not compared."""


@dataclasses.dataclass(frozen=True)
class QuickShard:
    """A shard file as its storage shows it.

    Attributes:
        found: what is known of the file, by the names of the manifest.
        compared: where its checksum comes from.
        problem: why no checksum is known.
    """

    found: Mapping[str, str | int]
    compared: Compared
    problem: str = ""


@dataclasses.dataclass(frozen=True)
class QuickSplit:
    """What was compared of a split.

    Attributes:
        size: bytes of the shards that are there.
        compared: number of shards by how their checksums were compared.
        problems: why the checksums of some shards were not compared, to their number.
    """

    size: int
    compared: Mapping[str, int]
    problems: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class QuickResult:
    """What `verify_quick` found.

    Attributes:
        splits: what was compared, by split.
        faults: the first faults.
        fault_counts: kind to number of all faults.
    """

    splits: Mapping[str, QuickSplit]
    faults: tuple[DatasetFault, ...]
    fault_counts: Mapping[str, int]

    @property
    def ok(self) -> bool:
        """Whether there is no fault in what was compared."""
        return not self.fault_counts


def verify_quick(options: VerifyOptions, progress: Progress | None = None) -> QuickResult:
    """Compares a dataset with its manifest without reading its records.

    Args:
        options: what to check; images and records are not read, and no runner is used.
        progress: shows messages and how far the run is; silent by default.

    Returns:
        What was compared, and the faults.

    Raises:
        ConfigError, InputError: naming the option or file that is to be corrected.
    """
    _check_options(options)
    accept_beam_arguments(options.beam_arguments)
    splits = find_splits(options.output_dir, options.split)
    if without := [name for name, split in splits.items() if split.manifest is None]:
        problem = f"compares with the manifest, and none describes the split {without[0]!r}; leave the flag out"
        raise ConfigError("quick", problem)
    files = find_shard_files(options.output_dir)
    label_map, found_faults = read_given_label_map(options, splits)
    faults = FaultList(options.max_faults)
    faults.add(found_faults)
    faults.add(check_shard_files(splits, files))
    faults.add(check_index_files(options.output_dir, splits))
    with refusing_foreign_manifests(options.output_dir):
        faults.add(check_manifest_form(read_manifest(options.output_dir) or b""))
        summaries = {}
        for name, split in splits.items():
            there = frozenset(files.get(name, ()))
            with (progress or NoProgress()).watch(StepStatus(f"comparing the shards of {name}")):
                shards = _look_at_shards(split, there, options.workers)
            faults.add(_check_split(options.output_dir, split, label_map, shards))
            summaries[name] = _summarize(shards)
    return QuickResult(summaries, tuple(faults.kept), dict(faults.counts))


def _check_options(options: VerifyOptions) -> None:
    if options.decode:
        raise ConfigError("quick", "reads no record; leave out --decode, or --quick")
    if not runs_here(options.beam_arguments):
        raise ConfigError("quick", "runs on this machine; leave out the runner, or --quick")


def _look_at_shards(split: Split, there: frozenset[str], workers: int) -> dict[str, QuickShard]:
    """Returns the shards that are there, by base name."""
    stated = {posixpath.basename(shard["file"]): shard for shard in (split.manifest or {})["shards"]}
    paths = [path for path in split.shards if posixpath.basename(path) in there]
    names = list(map(posixpath.basename, paths))
    if paths and storage.store_of(paths[0]):
        found = _ask_store(paths)
    else:
        with concurrent.futures.ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
            found = list(pool.map(lambda path, name: _read_shard(path, stated[name]), paths, names))
    return dict(zip(names, found, strict=True))


def _ask_store(paths: list[str]) -> list[QuickShard]:
    from oi_tfrecord.storage.kept_checksums import find_kept_checksums

    folder = posixpath.dirname(paths[0])
    sizes = {info.path: info.size for info in storage.match(storage.join(storage.escape(folder), "*"))}
    shards = []
    for path, kept in zip(paths, find_kept_checksums(paths), strict=True):
        found = {"bytes": sizes[path]} if path in sizes else {}
        if kept.crc32c:
            shards.append(QuickShard({**found, "crc32c": kept.crc32c}, Compared.KEPT))
        else:
            shards.append(QuickShard(found, Compared.SIZE, kept.problem))
    return shards


def _read_shard(path: str, stated: Mapping[str, Any]) -> QuickShard:
    with storage.open_read(path) as file:
        # The manifests of earlier versions have the SHA-256 alone.
        stream = HashingStream(file, computes_sha256="sha256" in stated)
        while stream.read(CHUNK_BYTES):
            pass
        found: dict[str, str | int] = {
            "bytes": stream.size,
            "crc32c": f"{stream.crc32c:08x}",
            "sha256": stream.sha256(),
        }
    return QuickShard(found, Compared.READ)


def _check_split(
    output_dir: str, split: Split, label_map: LabelMap | None, shards: Mapping[str, QuickShard]
) -> Iterator[DatasetFault]:
    """Yields the faults of the shards of a split, and of the files beside them."""
    manifest = split.manifest or {}
    for stated in manifest["shards"]:
        name = posixpath.basename(stated["file"])
        if name in shards:
            yield from compare_file(split.name, name, stated, shards[name].found)
    total = sum(stated["bytes"] for stated in manifest["shards"])
    if manifest["totals"]["bytes"] != total:
        detail = f"{manifest['totals']['bytes']}, and its shards have {total}"
        yield fault_of_file(split.name, "manifest.json", FaultKind.COUNT, detail, "totals.bytes")
    yield from check_entry(split.name, manifest)
    yield from compare_label_map_csv(split.name, label_map, read_text(storage.join(output_dir, LABEL_MAP_CSV)))
    yield from compare_classes(split.name, manifest, label_map) if label_map else ()
    rejects = rejects_file(split.name)
    yield from compare_rejects(split.name, manifest, read_text(storage.join(output_dir, rejects)), rejects)
    yield from check_named_files(output_dir, split.name, manifest)


def _summarize(shards: Mapping[str, QuickShard]) -> QuickSplit:
    return QuickSplit(
        sum(int(shard.found.get("bytes", 0)) for shard in shards.values()),
        Counter(str(shard.compared) for shard in shards.values()),
        Counter(shard.problem for shard in shards.values() if shard.problem),
    )


def describe_quick(result: QuickResult) -> Iterator[str]:
    """Yields the lines that say what was found and what was not compared, the verdict first."""
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(result.fault_counts.items()))
    total = sum(result.fault_counts.values())
    yield f"{total:,} faults: {kinds}" if total else "no fault; records were not read (--quick)"
    for fault in result.faults:
        yield f"fault: {fault}"
    if total > len(result.faults):
        yield f"... and {total - len(result.faults):,} more (--max_faults)"
    for name, split in result.splits.items():
        yield (
            f"{name}: {sum(split.compared.values()):,} shards, {format_size(split.size)}; checksums compared: "
            f"{split.compared.get(Compared.READ, 0):,} of bytes that were read, "
            f"{split.compared.get(Compared.KEPT, 0):,} that the store keeps"
        )
        for problem, count in split.problems.items():
            yield f"{name}: of {count:,} shards only the size was compared: {problem}"


def quick_values(result: QuickResult) -> dict[str, Any]:
    """Returns a result as values of JSON."""
    return {
        "ok": result.ok,
        "quick": True,
        "fault_count": sum(result.fault_counts.values()),
        "faults_by_kind": dict(sorted(result.fault_counts.items())),
        "faults": [vars(fault) for fault in result.faults],
        "splits": {
            name: {
                "shards": sum(split.compared.values()),
                "bytes": split.size,
                **{f"checksums_{how}": split.compared.get(how, 0) for how in (Compared.READ, Compared.KEPT)},
                "size_only": split.compared.get(Compared.SIZE, 0),
                "not_compared": dict(split.problems),
            }
            for name, split in result.splits.items()
        },
    }
