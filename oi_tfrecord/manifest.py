"""The manifest of a dataset: what went in, what came out, and that nothing was lost."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from oi_tfrecord.label_map import LabelMap
from oi_tfrecord.reasons import Reject
from oi_tfrecord.results import RangeResult, ShardResult

MANIFEST_FILE = "manifest.json"
ENTRY_KEYS = (
    "config", "fingerprint", "balanced", "images", "tables", "totals", "inputs", "sources", "classes", "warnings",
    "shards",
)  # fmt: skip
"""What `build_split`, with what a plan adds, writes of every split."""
FORMAT = "oi_tfrecord manifest 1"


@dataclasses.dataclass(frozen=True)
class TableInput:
    """One input file, for the manifest: `number` is its place among the files of `table`."""

    table: str
    number: int
    path: str
    size: int
    header_lines: int


def sum_counts(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Returns the sum of counts by key, keys in order, zeros left out."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return {key: total[key] for key in sorted(total) if total[key]}


def first_lines(inputs: Sequence[TableInput], ranges: Iterable[RangeResult]) -> dict[tuple[str, int, int], int]:
    """Returns the number, from 1, of the first line of each (table, file number, range)."""
    next_line = {(item.table, item.number): item.header_lines + 1 for item in inputs}
    lines = {}
    for result in sorted(ranges, key=lambda item: (item.table, item.file, item.index)):
        lines[result.table, result.file, result.index] = next_line[result.table, result.file]
        next_line[result.table, result.file] += result.line_count
    return lines


def balance_tables(ranges: Iterable[RangeResult], shards: Iterable[ShardResult]) -> dict[str, dict[str, Any]]:
    """Balances each table: rows read = rows written + rejected by reason + dropped by reason."""
    ranges, shards = list(ranges), list(shards)
    balance = {}
    for table in sorted({result.table for result in ranges}):
        read = [result for result in ranges if result.table == table]
        joined = [shard.tables[table] for shard in shards if table in shard.tables]
        rejected = sum_counts([item.rejected for item in read] + [item.rejected for item in joined])
        dropped = sum_counts([item.dropped for item in read] + [item.dropped for item in joined])
        rows_read = sum(item.rows_read for item in read)
        written = sum(item.written for item in joined)
        balance[table] = {
            "rows_read": rows_read,
            "written": written,
            **({"added_by_hierarchy": added} if (added := sum(item.added for item in joined)) else {}),
            "rejected": rejected,
            "dropped": dropped,
            "balanced": rows_read == written + sum(rejected.values()) + sum(dropped.values()),
        }
    return balance


def balance_images(shards: Iterable[ShardResult]) -> dict[str, Any]:
    """Balances the images: selected = records + rejected by reason."""
    shards = list(shards)
    selected = sum(shard.images_selected for shard in shards)
    records = sum(shard.records for shard in shards)
    rejected = sum_counts(shard.images_rejected for shard in shards)
    return {
        "selected": selected,
        "records": records,
        "rejected": rejected,
        "not_selected": sum(shard.images_not_selected for shard in shards),
        "balanced": selected == records + sum(rejected.values()),
    }


def class_weights(positive: Mapping[str, int]) -> dict[int, float]:
    """Returns a weight for each class that is present somewhere, so that each counts as much in a loss.

    Args:
      positive: label map id (as text) to positive labels, none of them 0.

    Returns:
      id to labels / (classes * labels of the class), rounded to 6 digits; their mean over the labels is 1.
      Source: `class_weight="balanced"` of scikit-learn (utils/class_weight.py).
    """
    total = sum(positive.values())
    return {int(label): float(f"{total / (len(positive) * count):.6g}") for label, count in positive.items()}


def build_split(
    inputs: Sequence[TableInput],
    ranges: Sequence[RangeResult],
    shards: Sequence[ShardResult],
    label_map: LabelMap,
    about: Mapping[str, Any],
) -> dict[str, Any]:
    """Makes the manifest of one split.

    Args:
      inputs: the CSV files.
      ranges: results of all their ranges.
      shards: results of all shards.
      label_map: ids of the classes.
      about: what the plan knows: version, configuration, class files, fingerprint.
    """
    shards = sorted(shards, key=lambda shard: shard.shard)
    ranges = sorted(ranges, key=lambda item: (item.table, item.file, item.index))
    images, tables = balance_images(shards), balance_tables(ranges, shards)
    boxes = sum_counts(shard.boxes_per_class for shard in shards)
    positive = sum_counts(shard.positive_per_class for shard in shards)
    negative = sum_counts(shard.negative_per_class for shard in shards)
    is_classification = about.get("config", {}).get("task") == "classification"
    weights = class_weights(positive) if is_classification else {}
    return {
        **about,
        "balanced": images["balanced"] and all(table["balanced"] for table in tables.values()),
        "images": images,
        "tables": tables,
        "totals": {
            "shards": len(shards),
            "records": images["records"],
            "bytes": sum(shard.size for shard in shards),
            "image_bytes": sum(shard.image_bytes for shard in shards),
            "image_counts": sum_counts(shard.image_counts for shard in shards),
            "images_reencoded": sum_counts(shard.images_reencoded for shard in shards),
            "unknown_flags_written_as_0": sum(shard.unknown_flags for shard in shards),
            "most_boxes_in_an_image": max((shard.most_boxes for shard in shards), default=0),
            "images_over_100_boxes": sum(shard.images_over_100_boxes for shard in shards),
        },
        "inputs": [_describe_input(item, ranges) for item in inputs],
        "sources": {table: sum_counts(shard.sources.get(table, {}) for shard in shards) for table in sorted(tables)},
        "classes": [
            {
                "id": item.id,
                "mid": item.name,
                "name": item.display_name,
                "boxes": boxes.get(str(item.id), 0),
                "positive_labels": positive.get(str(item.id), 0),
                "negative_labels": negative.get(str(item.id), 0),
                **({"weight": weights[item.id]} if item.id in weights else {}),
            }
            for item in label_map.items
        ],
        "warnings": [*about.get("warnings", ()), *_warnings(inputs, ranges)],
        "shards": [
            {"file": shard.file, "records": shard.records, "bytes": shard.size, "sha256": shard.sha256}
            for shard in shards
        ],
    }


def too_many_rejects(split: Mapping[str, Any], limit: float, is_percentage: bool) -> list[str]:
    """Returns a line for each kind of input with more rejects than allowed.

    Args:
      split: manifest of the split.
      limit: a count, or a percentage of the rows (or images) of the kind.
      is_percentage: which of the two.
    """
    images = split["images"]
    kinds = {"images": (images["selected"], images["rejected"])}
    kinds |= {name: (table["rows_read"], table["rejected"]) for name, table in split["tables"].items()}
    lines = []
    for name, (total, by_reason) in kinds.items():
        # An image's own rejection is counted with the images, not again with each of its rows.
        rejected = sum(count for reason, count in by_reason.items() if reason != Reject.IMAGE_REJECTED)
        allowed = total * limit / 100 if is_percentage else limit
        if rejected > allowed:
            share = f"{100 * rejected / total:.2f} %" if total else "all"
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in by_reason.items())
            lines.append(f"{name}: {rejected:,} of {total:,} rejected ({share}): {reasons}")
    return lines


def merge_split(existing: bytes | None, name: str, split: Mapping[str, Any] | None) -> bytes:
    """Returns a manifest file with the entry of one split replaced, or removed if `split` is None."""
    manifest: dict[str, Any] = json.loads(existing) if existing else {}
    splits = dict(manifest.get("splits", {}))
    splits.pop(name, None)
    if split is not None:
        splits[name] = split
    return json.dumps({"format": FORMAT, "splits": dict(sorted(splits.items()))}, indent=1).encode() + b"\n"


def _describe_input(item: TableInput, ranges: Sequence[RangeResult]) -> dict[str, Any]:
    own = [result for result in ranges if (result.table, result.file) == (item.table, item.number)]
    return {
        "table": item.table,
        "path": item.path,
        "bytes": item.size,
        "rows": sum(result.rows_read for result in own),
        "lines": item.header_lines + sum(result.line_count for result in own),
        "crc32c_of_ranges": [f"{result.crc32c:08x}" for result in own],
    }


def _warnings(inputs: Sequence[TableInput], ranges: Sequence[RangeResult]) -> list[str]:
    warnings = []
    for item in inputs:
        own = [result for result in ranges if (result.table, result.file) == (item.table, item.number)]
        if own and own[-1].ends_open:
            warnings.append(f"{item.path}: its last line has no line end; the file may be cut off")
        warnings += [f"{item.path}: {result.damage}" for result in own if result.damage]
    return warnings
