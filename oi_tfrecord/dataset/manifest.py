"""The manifest of a dataset: its inputs, its outputs, and the balance that shows that nothing was lost."""

import dataclasses
import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from oi_tfrecord.dataset.accounts import AccountSum, RangeAccount, TableSum
from oi_tfrecord.dataset.coverage import Unit, describe_coverage, find_losses
from oi_tfrecord.dataset.filter_warnings import given_reasons
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Reject
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.storage.secrets import without_secrets

FORMAT = "oi_tfrecord manifest 1"

ENTRY_SHA256 = "entry_sha256"
"""Entry with the digest of all other entries of a split, which shows that none was changed (`digest_entry`)."""

_OF_RECORDS = ("classes", "shards", "sources", "tables", "images", "totals")
"""Entries that hold no addresses."""


@dataclasses.dataclass(frozen=True)
class TableInput:
    """One input file, for the manifest.

    Attributes:
        table: Its table.
        number: Its number among the files of the table.
        path: Its name.
        size: Its bytes as stored.
        header_lines: Lines before the first row.
        rows_start: Where the first row starts, in `unit`.
        unit: What its ranges count.
        modified: When the file was changed last, in seconds since the epoch.
        header_crc32c: CRC-32C of the bytes before the first row.
    """

    table: str
    number: int
    path: str
    size: int
    header_lines: int
    rows_start: int = 0
    unit: Unit = Unit.BYTES
    modified: float = 0
    header_crc32c: int = 0


def sum_counts(*counts: Mapping[str, int]) -> dict[str, int]:
    """Returns the sum of counts by key, keys in order, zeros left out."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return {key: total[key] for key in sorted(total) if total[key]}


def is_expanded(config: Mapping[str, Any]) -> bool:
    """Returns whether the boxes and labels of records are expanded by a hierarchy, given their configuration."""
    return bool(config.get("hierarchy")) and config.get("hierarchy_use", "expand") == "expand"


def warn_of_other_expansion(name: str, split: Mapping[str, Any], splits: Mapping[str, Any]) -> list[str]:
    """Returns a warning if a split is expanded by a hierarchy and another split of its folder is not, or the reverse.

    Args:
        name: The split.
        split: Its manifest.
        splits: The manifest of each finished split of the folder.
    """
    own = is_expanded(split.get("config", {}))
    others = [other for other in splits if other != name and is_expanded(splits[other].get("config", {})) != own]
    if not others:
        return []
    expanded, plain = (name, others[0]) if own else (others[0], name)
    return [
        f"{expanded} is expanded by a hierarchy, and {plain} in the same folder is not: a class has the boxes of its "
        "subclasses in the one only; convert both with --hierarchy, or both without"
    ]


_SHEET_ROWS = frozenset((65_536, 1_048_576))
"""Most rows of a sheet in the formats .xls and .xlsx, and so of what a spreadsheet saves of a longer table."""


def first_lines(inputs: Sequence[TableInput], ranges: Iterable[RangeAccount]) -> dict[tuple[str, int, int], int]:
    """Returns the number, from 1, of the first line of each (table, file number, range)."""
    next_line = {(item.table, item.number): item.header_lines + 1 for item in inputs}
    lines = {}
    for account in sorted(ranges, key=lambda item: (item.table, item.file, item.index)):
        lines[account.table, account.file, account.index] = next_line[account.table, account.file]
        next_line[account.table, account.file] += account.line_count
    return lines


def balance_tables(
    inputs: Sequence[TableInput], sums: AccountSum, config: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Balances each table that has input files: rows read = rows written + rejected by reason + dropped by reason.

    Args:
        inputs: The files.
        sums: The sum of the accounts of all ranges and shards.
        config: The configuration. The reason of each filter that it sets is listed, even with 0 dropped rows.
    """
    return {table: _balance_table(table, sums, config) for table in sorted({item.table for item in inputs})}


