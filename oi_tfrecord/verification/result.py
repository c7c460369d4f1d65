"""The result of `verify`: what the splits of a dataset hold and what is wrong, as values, text and JSON."""

import dataclasses
import heapq
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from oi_tfrecord.engine.progress_text import format_size
from oi_tfrecord.records.record_counts import RecordCounts, describe_keys
from oi_tfrecord.verification.check_shard import FaultList, fault_from, from_json
from oi_tfrecord.verification.faults import Fault


@dataclasses.dataclass
class SplitSummary:
    """What a split holds: shards that were read, their bytes, counts of their records."""

    shards: int = 0
    size: int = 0
    counts: RecordCounts = dataclasses.field(default_factory=RecordCounts)


@dataclasses.dataclass(frozen=True)
class VerifyResult:
    """What was found in a dataset.

    Attributes:
        splits: by name.
        faults: the first of them, in order of split, shard and record; those of no single record first.
        fault_counts: kind to number of all of them.
    """

    splits: Mapping[str, SplitSummary]
    faults: tuple[Fault, ...]
    fault_counts: Mapping[str, int]

    @property
    def fault_count(self) -> int:
        """Number of all faults."""
        return sum(self.fault_counts.values())

    @property
    def ok(self) -> bool:
        """Whether the dataset has no fault."""
        return not self.fault_count


def collect(results: Iterable[bytes], max_faults: int) -> bytes:
    """Returns the JSON of a result from the JSON of ShardChecks and of Faults."""
    splits: dict[str, SplitSummary] = {}
    counts: Counter[str] = Counter()
    faults: list[Fault] = []
    for data in results:
        values = json.loads(data)
        if "kind" in values:
            fault = fault_from(values)
            counts[str(fault.kind)] += 1
            faults.append(fault)
        else:
            check = from_json(data)
            summary = splits.setdefault(check.split, SplitSummary())
            summary.shards += 1
            summary.size += check.size
            summary.counts.merge(check.counts)
            counts.update(check.fault_counts)
            faults += check.faults
        if len(faults) > 10 * max_faults + 1000:
            faults = heapq.nsmallest(max_faults, faults)
    kept = heapq.nsmallest(max_faults, faults)
    return json.dumps(
        {
            "splits": {
                name: {"shards": item.shards, "size": item.size, "counts": item.counts.to_values()}
                for name, item in sorted(splits.items())
            },
            "faults": [vars(fault) for fault in kept],
            "fault_counts": counts,
        }
    ).encode()


def read_result(data: bytes) -> VerifyResult:
    """Returns the result that `collect` made into `data`."""
    values = json.loads(data)
    splits = {
        name: SplitSummary(item["shards"], item["size"], RecordCounts.from_values(item["counts"]))
        for name, item in values["splits"].items()
    }
    return VerifyResult(splits, tuple(map(fault_from, values["faults"])), values["fault_counts"])


def add_faults(result: VerifyResult, faults: Iterable[Fault], max_faults: int) -> VerifyResult:
    """Returns a result with more faults, which come first: they concern whole files."""
    more = FaultList(max_faults)
    for fault in faults:
        more.add(fault)
    more.add_counts(result.fault_counts)
    return VerifyResult(result.splits, (*more.kept, *result.faults)[:max_faults], dict(more.counts))


def describe_result(result: VerifyResult, seconds: float) -> Iterator[str]:
    """Yields the lines that tell a user of a result."""
    for name, item in result.splits.items():
        counts = item.counts
        yield (
            f"{name}: {counts.records:,} records in {item.shards:,} shards, {format_size(item.size)}, "
            f"{counts.boxes:,} boxes, {counts.labels:,} image labels"
        )
        yield f"  {'key':<36} {'records':>11} {'with values':>11}  read by"
        for row in describe_keys(counts):
            # Keys of others that this split has none of say little; the optional ones that readers want do.
            if row["records"] or row["readers"]:
                readers = ", ".join(row["readers"]) or ("nobody" if row["known"] else "unknown")
                yield f"  {row['key']:<36} {row['records']:>11,} {row['filled']:>11,}  {readers}"
    size = sum(item.size for item in result.splits.values())
    records = sum(item.counts.records for item in result.splits.values())
    yield f"{seconds:.1f} s, {records / max(seconds, 1e-3):,.0f} records/s, {size / max(seconds, 1e-3) / 1e6:,.0f} MB/s"
    for fault in result.faults:
        yield f"fault: {fault}"
    if result.fault_count > len(result.faults):
        yield f"... and {result.fault_count - len(result.faults):,} more (--max_faults)"
    if result.fault_count:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in sorted(result.fault_counts.items()))
        yield f"{result.fault_count:,} faults: {kinds}"
    else:
        yield "no fault"


def to_values(result: VerifyResult) -> dict[str, Any]:
    """Returns a result as values of JSON, without times, so that equal datasets give equal reports."""
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
                "keys": describe_keys(item.counts),
            }
            for name, item in result.splits.items()
        },
    }
