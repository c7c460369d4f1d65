"""Checks the manifest of a split: its counts against the records, and its balances against themselves."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from oi_tfrecord.dataset.coverage import find_losses
from oi_tfrecord.dataset.file_names import MANIFEST_FILE
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.keys import (
    ABSENT_LABEL_KEY,
    ABSENT_TEXT_KEY,
    ALWAYS_WRITTEN,
    BOX_CONFIDENCE_KEY,
    BOX_SOURCE_KEY,
    KNOWN_KEYS,
    LABEL_CONFIDENCE_KEY,
    LABEL_KEY,
    LABEL_SOURCE_KEY,
    LABEL_TEXT_KEY,
    MACHINE_LABEL_KEY,
    MASK_KEY,
    ExtraKeys,
    ListLength,
)
from oi_tfrecord.records.record_counts import SOURCE_KEYS, RecordCounts
from oi_tfrecord.verification.check_contradictions import Problem, find_contradictions
from oi_tfrecord.verification.faults import DatasetFault, FaultKind, fault_of_file

_EXTRA_KEYS = {
    ExtraKeys.BOX_SOURCE: (BOX_SOURCE_KEY,),
    ExtraKeys.BOX_CONFIDENCE: (BOX_CONFIDENCE_KEY,),
    ExtraKeys.LABEL_SOURCE: (LABEL_SOURCE_KEY,),
    ExtraKeys.MASKS: (MASK_KEY,),
    ExtraKeys.MACHINE_LABELS: tuple(
        key for key, known in KNOWN_KEYS.items() if known.length is ListLength.MACHINE_LABELS
    ),
    ExtraKeys.PRESENT_LABELS: tuple(
        key for key, known in KNOWN_KEYS.items() if known.length is ListLength.PRESENT_LABELS
    ),
}
"""Keys that a group adds to every record; what `inside`, `label_source` and `attribution` add depends on the tables."""

_LABEL_KEYS = (LABEL_TEXT_KEY, LABEL_KEY, LABEL_CONFIDENCE_KEY)

Comparison = tuple[str, Any, Any]
"""Key of the manifest, joined by dots; its count; the count of the records."""


def required_keys(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Returns the keys that every record of a split must have, by its manifest."""
    keys = list(ALWAYS_WRITTEN)
    has_labels = Table.HUMAN_LABELS in manifest.get("tables", {})
    if manifest.get("config", {}).get("task") == "classification":
        keys = [key for key in keys if not key.startswith("image/object/")]
        keys += (ABSENT_TEXT_KEY, ABSENT_LABEL_KEY) if has_labels else ()
    if has_labels:
        keys += _LABEL_KEYS
    for group in manifest.get("config", {}).get("extra_keys", ()):
        if group not in (ExtraKeys.LABEL_SOURCE, ExtraKeys.PRESENT_LABELS) or has_labels:
            keys += _EXTRA_KEYS.get(group, ())
    return tuple(keys)


def compare_manifest(split: str, manifest: Mapping[str, Any], counts: RecordCounts, size: int) -> list[DatasetFault]:
    """Compares the counts of a manifest with those of the records.

    Args:
        split: name of the split.
        manifest: its entry.
        counts: of all its records.
        size: bytes of all its shards.

    Returns:
        A fault for each count that differs, and those of `check_entry`.
    """
    return _report(split, itertools.chain(_find_differences(manifest, counts, size), _find_problems(split, manifest)))


def check_entry(split: str, manifest: Mapping[str, Any]) -> list[DatasetFault]:
    """Returns the faults that the entry of a split in the manifest shows by itself."""
    return _report(split, _find_problems(split, manifest))


def _report(split: str, problems: Iterator[Problem]) -> list[DatasetFault]:
    """Returns the faults until the entry has another shape than expected."""
    faults = []
    try:
        for key, detail in problems:
            faults.append(fault_of_file(split, MANIFEST_FILE, FaultKind.COUNT, detail, key))
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        detail = f"is not as convert writes it: {error!r}"
        faults.append(fault_of_file(split, MANIFEST_FILE, FaultKind.COUNT, detail))
    return faults


