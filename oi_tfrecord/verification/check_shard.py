"""Reads one shard back and makes every check that needs no other file."""

import dataclasses
import posixpath
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.openimages.image_id import hash_ids, id_key
from oi_tfrecord.records.example_reader import ExampleError, Values, parse_example
from oi_tfrecord.records.record_counts import RecordCounts
from oi_tfrecord.storage.streams import HashingStream
from oi_tfrecord.verification.check_hash_order import (
    Located,
    find_duplicates,
    find_of_other_shards,
    find_out_of_order,
)
from oi_tfrecord.verification.check_index import check_index
from oi_tfrecord.verification.check_record import RecordRules, check_record
from oi_tfrecord.verification.faults import (
    DatasetFault,
    FaultKind,
    FaultList,
    Finding,
    RecordPlace,
    fault_of_file,
    fault_of_record,
)
from oi_tfrecord.verification.result import SplitSummary, VerifyResult
from oi_tfrecord.verification.scan_damaged import ScannedRecord, scan_records

_KINDS = {
    "records": FaultKind.SHARD_RECORDS,
    "bytes": FaultKind.SHARD_SIZE,
    "crc32c": FaultKind.SHARD_CRC32C,
    "sha256": FaultKind.SHARD_SHA256,
}
"""What the manifest says of a shard to the kind of the fault."""


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """A shard to check.

    Attributes:
        split: name of its split.
        number: of the task, from 0; tasks are in the order of splits and shards.
        path: of the file.
        shard, num_shards: its place in the hash order of a split that we wrote; -1 for third-party records.
        rules: what its records must hold.
        expected: `records`, `bytes` and checksums of the manifest; None where there is no manifest.
        max_faults: number of faults that are kept; all are counted.
    """

    split: str
    number: int
    path: str
    shard: int
    num_shards: int
    rules: RecordRules
    expected: Mapping[str, Any] | None
    max_faults: int = 100

    @property
    def file(self) -> str:
        """Base name of the shard."""
        return posixpath.basename(self.path)


@dataclasses.dataclass(frozen=True)
class CheckedRecord:
    """A record after its own checks.

    Attributes:
        place: where it is.
        features: what `parse_example` made of it; None where it is damaged.
        findings: its faults.
    """

    place: RecordPlace
    features: Mapping[str, Values] | None
    findings: tuple[Finding, ...]


class ShardContents:
    """What the records of a shard hold, collected record by record.

    Attributes:
        records: number of records, damaged ones too.
        counts: of the records that could be read.
        places: of the records that have an ImageID.
        ids: of each of these, see `id_key`.
        key_sets: number of records by the keys that they have.
        first_places: place of the first record by its keys.
    """

    def __init__(self, expanded_boxes: Mapping[int, int]):
        """Starts before the first record.

        Args:
            expanded_boxes: label map id to boxes that the Object Detection API makes of a box.
        """
        self.records = 0
        self._expanded_boxes = expanded_boxes
        self.counts = RecordCounts()
        self.places: list[RecordPlace] = []
        self.ids: list[int] = []
        self.key_sets: Counter[tuple[str, ...]] = Counter()
        self.first_places: dict[tuple[str, ...], RecordPlace] = {}

    def add(self, record: CheckedRecord) -> None:
        """Adds the next record."""
        self.records += 1
        if record.features is None:
            return
        keys = tuple(record.features)
        self.counts.add(record.features, self._expanded_boxes)
        self.key_sets[keys] += 1
        self.first_places.setdefault(keys, record.place)
        if record.place.image_id:
            self.places.append(record.place)
            self.ids.append(id_key(record.place.image_id))


