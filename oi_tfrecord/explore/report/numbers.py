"""The numbers of a report on one split, as plain values that a page or a JSON file shows."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from oi_tfrecord.explore.report.record_stats import (
    ASPECT_LOG2,
    CLASS_COUNTS,
    LONG_SIDE_STEP,
    SIZES_PER_OCTAVE,
    RecordStats,
)
from oi_tfrecord.explore.report.reject_examples import RejectGroup
from oi_tfrecord.openimages.published_counts import PUBLISHED, PublishedCounts
from oi_tfrecord.records.keys import MACHINE_TEXT_KEY
from oi_tfrecord.records.label_map import LabelMapItem

MOST_IMAGE_SIZES = 20


def describe_split(
    name: str,
    manifest: Mapping[str, Any] | None,
    shards: int,
    stats: RecordStats,
    classes: Sequence[LabelMapItem],
    rejects: Sequence[RejectGroup] | None,
) -> dict[str, Any]:
    """Puts the numbers of one split together.

    Args:
        name: of the split.
        manifest: its part of the manifest; None for records of others.
        shards: their number.
        stats: counts of its records.
        classes: of the label map.
        rejects: of its rejects file; None where there is none.

    Returns:
        Values that JSON can hold. A histogram is {"from", "to", "count"}: lists of the lower and upper bounds of its
        bins, and what is in them.
    """
    release = str(manifest["config"].get("release", "")) if manifest else ""
    return {
        "split": name,
        "release": release,
        "balanced": manifest["balanced"] if manifest else None,
        "totals": _totals(manifest, shards, stats),
        "published": _compare(release, name, manifest, stats),
        "classes": _classes(stats, classes),
        "boxes_per_image": _counted(stats.boxes_per_image, lambda count: (count, count + 1)),
        "box_sides": _binned(stats.box_sides, 0, 1),
        "box_aspects": _binned(stats.box_aspects, -ASPECT_LOG2, ASPECT_LOG2),
        "box_areas": dict(zip(("small", "medium", "large"), stats.box_areas.tolist(), strict=True)),
        "long_sides": _counted(stats.long_sides, lambda bin: (bin * LONG_SIDE_STEP, (bin + 1) * LONG_SIDE_STEP)),
        "encoded_sizes": _counted(
            stats.encoded_sizes, lambda bin: (2 ** (bin / SIZES_PER_OCTAVE), 2 ** ((bin + 1) / SIZES_PER_OCTAVE))
        ),
        "image_sizes": [
            {"width": width, "height": height, "images": images}
            for (width, height), images in stats.image_sizes.most_common(MOST_IMAGE_SIZES)
        ],
        "distinct_image_sizes": len(stats.image_sizes),
        "sources": _sources(manifest, stats),
        "flags": [
            {"flag": flag, "boxes": int(counts[0]), "of": int(counts[1])}
            for flag, counts in sorted(stats.flags.items())
        ],
        "licenses": [{"license": text, "images": images} for text, images in stats.licenses.most_common()],
        "keys": [{"key": key, "records": records} for key, records in sorted(stats.keys.items())],
        "rejects": None if rejects is None else [dataclasses.asdict(group) for group in rejects],
        "left_out": _left_out(manifest),
        "warnings": list(manifest["warnings"]) if manifest else [],
    }


def _totals(manifest: Mapping[str, Any] | None, shards: int, stats: RecordStats) -> dict[str, int | None]:
    totals = manifest["totals"] if manifest else {}
    return {
        "records": stats.records,
        "shards": shards,
        "bytes": totals.get("bytes"),
        "image_bytes": stats.image_bytes,
        "boxes": stats.boxes,
        "images_without_boxes": stats.boxes_per_image[0],
        "most_boxes_in_an_image": max(stats.boxes_per_image, default=0),
        "images_over_100_boxes": sum(images for boxes, images in stats.boxes_per_image.items() if boxes > 100),
        "degenerate_boxes": stats.degenerate_boxes,
        "positive_labels": stats.positive_labels,
        "negative_labels": stats.negative_labels,
        "machine_labels": stats.machine_labels,
        "images_reencoded": sum(totals["images_reencoded"].values()) if totals else None,
        "unknown_flags_written_as_0": totals.get("unknown_flags_written_as_0"),
    }


def _compare(release: str, split: str, manifest: Mapping[str, Any] | None, stats: RecordStats) -> list[dict[str, Any]]:
    """Compares what was published, what the tables held and what the records hold."""
    published = PUBLISHED.get(release, {}).get(split, PublishedCounts())
    tables = manifest["tables"] if manifest else {}

    def rows_read(table: str) -> int | None:
        return int(tables[table]["rows_read"]) if table in tables else None

    positive, negative = published.positive_labels, published.negative_labels
    human = None if positive is None or negative is None else positive + negative
    has_machine = MACHINE_TEXT_KEY in stats.keys
    rows: list[tuple[str, int | None, int | None, int | None]] = [
        ("images", published.images, rows_read("metadata"), stats.records),
        ("images with boxes", published.boxed_images, None, stats.records - stats.boxes_per_image[0]),
        ("boxes", published.boxes, rows_read("boxes"), stats.boxes),
        ("human-verified labels", human, rows_read("human_labels"), stats.positive_labels + stats.negative_labels),
        ("positive labels", positive, None, stats.positive_labels),
        ("negative labels", negative, None, stats.negative_labels),
        (
            "machine-generated labels",
            published.machine_labels,
            rows_read("machine_labels"),
            stats.machine_labels if has_machine else None,
        ),
    ]
    return [{"what": what, "published": said, "read": read, "records": held} for what, said, read, held in rows]


def _classes(stats: RecordStats, classes: Sequence[LabelMapItem]) -> dict[str, list[Any]]:
    """Returns the columns of the class table, ordered by positive labels, then negative ones, boxes and MID."""
    described = {item.name: item for item in classes}
    none = np.zeros(len(CLASS_COUNTS), np.int64)
    counts = {mid: stats.classes.get(mid, none).tolist() for mid in {*described, *stats.classes}}
    boxes, positive, negative = (CLASS_COUNTS.index(column) for column in ("boxes", "positive", "negative"))
    mids = sorted(counts, key=lambda mid: (*(-counts[mid][column] for column in (positive, negative, boxes)), mid))
    return {
        "mid": mids,
        "name": [described[mid].display_name if mid in described else mid for mid in mids],
        "id": [described[mid].id if mid in described else None for mid in mids],
        **{column: [counts[mid][index] for mid in mids] for index, column in enumerate(CLASS_COUNTS)},
    }


def _binned(counts: np.ndarray, low: float, high: float) -> dict[str, list[float]]:
    bounds = np.linspace(low, high, len(counts) + 1).round(6).tolist()
    return {"from": bounds[:-1], "to": bounds[1:], "count": counts.tolist()}


def _counted(counts: Counter[int], bounds: Callable[[int], tuple[float, float]]) -> dict[str, list[float]]:
    bins = range(min(counts), max(counts) + 1) if counts else range(0)
    return {
        "from": [round(bounds(bin)[0], 1) for bin in bins],
        "to": [round(bounds(bin)[1], 1) for bin in bins],
        "count": [counts[bin] for bin in bins],
    }


def _sources(manifest: Mapping[str, Any] | None, stats: RecordStats) -> list[dict[str, Any]]:
    """Returns counts by source: of the records where they tell, else of what the manifest says was written."""
    written = manifest["sources"] if manifest else {}
    rows = []
    for table in ("boxes", "human_labels", "machine_labels"):
        counted = table in stats.sources
        counts = stats.sources[table] if counted else Counter(written.get(table, {}))
        rows += [
            {"table": table, "source": source, "count": count, "counted_in": "records" if counted else "manifest"}
            for source, count in counts.most_common()
        ]
    return rows


def _left_out(manifest: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    tables = manifest["tables"] if manifest else {}
    rows = [
        {"table": table, "reason": reason, "count": count}
        for table, entry in tables.items()
        for reason, count in entry["dropped"].items()
    ]
    return sorted(rows, key=lambda row: (-row["count"], row["table"], row["reason"]))