def _balance_table(table: str, sums: AccountSum, config: Mapping[str, Any]) -> dict[str, Any]:
    ranges = [account for account in sums.ranges if account.table == table]
    in_shards = sums.tables.get(table, TableSum())
    rejected = sum_counts(in_shards.rejected, *(account.rejected for account in ranges))
    dropped = sum_counts(in_shards.dropped, *(account.dropped for account in ranges))
    rows_read = sum(account.rows_read for account in ranges)
    return {
        "rows_read": rows_read,
        "written": in_shards.written,
        **({"added_by_hierarchy": in_shards.added} if in_shards.added or _may_add(table, config) else {}),
        "rejected": rejected,
        "dropped": dict(sorted((dict.fromkeys(given_reasons(config, table), 0) | dropped).items())),
        "balanced": rows_read == in_shards.written + sum(rejected.values()) + sum(dropped.values()),
    }


def _may_add(table: str, config: Mapping[str, Any]) -> bool:
    return table in (Table.BOXES, Table.HUMAN_LABELS) and is_expanded(config)


def balance_images(sums: AccountSum) -> dict[str, Any]:
    """Balances the images: selected = records + rejected by reason + skipped by reason."""
    rejected, skipped = sum_counts(sums.images_rejected), sum_counts(sums.images_skipped)
    return {
        "selected": sums.images_selected,
        "records": sums.records,
        "rejected": rejected,
        **({"skipped": skipped} if skipped else {}),
        "not_selected": sums.images_not_selected,
        "balanced": sums.images_selected == sums.records + sum(rejected.values()) + sum(skipped.values()),
    }


def class_weights(positive: Mapping[str, int]) -> dict[int, float]:
    """Returns a weight for each class that is present somewhere, so that all classes count equally in a loss.

    Args:
        positive: Label map id (as text) to positive labels, none of them 0.

    Returns:
        Id to labels / (classes * labels of the class), rounded to 6 digits; their mean over the labels is 1.
        Source: `class_weight="balanced"` of scikit-learn (utils/class_weight.py).
    """
    total = sum(positive.values())
    return {int(label): float(f"{total / (len(positive) * count):.6g}") for label, count in positive.items()}


def build_split(
    inputs: Sequence[TableInput], sums: AccountSum, label_map: LabelMap, plan_entries: Mapping[str, Any]
) -> dict[str, Any]:
    """Makes the manifest of one split.

    Args:
        inputs: The input files.
        sums: The sum of the accounts of all their ranges and of all shards.
        label_map: Ids of the classes.
        plan_entries: The entries that the plan knows: version, configuration, class files, fingerprint, warnings.
    """
    config = plan_entries.get("config", {})
    ranges = _ranges_of_inputs(inputs, sums.ranges)
    images, tables = balance_images(sums), balance_tables(inputs, sums, config)
    split = {
        **plan_entries,
        "balanced": images["balanced"] and all(table["balanced"] for table in tables.values()),
        "images": images,
        "tables": tables,
        "totals": _describe_totals(sums),
        "inputs": [_describe_input(item, ranges[item.table, item.number]) for item in inputs],
        "sources": {table: sum_counts(sums.sources.get(table, {})) for table in sorted(tables)},
        "classes": _describe_classes(sums, label_map, config),
        "warnings": [*plan_entries.get("warnings", ()), *_warn_of_inputs(inputs, ranges)],
        "shards": [file.describe() for file in sorted(sums.shards)],
    }
    return split | {"balanced": split["balanced"] and not any(find_losses(split))}


def _ranges_of_inputs(
    inputs: Sequence[TableInput], accounts: Sequence[RangeAccount]
) -> dict[tuple[str, int], list[RangeAccount]]:
    """Returns (table, file number) to the accounts of its ranges, in file order."""
    ranges: dict[tuple[str, int], list[RangeAccount]] = {(item.table, item.number): [] for item in inputs}
    for account in sorted(accounts, key=lambda account: account.index):
        ranges.setdefault((account.table, account.file), []).append(account)
    return ranges


def _describe_totals(sums: AccountSum) -> dict[str, Any]:
    return {
        "shards": len(sums.shards),
        "records": sums.records,
        "bytes": sums.bytes,
        "image_bytes": sums.image_bytes,
        "image_counts": sum_counts(sums.image_counts),
        "images_reencoded": sum_counts(sums.images_reencoded),
        "unknown_flags_written_as_0": sums.unknown_flags,
        "most_boxes_in_an_image": sums.most_boxes,
        "most_boxes_after_expansion": sums.most_expanded_boxes,
        "images_over_100_boxes": sums.images_over_100_boxes,
    }


