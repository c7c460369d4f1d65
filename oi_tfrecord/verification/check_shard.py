"""Reads one shard back and checks everything that can be told from it alone."""

import dataclasses
import hashlib
import json
import posixpath
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.records.example_reader import ExampleError, image_id_of, parse_example
from oi_tfrecord.records.record_counts import RecordCounts
from oi_tfrecord.records.sharding import shard_of
from oi_tfrecord.storage.streams import HashingStream
from oi_tfrecord.verification.check_record import RecordRules, check_record
from oi_tfrecord.verification.faults import Fault, FaultKind, fault_of_file
from oi_tfrecord.verification.scan_damaged import scan_records


@dataclasses.dataclass(frozen=True)
class ShardTask:
    """A shard to check.

    Attributes:
        split: name of its split.
        number: of the task, from 0; tasks in the order of splits and shards.
        path: of the file.
        shard, num_shards: its place in the hash order of a split that we wrote; -1 for records of others.
        rules: what its records are held to.
        expected: `records`, `bytes` and `sha256` of the manifest; None where there is none.
        max_faults: how many faults are kept; all are counted.
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


class FaultList:
    """Faults, of which the first are kept and all are counted."""

    def __init__(self, limit: int):
        """Initializes the instance.

        Args:
            limit: how many are kept.
        """
        self._limit = limit
        self.kept: list[Fault] = []
        self.counts: Counter[str] = Counter()

    def add(self, fault: Fault) -> None:
        """Adds a fault."""
        self.counts[str(fault.kind)] += 1
        if len(self.kept) < self._limit:
            self.kept.append(fault)

    def add_counts(self, counts: Mapping[str, int]) -> None:
        """Counts faults that were kept elsewhere."""
        self.counts.update(counts)


@dataclasses.dataclass(frozen=True)
class ShardCheck:
    """What was found in a shard.

    Attributes:
        split, number, file: of the task.
        size: bytes of the file.
        counts: of its records.
        faults: the first of them.
        fault_counts: kind to number of all of them.
    """

    split: str
    number: int
    file: str
    size: int
    counts: RecordCounts
    faults: tuple[Fault, ...]
    fault_counts: Mapping[str, int]


def to_json(check: ShardCheck) -> bytes:
    """Returns a check as JSON."""
    values = {**vars(check), "counts": check.counts.to_values(), "faults": [vars(fault) for fault in check.faults]}
    return json.dumps(values, separators=(",", ":")).encode()


def from_json(data: bytes) -> ShardCheck:
    """Returns the check that `to_json` made into `data`."""
    values = json.loads(data)
    values["counts"] = RecordCounts.from_values(values["counts"])
    values["faults"] = tuple(fault_from(fault) for fault in values["faults"])
    return ShardCheck(**values)


def fault_from(values: Mapping[str, Any]) -> Fault:
    """Returns the fault of which `values` are the attributes, from JSON."""
    return Fault(**{**values, "kind": FaultKind(values["kind"])})


def check_shard(
    task: ShardTask, on_progress: Callable[[int, int, int], None] = lambda records, size, faults: None
) -> tuple[ShardCheck, np.ndarray]:
    """Checks a shard.

    Args:
        task: the shard.
        on_progress: called after each record with the records, bytes and faults so far.

    Returns:
        What was found, and uint64 array [records] of what stands for the ImageID of each record that could be read.
    """
    faults = FaultList(task.max_faults)
    checker = _ShardChecker(task, faults)
    size = 0
    try:
        with storage.open_read(task.path) as file:
            stream = HashingStream(file, computes_digest=task.expected is not None)
            for scanned in scan_records(stream):
                checker.add(scanned.record, scanned.offset, scanned.data, scanned.problem)
                on_progress(checker.counts.records, stream.size, faults.counts.total())
            size, digest = stream.size, stream.sha256()
    except FileNotFoundError:
        faults.add(fault_of_file(task.split, task.file, FaultKind.SHARD_MISSING, "there is no such file"))
    except OSError as error:
        told = error.strerror or str(error)
        faults.add(fault_of_file(task.split, task.file, FaultKind.SHARD_UNREADABLE, told))
    else:
        checker.end()
        if task.expected is not None:
            _compare(task, checker.seen, size, digest, faults)
    return (
        ShardCheck(task.split, task.number, task.file, size, checker.counts, tuple(faults.kept), dict(faults.counts)),
        np.array(checker.ids, np.uint64),
    )


def id_number(image_id: bytes) -> int:
    """Returns the 64 bits that stand for an ImageID: itself if it is hexadecimal, a hash of any other."""
    if len(image_id) == 16:
        try:
            return int(image_id, 16)
        except ValueError:
            pass
    return int.from_bytes(hashlib.blake2b(image_id, digest_size=8).digest(), "little")


def _compare(task: ShardTask, records: int, size: int, digest: str, faults: FaultList) -> None:
    found = {"records": records, "bytes": size, "sha256": digest}
    kinds = {
        "records": FaultKind.SHARD_RECORDS,
        "bytes": FaultKind.SHARD_SIZE,
        "sha256": FaultKind.SHARD_SHA256,
    }
    assert task.expected is not None
    for name, kind in kinds.items():
        if task.expected.get(name) != found[name]:
            detail = f"{found[name]}, and the manifest has {task.expected.get(name)}"
            faults.add(fault_of_file(task.split, task.file, kind, detail))


class _ShardChecker:
    """Checks the records of a shard one after the other."""

    def __init__(self, task: ShardTask, faults: FaultList):
        self._task = task
        self._faults = faults
        self._places: list[tuple[int, int, bytes]] = []
        self._key_sets: dict[tuple[str, ...], list[int]] = {}
        self.counts = RecordCounts()
        self.ids: list[int] = []
        self.seen = 0

    def add(self, record: int, offset: int, data: bytes | None, problem: str) -> None:
        """Takes the next record: its data, or why there is none."""
        self.seen += 1
        if data is None:
            self._report(record, offset, b"", "", FaultKind.FRAMING, problem)
            return
        try:
            features = parse_example(data)
        except ExampleError as error:
            self._report(record, offset, b"", "", FaultKind.NOT_AN_EXAMPLE, str(error))
            return
        rules = self._task.rules
        image_id = image_id_of(features, rules.ours)
        for kind, key, detail in check_record(features, rules):
            self._report(record, offset, image_id, key, kind, detail)
        self.counts.add(features)
        first_and_count = self._key_sets.setdefault(tuple(features), [len(self._places), 0])
        first_and_count[1] += 1
        self._places.append((record, offset, image_id))
        if image_id:
            self.ids.append(id_number(image_id))

    def end(self) -> None:
        """Checks what only all records together tell."""
        if self._task.rules.ours:
            self._check_key_sets()
        # A record without an ImageID cannot be placed.
        placed = [place for place in self._places if place[2]]
        ids = np.array(self.ids, np.uint64)
        hashes = hash_ids(ids)
        self._check_duplicates(placed, ids)
        if self._task.num_shards > 0:
            self._check_order(placed, hashes)

    def _check_key_sets(self) -> None:
        every = {key for keys in self._key_sets for key in keys}
        for keys, (first, count) in self._key_sets.items():
            for key in sorted(every.difference(keys, self._task.rules.required)):
                record, offset, image_id = self._places[first]
                more = f" and of {count - 1} more" if count > 1 else ""
                detail = f"not a key of this record{more}, but of others of the shard"
                self._report(record, offset, image_id, key, FaultKind.KEY_MISSING, detail)

    def _check_duplicates(self, placed: list[tuple[int, int, bytes]], ids: np.ndarray) -> None:
        order = np.argsort(ids, kind="stable")
        again = np.flatnonzero(ids[order][1:] == ids[order][:-1])
        for position in again.tolist():
            earlier = placed[order[position]]
            record, offset, image_id = placed[order[position + 1]]
            if earlier[2] == image_id:
                detail = f"also in record {earlier[0]} at byte {earlier[1]}"
                self._report(record, offset, image_id, "", FaultKind.DUPLICATE_IMAGE, detail)

    def _check_order(self, placed: list[tuple[int, int, bytes]], hashes: np.ndarray) -> None:
        for index in (np.flatnonzero(hashes[1:] < hashes[:-1]) + 1).tolist():
            record, offset, image_id = placed[index]
            detail = f"its hash is lower than that of {_name(placed[index - 1][2])}, which it follows"
            self._report(record, offset, image_id, "", FaultKind.OUT_OF_ORDER, detail)
        shards = shard_of(hashes, self._task.num_shards)
        for index in np.flatnonzero(shards != self._task.shard).tolist():
            record, offset, image_id = placed[index]
            detail = f"its hash belongs to shard {shards[index]} of {self._task.num_shards}"
            self._report(record, offset, image_id, "", FaultKind.WRONG_SHARD, detail)

    def _report(self, record: int, offset: int, image_id: bytes, key: str, kind: FaultKind, detail: str) -> None:
        task = self._task
        self._faults.add(Fault(task.split, task.file, record, offset, _name(image_id), key, kind, detail))


def _name(image_id: bytes) -> str:
    return image_id[:80].decode("utf-8", "backslashreplace")
