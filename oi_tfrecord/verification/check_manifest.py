"""Compares a split's manifest with what its records hold, and with the files beside them."""

import csv
import io
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from oi_tfrecord.dataset.coverage import find_losses
from oi_tfrecord.dataset.file_names import MANIFEST_FILE
from oi_tfrecord.dataset.rejects_csv import COLUMNS
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Reject
from oi_tfrecord.records.keys import ALWAYS_WRITTEN, KNOWN_KEYS, ExtraKeys, ListLength
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.label_map_file import format_csv
from oi_tfrecord.records.record_counts import SOURCE_KEYS, RecordCounts
from oi_tfrecord.verification.faults import Fault, FaultKind, fault_of_file

_EXTRA_KEYS = {
    ExtraKeys.BOX_SOURCE: ("image/object/source",),
    ExtraKeys.BOX_CONFIDENCE: ("image/object/bbox/confidence",),
    ExtraKeys.LABEL_SOURCE: ("image/class/source",),
    ExtraKeys.MASKS: ("image/object/mask",),
    ExtraKeys.MACHINE_LABELS: tuple(
        key for key, known in KNOWN_KEYS.items() if known.length is ListLength.MACHINE_LABELS
    ),
}
"""Keys that a group adds to every record; what `inside`, `label_source` and `attribution` add depends on the tables."""

_LABEL_KEYS = ("image/class/text", "image/class/label", "image/class/confidence")