def check_shard(
    task: ShardTask, on_progress: Callable[[int, int, int], None] = lambda records, size, faults: None
) -> tuple[VerifyResult, np.ndarray]:
    """Checks a shard.

    Args:
        task: the shard.
        on_progress: called after each record with the records, bytes and faults so far.

    Returns:
        What was found; and uint64 array [records with an ImageID] of their `id_key`.
    """
    faults = FaultList(task.max_faults)
    contents = ShardContents(task.rules.expanded_boxes)
    offsets: list[int] = []
    size = 0
    try:
        with storage.open_read(task.path) as file:
            stream = HashingStream(file, computes_sha256="sha256" in (task.expected or {}))
            for scanned in scan_records(stream):
                record = check_scanned(scanned, task.rules)
                faults.add(fault_of_record(task.split, task.file, record.place, item) for item in record.findings)
                contents.add(record)
                offsets.append(scanned.offset)
                on_progress(contents.counts.records, stream.size, faults.counts.total())
            size, crc32c, sha256 = stream.size, f"{stream.crc32c:08x}", stream.sha256()
    except FileNotFoundError:
        faults.add([fault_of_file(task.split, task.file, FaultKind.SHARD_MISSING, "there is no such file")])
    except OSError as error:
        problem = error.strerror or str(error)
        faults.add([fault_of_file(task.split, task.file, FaultKind.SHARD_UNREADABLE, problem)])
    else:
        located = check_together(contents, task)
        faults.add(fault_of_record(task.split, task.file, place, finding) for place, finding in located)
        faults.add(_compare_with_manifest(task, contents.records, size, crc32c, sha256))
        # A damaged shard has faults of its own, and the places of its records are not sure.
        if not faults.counts[FaultKind.FRAMING]:
            faults.add(check_index(task.path, task.split, offsets))
    summary = SplitSummary(shards=1, size=size, counts=contents.counts)
    result = VerifyResult({task.split: summary}, tuple(faults.kept), dict(faults.counts))
    return result, np.array(contents.ids, np.uint64)


def check_scanned(scanned: ScannedRecord, rules: RecordRules) -> CheckedRecord:
    """Checks one record, damaged or not."""
    place = RecordPlace(scanned.record, scanned.offset)
    if scanned.data is None:
        return CheckedRecord(place, None, (Finding(FaultKind.FRAMING, "", scanned.problem),))
    try:
        features = parse_example(scanned.data)
    except ExampleError as error:
        return CheckedRecord(place, None, (Finding(FaultKind.NOT_AN_EXAMPLE, "", str(error)),))
    place = dataclasses.replace(place, image_id=rules.image_id_of(features))
    return CheckedRecord(place, features, tuple(check_record(features, rules)))


def check_together(contents: ShardContents, task: ShardTask) -> Iterator[Located]:
    """Yields the faults that only all records of a shard together show."""
    ids = np.array(contents.ids, np.uint64)
    hashes = hash_ids(ids)
    if task.rules.ours:
        yield from _find_missing_keys(contents, task.rules)
    yield from find_duplicates(contents.places, ids)
    if task.num_shards > 0:
        yield from find_out_of_order(contents.places, hashes)
        yield from find_of_other_shards(contents.places, hashes, task.shard, task.num_shards)


def _find_missing_keys(contents: ShardContents, rules: RecordRules) -> Iterator[Located]:
    """Yields the keys that some records of a shard lack and others have; `check_record` reports required keys."""
    every = {key for keys in contents.key_sets for key in keys}
    for keys, count in contents.key_sets.items():
        for key in sorted(every.difference(keys, rules.required)):
            more = f" and {count - 1} more lack" if count > 1 else " lacks"
            detail = f"this record{more} the key, which other records of the shard have"
            yield contents.first_places[keys], Finding(FaultKind.KEY_MISSING, key, detail)


def _compare_with_manifest(
    task: ShardTask, records: int, size: int, crc32c: str, sha256: str
) -> Iterator[DatasetFault]:
    if task.expected is None:
        return
    found: dict[str, str | int] = {"records": records, "bytes": size, "crc32c": crc32c, "sha256": sha256}
    # A manifest has one of the checksums or both.
    stated = {"records": None, "bytes": None, **task.expected}
    yield from compare_file(task.split, task.file, stated, found)


def compare_file(
    split: str, file: str, stated: Mapping[str, Any], found: Mapping[str, str | int]
) -> Iterator[DatasetFault]:
    """Compares a shard file with the manifest.

    Args:
        split: name of the split.
        file: base name of the shard.
        stated: what the manifest says of the shard.
        found: what is known of the file, by the same names.

    Yields:
        A fault for each name of both whose values differ.
    """
    for name, kind in _KINDS.items():
        if name in stated and name in found and stated[name] != found[name]:
            yield fault_of_file(split, file, kind, f"{found[name]}, and the manifest has {stated[name]}")
