"""The result of `verify`, as values, text and JSON: what the splits of a dataset hold, and its faults."""

import dataclasses
import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from oi_tfrecord.engine.progress_text import format_size
from oi_tfrecord.records.record_counts import RecordCounts, describe_keys
from oi_tfrecord.verification.faults import DatasetFault, FaultList, fault_from_values


@dataclasses.dataclass(frozen=True)
class SplitSummary:
    """What a split, or some of its shards, holds.

    Attributes:
        shards: number of shards that were read.
        size: their bytes.
        counts: of their records.
    """

    shards: int = 0
    size: int = 0
    counts: RecordCounts = dataclasses.field(default_factory=RecordCounts)


@dataclasses.dataclass(frozen=True)
class VerifyResult:
    """What was found in a dataset, or in a part of it.

    Attributes:
        splits: what was read, by split.
        faults: the first faults, in order of split, shard and record; those of whole files come first.
        fault_counts: kind to number of all faults.
        without_manifest: splits that no manifest describes, so that nothing says which records there must be.
    """

    splits: Mapping[str, SplitSummary] = dataclasses.field(default_factory=dict)
    faults: tuple[DatasetFault, ...] = ()
    fault_counts: Mapping[str, int] = dataclasses.field(default_factory=dict)
    without_manifest: tuple[str, ...] = ()

    @property
    def fault_count(self) -> int:
        """Number of all faults."""
        return sum(self.fault_counts.values())

    @property
    def ok(self) -> bool:
        """Whether there is no fault."""
        return not self.fault_count


def result_of(fault: DatasetFault) -> VerifyResult:
    """Returns the result that is one fault."""
    return VerifyResult(faults=(fault,), fault_counts={str(fault.kind): 1})


def merge_results(results: Iterable[VerifyResult], max_faults: int) -> VerifyResult:
    """Returns the sum of results of parts of a dataset.

    Args:
        results: of the parts, in any order.
        max_faults: number of faults that are kept, the first in their order.
    """
    shards: Counter[str] = Counter()
    sizes: Counter[str] = Counter()
    counts: dict[str, RecordCounts] = {}
    fault_counts: Counter[str] = Counter()
    faults: list[DatasetFault] = []
    for result in results:
        for name, summary in result.splits.items():
            shards[name] += summary.shards
            sizes[name] += summary.size
            counts.setdefault(name, RecordCounts()).merge(summary.counts)
        fault_counts.update(result.fault_counts)
        faults += result.faults
        # Sorting them all at the end would need memory for all.
        if len(faults) > 10 * max_faults + 1000:
            faults = heapq.nsmallest(max_faults, faults)
    splits = {name: SplitSummary(shards[name], sizes[name], counts[name]) for name in sorted(counts)}
    return VerifyResult(splits, tuple(heapq.nsmallest(max_faults, faults)), dict(fault_counts))


def add_faults(result: VerifyResult, faults: Iterable[DatasetFault], max_faults: int) -> VerifyResult:
    """Returns a result with faults of whole files, which come first."""
    added = FaultList(max_faults)
    added.add(faults)
    fault_counts = dict(added.counts + Counter(result.fault_counts))
    kept = (*added.kept, *result.faults)[:max_faults]
    return dataclasses.replace(result, faults=kept, fault_counts=fault_counts)


def pack_result(result: VerifyResult) -> bytes:
    """Returns a result as JSON that `unpack_result` reads."""
    values = {
        "splits": {
            name: {"shards": item.shards, "size": item.size, "counts": item.counts.to_values()}
            for name, item in result.splits.items()
        },
        "faults": [vars(fault) for fault in result.faults],
        "fault_counts": dict(result.fault_counts),
    }
    return json.dumps(values, separators=(",", ":")).encode()


def unpack_result(data: bytes) -> VerifyResult:
    """Returns the result that `pack_result` made into `data`."""
    values = json.loads(data)
    splits = {
        name: SplitSummary(item["shards"], item["size"], RecordCounts.from_values(item["counts"]))
        for name, item in values["splits"].items()
    }
    return VerifyResult(splits, tuple(map(fault_from_values, values["faults"])), values["fault_counts"])


def describe_result(result: VerifyResult, seconds: float) -> Iterator[str]:
    """Yields the lines that say what was found, the verdict first.

    Args:
        result: of the whole dataset.
        seconds: how long the check took.
    """
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(result.fault_counts.items()))
    yield "no fault" if result.ok else f"{result.fault_count:,} faults: {kinds}"
    for name in result.without_manifest:
        yield f"{name}: without a manifest, whether all records are there was not checked"
    for fault in result.faults:
        yield f"fault: {fault}"
    if result.fault_count > len(result.faults):
        yield f"... and {result.fault_count - len(result.faults):,} more (--max_faults)"
    for name, item in result.splits.items():
        counts = item.counts
        yield (
            f"{name}: {counts.records:,} records in {item.shards:,} shards, {format_size(item.size)}, "
            f"{counts.boxes:,} boxes, {counts.labels:,} image labels"
        )
    size = sum(item.size for item in result.splits.values())
    records = sum(item.counts.records for item in result.splits.values())
    elapsed = max(seconds, 1e-3)
    yield f"{seconds:.1f} s, {records / elapsed:,.0f} records/s, {size / elapsed / 1e6:,.0f} MB/s"


def describe_key_table(result: VerifyResult) -> Iterator[str]:
    """Yields the lines of a table of the keys of each split, with who reads each key."""
    for name, item in result.splits.items():
        yield f"{name}:"
        yield f"  {'key':<38} {'records':>11} {'with values':>11}  read by"
        for row in describe_keys(item.counts):
            # Keys that no record has and no reader needs are not listed.
            if row["records"] or row["readers"]:
                readers = ", ".join(row["readers"]) or ("nobody" if row["known"] else "unknown")
                yield f"  {row['key']:<38} {row['records']:>11,} {row['filled']:>11,}  {readers}"


def to_values(result: VerifyResult) -> dict[str, Any]:
    """Returns a result as values of JSON, without times, so that equal datasets have equal results."""
    return {
        "ok": result.ok,
        "fault_count": result.fault_count,
        "faults_by_kind": dict(sorted(result.fault_counts.items())),
        "faults": [vars(fault) for fault in result.faults],
        "splits": {
            name: {
                "records": item.counts.records,
                "shards": item.shards,
                "bytes": item.size,
                "boxes": item.counts.boxes,
                "image_labels": item.counts.labels,
                "machine_labels": item.counts.machine_labels,
                "completeness_checked": name not in result.without_manifest,
                "keys": describe_keys(item.counts),
            }
            for name, item in result.splits.items()
        },
    }