def required_keys(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the keys that every record of a split must have, by its manifest."""
    keys = list(ALWAYS_WRITTEN)
    if manifest.get("config", {}).get("task") == "classification":
        keys = [key for key in keys if not key.startswith("image/object/")]
    has_labels = Table.HUMAN_LABELS in manifest.get("tables", {})
    if has_labels:
        keys += _LABEL_KEYS
    for group in manifest.get("config", {}).get("extra_keys", ()):
        if group != ExtraKeys.LABEL_SOURCE or has_labels:
            keys += _EXTRA_KEYS.get(group, ())
    return tuple(keys)


def compare_manifest(split: str, manifest: Mapping[str, Any], counts: RecordCounts, size: int) -> list[Fault]:
    """Compares the counts of a manifest with those of the records.

    Args:
        split: name of the split.
        manifest: its entry.
        counts: of all its records.
        size: bytes of all its shards.

    Returns:
        A fault for each count that differs.
    """
    try:
        differences = [*_differences(manifest, counts, size), *_imbalances(manifest)]
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        return [fault_of_file(split, MANIFEST_FILE, FaultKind.COUNT, f"is not as convert writes it: {error!r}")]
    return [fault_of_file(split, MANIFEST_FILE, FaultKind.COUNT, detail, key) for key, detail in differences]


def _differences(manifest: Mapping[str, Any], counts: RecordCounts, size: int) -> Iterator[tuple[str, str]]:
    totals, tables = manifest["totals"], manifest["tables"]
    pairs = [
        ("images.records", manifest["images"]["records"], counts.records),
        ("totals.records", totals["records"], counts.records),
        ("totals.shards", totals["shards"], len(manifest["shards"])),
        ("totals.bytes", totals["bytes"], size),
        ("totals.image_bytes", totals["image_bytes"], counts.image_bytes),
        ("totals.most_boxes_in_an_image", totals["most_boxes_in_an_image"], counts.most_boxes),
        ("totals.images_over_100_boxes", totals["images_over_100_boxes"], counts.images_over_100_boxes),
    ]
    held = [(Table.BOXES, counts.boxes), (Table.HUMAN_LABELS, counts.labels)]
    if counts.keys["image/machine_class/label"]:
        held.append((Table.MACHINE_LABELS, counts.machine_labels))
    for annotations, found in held:
        if stated := tables.get(annotations):
            rows = stated["written"] + stated.get("added_by_hierarchy", 0)
            pairs.append((f"tables.{annotations}.written", rows, found))
    for table, key in SOURCE_KEYS.items():
        if counts.keys[key] and table in tables:
            stated_sources, found_sources = manifest["sources"].get(table, {}), counts.sources.get(table, Counter())
            for source in sorted(stated_sources.keys() | found_sources.keys()):
                pairs.append((f"sources.{table}.{source}", stated_sources.get(source, 0), found_sources[source]))
    for name, per_class in (
        ("boxes", counts.boxes_per_class),
        ("positive_labels", counts.positive_per_class),
        ("negative_labels", counts.negative_per_class),
    ):
        stated_per_class = Counter({int(item["id"]): item[name] for item in manifest["classes"]})
        for label in sorted(stated_per_class.keys() | per_class.keys()):
            pairs.append((f"classes.{label}.{name}", stated_per_class[label], per_class[label]))
    for key, stated_count, found in pairs:
        if stated_count != found:
            yield key, f"the manifest has {stated_count}, the records have {found}"


def _imbalances(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    images = manifest["images"]
    if images["selected"] != images["records"] + sum(images["rejected"].values()):
        yield "images", "selected images are not records and rejected images"
    if "read" in images and images["read"] != images["records"] + sum(images["left_out"].values()):
        yield "images", "records that were read are not records and records left out"
    for name, table in manifest["tables"].items():
        accounted = table["written"] + sum(table["rejected"].values()) + sum(table["dropped"].values())
        if table["rows_read"] != accounted:
            yield f"tables.{name}", f"{table['rows_read']} rows read, {accounted} accounted for"
    yield from find_losses(manifest)
    if manifest["balanced"] is not True:
        yield "balanced", "the conversion lost something, by its own account"


def compare_label_map(
    split: str, manifest: Mapping[str, Any], label_map: LabelMap | None, csv_text: str | None, files: tuple[str, str]
) -> list[Fault]:
    """Compares the label map with the classes of the manifest and with its CSV.

    Args:
        split: name of the split.
        manifest: its entry.
        label_map: of `label_map.pbtxt`; None where it cannot be read, which is a fault of its own.
        csv_text: text of `label_map.csv`; None where there is none.
        files: names of the two files.
    """
    faults = []
    if csv_text is None:
        faults.append(fault_of_file(split, files[1], FaultKind.LABEL_MAP, "there is no such file"))
    if label_map is None:
        return faults
    if csv_text is not None and csv_text != format_csv(label_map):
        faults.append(fault_of_file(split, files[1], FaultKind.LABEL_MAP, f"does not hold what {files[0]} does"))
    stated = [(item.get("id"), item.get("mid"), item.get("name")) for item in manifest.get("classes", ())]
    found = [(item.id, item.name, item.display_name) for item in label_map.items]
    if stated != found:
        first = next((pair for pair in zip(stated, found, strict=False) if pair[0] != pair[1]), None)
        detail = f"{len(found)} classes, and the manifest has {len(stated)}"
        if first:
            detail = f"class {first[1]}, and the manifest has {first[0]}"
        faults.append(fault_of_file(split, files[0], FaultKind.LABEL_MAP, detail))
    return faults


def compare_rejects(split: str, manifest: Mapping[str, Any], text: str | None, file: str) -> list[Fault]:
    """Compares the list of rejects with the counts of the manifest.

    Args:
        split: name of the split.
        manifest: its entry.
        text: of the list; None where there is none.
        file: its name.
    """
    if text is None:
        return [fault_of_file(split, file, FaultKind.REJECTS, "there is no such file")]
    stated: Counter[tuple[str, str]] = Counter()
    tables = {str(name): table.get("rejected", {}) for name, table in manifest.get("tables", {}).items()}
    for table, rejected in ({"images": manifest.get("images", {}).get("rejected", {})} | tables).items():
        # Rows of a rejected image are counted, and not listed.
        stated.update({(table, reason): n for reason, n in rejected.items() if reason != Reject.IMAGE_REJECTED})
    found: Counter[tuple[str, str]] = Counter()
    faults = []
    tables_known = {"images", *Table}
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        if next(reader, None) != list(COLUMNS):
            faults.append(fault_of_file(split, file, FaultKind.REJECTS, f"the header is not {','.join(COLUMNS)}"))
        for row in reader:
            if len(row) != len(COLUMNS) or row[0] not in tables_known:
                detail = f"line {reader.line_num} is no reject: {row!r:.200}"
                faults.append(fault_of_file(split, file, FaultKind.REJECTS, detail))
            else:
                found[row[0], row[4]] += 1
    except csv.Error as error:
        faults.append(fault_of_file(split, file, FaultKind.REJECTS, f"line {reader.line_num}: {error}"))
    for table, reason in sorted(stated.keys() | found.keys()):
        if stated[table, reason] != found[table, reason]:
            detail = f"{found[table, reason]} lines of {table}, {reason}, and the manifest has {stated[table, reason]}"
            faults.append(fault_of_file(split, file, FaultKind.REJECTS, detail))
    return faults