def _describe_input(item: TableInput, ranges: Sequence[RangeAccount]) -> dict[str, Any]:
    return {
        "table": item.table,
        "path": item.path,
        "bytes": item.size,
        "rows": sum(account.rows_read for account in ranges),
        "lines": item.header_lines + sum(account.line_count for account in ranges),
        "crc32c_of_ranges": [f"{account.crc32c:08x}" for account in ranges],
        "coverage": describe_coverage(item.unit, item.rows_start, item.size, ranges),
    }


def _describe_classes(sums: AccountSum, label_map: LabelMap, config: Mapping[str, Any]) -> list[dict[str, Any]]:
    boxes = sum_counts(sums.boxes_per_class.by_id())
    positive = sum_counts(sums.positive_per_class.by_id())
    negative = sum_counts(sums.negative_per_class.by_id())
    weights = class_weights(positive) if config.get("task") == "classification" else {}
    # The numbers of rows show that the ids follow them.
    has_rows = config.get("label_order") == "frequency"
    return [
        {
            "id": item.id,
            "mid": item.name,
            "name": item.display_name,
            "boxes": boxes.get(str(item.id), 0),
            "positive_labels": positive.get(str(item.id), 0),
            "negative_labels": negative.get(str(item.id), 0),
            **({"weight": weights[item.id]} if item.id in weights else {}),
            **({"rows": sums.class_rows[item.name]} if has_rows else {}),
        }
        for item in label_map.items
    ]


def _warn_of_inputs(
    inputs: Sequence[TableInput], ranges: Mapping[tuple[str, int], Sequence[RangeAccount]]
) -> list[str]:
    warnings = []
    for item in inputs:
        accounts = ranges[item.table, item.number]
        if accounts and accounts[-1].ends_open:
            warnings.append(f"{item.path}: its last line has no line end; the file may be cut off")
        if item.unit is not Unit.FILES and (rows := 1 + sum(account.rows_read for account in accounts)) in _SHEET_ROWS:
            warnings.append(
                f"{item.path}: it has {rows:,} rows with the header, the most that a spreadsheet holds; a spreadsheet "
                "may have cut it off, so compare it with the published file"
            )
        warnings += [f"{item.path}: {account.damage}" for account in accounts if account.damage]
    return warnings


def too_many_rejects(split: Mapping[str, Any], limit: float, is_percentage: bool) -> list[str]:
    """Returns a line for the images, and for each table, with more rejects than allowed.

    Args:
        split: Manifest of the split.
        limit: A count, or a percentage of the images or of the rows of the table.
        is_percentage: Whether `limit` is a percentage.
    """
    images = split["images"]
    kinds = {"images": (images["selected"], images["rejected"])}
    kinds |= {name: (table["rows_read"], table["rejected"]) for name, table in split["tables"].items()}
    lines = []
    for name, (total, by_reason) in kinds.items():
        # A rejected image is counted with the images, not again with each of its rows.
        rejected = sum(count for reason, count in by_reason.items() if reason != Reject.IMAGE_REJECTED)
        allowed = total * limit / 100 if is_percentage else limit
        if rejected > allowed:
            share = f"{100 * rejected / total:.2f} %" if total else "all"
            reasons = ", ".join(f"{reason} {count:,}" for reason, count in by_reason.items())
            lines.append(f"{name}: {rejected:,} of {total:,} rejected ({share}): {reasons}")
    return lines


def digest_entry(split: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of the manifest of a split as JSON with sorted keys, without the digest itself."""
    values = {key: value for key, value in split.items() if key != ENTRY_SHA256}
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def seal_entry(split: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the manifest of a split with the digest of its entries, and without the secrets of addresses."""
    entry = {name: value if name in _OF_RECORDS else without_secrets(value) for name, value in split.items()}
    return {**entry, ENTRY_SHA256: digest_entry(entry)}


def merge_split(existing: bytes | None, name: str, split: Mapping[str, Any] | None) -> bytes:
    """Returns a manifest file with the entry of one split replaced, or removed if `split` is None."""
    manifest: dict[str, Any] = json.loads(existing) if existing else {}
    splits = dict(manifest.get("splits", {}))
    splits.pop(name, None)
    if split is not None:
        splits[name] = split
    return json.dumps({"format": FORMAT, "splits": dict(sorted(splits.items()))}, indent=1).encode() + b"\n"
