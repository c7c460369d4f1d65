"""The manifest of a dataset: what went in, what came out, and that nothing was lost."""

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from oi_tfrecord.dataset.accounts import RangeResult, TableSum, Totals
from oi_tfrecord.dataset.coverage import Unit, describe_coverage, find_losses
from oi_tfrecord.dataset.filter_warnings import given_reasons
from oi_tfrecord.reasons import Reject
from oi_tfrecord.records.label_map import LabelMap

FORMAT = "oi_tfrecord manifest 1"


@dataclasses.dataclass(frozen=True)
class TableInput:
    """One input file, for the manifest.

    Attributes:
        table, number: its table, and its place among the files of that.
        path, size: its name, and its bytes as stored.
        header_lines, rows_start: lines before the first row, and where that starts.
        unit: what its ranges count, and `rows_start` with them.
    """

    table: str
    number: int
    path: str
    size: int
    header_lines: int
    rows_start: int = 0
    unit: Unit = Unit.BYTES


def sum_counts(*counts: Mapping[str, int]) -> dict[str, int]:
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


def balance_tables(
    inputs: Sequence[TableInput], totals: Totals, config: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Balances each table that has input files: rows read = rows written + rejected by reason + dropped by reason.

    Args:
        inputs: the files.
        totals: of all ranges and shards.
        config: a filter that it gives has its count of dropped rows, if it is 0, too.
    """
    balance = {}
    for table in sorted({item.table for item in inputs}):
        read = [result for result in totals.ranges if result.table == table]
        joined = totals.tables.get(table, TableSum())
        rejected = sum_counts(joined.rejected, *(item.rejected for item in read))
        dropped = sum_counts(joined.dropped, *(item.dropped for item in read))
        rows_read = sum(item.rows_read for item in read)
        balance[table] = {
            "rows_read": rows_read,
            "written": joined.written,
            **({"added_by_hierarchy": joined.added} if joined.added else {}),
            "rejected": rejected,
            "dropped": dict(sorted((dict.fromkeys(given_reasons(config, table), 0) | dropped).items())),
            "balanced": rows_read == joined.written + sum(rejected.values()) + sum(dropped.values()),
        }
    return balance


def balance_images(totals: Totals) -> dict[str, Any]:
    """Balances the images: selected = records + rejected by reason."""
    rejected = sum_counts(totals.images_rejected)
    return {
        "selected": totals.images_selected,
        "records": totals.records,
        "rejected": rejected,
        "not_selected": totals.images_not_selected,
        "balanced": totals.images_selected == totals.records + sum(rejected.values()),
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
    inputs: Sequence[TableInput], totals: Totals, label_map: LabelMap, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Makes the manifest of one split.

    Args:
        inputs: the CSV files.
        totals: results of all their ranges and of all shards.
        label_map: ids of the classes.
        about: what the plan knows: version, configuration, class files, fingerprint.
    """
    ranges: dict[tuple[str, int], list[RangeResult]] = {(item.table, item.number): [] for item in inputs}
    for result in sorted(totals.ranges, key=lambda result: result.index):
        ranges.setdefault((result.table, result.file), []).append(result)
    config = about.get("config", {})
    images, tables = balance_images(totals), balance_tables(inputs, totals, config)
    boxes = sum_counts(totals.boxes_per_class)
    positive = sum_counts(totals.positive_per_class)
    negative = sum_counts(totals.negative_per_class)
    weights = class_weights(positive) if config.get("task") == "classification" else {}
    # By these the ids were given.
    rows = totals.class_rows if config.get("label_order") == "frequency" else None
    split = {
        **about,
        "balanced": images["balanced"] and all(table["balanced"] for table in tables.values()),
        "images": images,
        "tables": tables,
        "totals": {
            "shards": len(totals.shards),
            "records": images["records"],
            "bytes": totals.bytes,
            "image_bytes": totals.image_bytes,
            "image_counts": sum_counts(totals.image_counts),
            "images_reencoded": sum_counts(totals.images_reencoded),
            "unknown_flags_written_as_0": totals.unknown_flags,
            "most_boxes_in_an_image": totals.most_boxes,
            "images_over_100_boxes": totals.images_over_100_boxes,
        },
        "inputs": [_describe_input(item, ranges[item.table, item.number]) for item in inputs],
        "sources": {table: sum_counts(totals.sources.get(table, {})) for table in sorted(tables)},
        "classes": [
            {
                "id": item.id,
                "mid": item.name,
                "name": item.display_name,
                "boxes": boxes.get(str(item.id), 0),
                "positive_labels": positive.get(str(item.id), 0),
                "negative_labels": negative.get(str(item.id), 0),
                **({"weight": weights[item.id]} if item.id in weights else {}),
                **({"rows": rows[item.name]} if rows is not None else {}),
            }
            for item in label_map.items
        ],
        "warnings": [*about.get("warnings", ()), *_warnings(inputs, ranges)],
        "shards": [
            {"file": entry.file, "records": entry.records, "bytes": entry.size, "sha256": entry.sha256}
            for entry in sorted(totals.shards)
        ],
    }
    return split | {"balanced": split["balanced"] and not any(find_losses(split))}


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


def _describe_input(item: TableInput, own: Sequence[RangeResult]) -> dict[str, Any]:
    return {
        "table": item.table,
        "path": item.path,
        "bytes": item.size,
        "rows": sum(result.rows_read for result in own),
        "lines": item.header_lines + sum(result.line_count for result in own),
        "crc32c_of_ranges": [f"{result.crc32c:08x}" for result in own],
        "coverage": describe_coverage(item.unit, item.rows_start, item.size, own),
    }


def _warnings(inputs: Sequence[TableInput], ranges: Mapping[tuple[str, int], Sequence[RangeResult]]) -> list[str]:
    warnings = []
    for item in inputs:
        own = ranges[item.table, item.number]
        if own and own[-1].ends_open:
            warnings.append(f"{item.path}: its last line has no line end; the file may be cut off")
        warnings += [f"{item.path}: {result.damage}" for result in own if result.damage]
    return warnings