def _find_problems(split: str, manifest: Mapping[str, Any]) -> Iterator[Problem]:
    yield from _find_imbalances(manifest)
    yield from find_contradictions(split, manifest)


def _find_differences(manifest: Mapping[str, Any], counts: RecordCounts, size: int) -> Iterator[Problem]:
    comparisons = (
        *_compare_totals(manifest, counts, size),
        *_compare_tables(manifest, counts),
        *_compare_sources(manifest, counts),
        *_compare_classes(manifest, counts),
    )
    for key, stated, found in comparisons:
        if stated != found:
            yield key, f"the manifest has {stated}, the records have {found}"


def _compare_totals(manifest: Mapping[str, Any], counts: RecordCounts, size: int) -> Iterator[Comparison]:
    totals = manifest["totals"]
    yield "images.records", manifest["images"]["records"], counts.records
    yield "totals.records", totals["records"], counts.records
    yield "totals.shards", totals["shards"], len(manifest["shards"])
    yield "totals.bytes", totals["bytes"], size
    yield "totals.image_bytes", totals["image_bytes"], counts.image_bytes
    yield "totals.most_boxes_in_an_image", totals["most_boxes_in_an_image"], counts.most_boxes
    expanded = totals.get("most_boxes_after_expansion")
    # Versions before 0.2 did not count these boxes.
    if expanded is not None or not str(manifest.get("oi_tfrecord", "")).startswith("0.1."):
        yield "totals.most_boxes_after_expansion", expanded, counts.most_expanded_boxes
    yield "totals.images_over_100_boxes", totals["images_over_100_boxes"], counts.images_over_100_boxes


def _compare_tables(manifest: Mapping[str, Any], counts: RecordCounts) -> Iterator[Comparison]:
    held = {Table.BOXES: counts.boxes, Table.HUMAN_LABELS: counts.labels}
    if counts.keys[MACHINE_LABEL_KEY]:
        held[Table.MACHINE_LABELS] = counts.machine_labels
    for table, found in held.items():
        if stated := manifest["tables"].get(table):
            rows = stated["written"] + stated.get("added_by_hierarchy", 0)
            yield f"tables.{table}.written", rows, found


def _compare_sources(manifest: Mapping[str, Any], counts: RecordCounts) -> Iterator[Comparison]:
    for table, key in SOURCE_KEYS.items():
        if counts.keys[key] and table in manifest["tables"]:
            stated, found = manifest["sources"].get(table, {}), counts.sources.get(table, Counter())
            for source in sorted(stated.keys() | found.keys()):
                yield f"sources.{table}.{source}", stated.get(source, 0), found[source]


def _compare_classes(manifest: Mapping[str, Any], counts: RecordCounts) -> Iterator[Comparison]:
    for name, found in (
        ("boxes", counts.boxes_per_class),
        ("positive_labels", counts.positive_per_class),
        ("negative_labels", counts.negative_per_class),
    ):
        stated = Counter({int(item["id"]): item[name] for item in manifest["classes"]})
        for label in sorted(stated.keys() | found.keys()):
            yield f"classes.{label}.{name}", stated[label], found[label]


def _find_imbalances(manifest: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yields key and problem where the manifest accounts for more or less than was read."""
    images = manifest["images"]
    without_record = sum(images["rejected"].values()) + sum(images.get("skipped", {}).values())
    if images["selected"] != images["records"] + without_record:
        yield "images", "the selected images are not the sum of records, rejected and skipped images"
    if "read" in images and images["read"] != images["records"] + sum(images["left_out"].values()):
        yield "images", "the records that were read are not the sum of records and records left out"
    for name, table in manifest["tables"].items():
        accounted = table["written"] + sum(table["rejected"].values()) + sum(table["dropped"].values())
        if table["rows_read"] != accounted:
            yield f"tables.{name}", f"{table['rows_read']} rows read, {accounted} accounted for"
    yield from find_losses(manifest)
    if manifest["balanced"] is not True:
        yield "balanced", "the manifest says that the conversion lost something"
