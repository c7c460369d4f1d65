"""The numbers of a report on one split."""

import dataclasses
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from oi_tfrecord.explore.report.box_shapes import ASPECT_LOG2, SHAPE_BINS
from oi_tfrecord.explore.report.class_pairs import tabulate_pairs
from oi_tfrecord.explore.report.published_counts import PUBLISHED, PublishedCounts
from oi_tfrecord.explore.report.record_stats import (
    CLASS_COUNTS,
    LONG_SIDE_STEP,
    SIZES_PER_OCTAVE,
    RecordStats,
)
from oi_tfrecord.explore.report.reject_examples import RejectGroup
from oi_tfrecord.records.keys import MACHINE_TEXT_KEY
from oi_tfrecord.records.label_map import LabelMapItem

MOST_IMAGE_SIZES = 20
"""Sizes of images that the report lists."""

MOST_PAIRED = 20
"""Classes whose pairs the report shows."""

Histogram = Mapping[str, Sequence[float]]
"""Lists `from` and `to`, the lower and upper bounds of the bins, and `count`, the number in each bin."""

Row = Mapping[str, Any]
"""Named values of a table's row."""


@dataclasses.dataclass(frozen=True)
class SplitNumbers:
    """The numbers of one split, as values of JSON; each field is a key of the JSON report.

    Attributes:
        split: name of the split.
        release: name of the release; empty where it is not known.
        balanced: whether the manifest balances; None without a manifest.
        totals: counts of records, boxes, labels and bytes; None where a count is not known.
        published: rows that compare published counts, rows read, and records.
        classes: columns of the table of classes.
        boxes_per_image, box_sides, box_aspects, long_sides, encoded_sizes: histograms, see `RecordStats`.
        box_shapes: `side` and `aspect`, the lower bounds of bins of size and aspect (as box_sides and box_aspects), and
            `count`, the boxes by bin of size and bin of aspect.
        box_places: boxes over each cell of an image, by row from the top and column from the left.
        class_pairs: `mid` and `images`, the most frequent classes and their images, and `together`, the images with
            both of two classes.
        box_areas: number of small, medium and large boxes.
        image_sizes: rows of the most frequent sizes of images.
        distinct_image_sizes: number of all sizes.
        sources: rows of boxes and labels by source.
        flags: rows of boxes by flag.
        licenses: rows of images by licence.
        keys: rows of records by key.
        rejects: groups of rejects; None where there is no list of rejects.
        left_out: rows of the rows that the configuration left out, by reason.
        warnings: of the manifest.
    """

    split: str
    release: str
    balanced: bool | None
    totals: Mapping[str, int | None]
    published: Sequence[Row]
    classes: Mapping[str, Sequence[Any]]
    boxes_per_image: Histogram
    box_sides: Histogram
    box_aspects: Histogram
    box_shapes: Mapping[str, Sequence[Any]]
    box_places: Sequence[Sequence[int]]
    class_pairs: Mapping[str, Sequence[Any]]
    box_areas: Mapping[str, int]
    long_sides: Histogram
    encoded_sizes: Histogram
    image_sizes: Sequence[Row]
    distinct_image_sizes: int
    sources: Sequence[Row]
    flags: Sequence[Row]
    licenses: Sequence[Row]
    keys: Sequence[Row]
    rejects: Sequence[Row] | None
    left_out: Sequence[Row]
    warnings: Sequence[str]


def make_numbers(
    name: str,
    manifest: Mapping[str, Any] | None,
    shards: int,
    stats: RecordStats,
    classes: Sequence[LabelMapItem],
    rejects: Sequence[RejectGroup] | None,
) -> SplitNumbers:
    """Puts the numbers of one split together.

    Args:
        name: name of the split.
        manifest: its entry in the manifest; None for third-party records.
        shards: number of shards.
        stats: counts of its records.
        classes: items of the label map.
        rejects: groups of its rejects; None where there is no list of rejects.
    """
    release = str(manifest["config"].get("release", "")) if manifest else ""
    return SplitNumbers(
        split=name,
        release=release,
        balanced=manifest["balanced"] if manifest else None,
        totals=_count_totals(manifest, shards, stats),
        published=_compare_published(release, name, manifest, stats),
        classes=_list_classes(stats, classes),
        boxes_per_image=_fill_bins(stats.boxes_per_image, lambda count: (count, count + 1)),
        box_sides=_divide_range(stats.box_sides, 0, 1),
        box_aspects=_divide_range(stats.box_aspects, -ASPECT_LOG2, ASPECT_LOG2),
        box_shapes={
            "side": np.linspace(0, 1, SHAPE_BINS[0], endpoint=False).round(6).tolist(),
            "aspect": np.linspace(-ASPECT_LOG2, ASPECT_LOG2, SHAPE_BINS[1], endpoint=False).round(6).tolist(),
            "count": stats.box_shapes.tolist(),
        },
        box_places=stats.box_places.tolist(),
        class_pairs=_list_pairs(stats),
        box_areas=dict(zip(("small", "medium", "large"), stats.box_areas.tolist(), strict=True)),
        long_sides=_fill_bins(stats.long_sides, lambda bin: (bin * LONG_SIDE_STEP, (bin + 1) * LONG_SIDE_STEP)),
        encoded_sizes=_fill_bins(
            stats.encoded_sizes, lambda bin: (2 ** (bin / SIZES_PER_OCTAVE), 2 ** ((bin + 1) / SIZES_PER_OCTAVE))
        ),
        image_sizes=[
            {"width": width, "height": height, "images": images}
            for (width, height), images in stats.image_sizes.most_common(MOST_IMAGE_SIZES)
        ],
        distinct_image_sizes=len(stats.image_sizes),
        sources=_list_sources(manifest, stats),
        flags=[
            {"flag": flag, "boxes": int(counts[0]), "of": int(counts[1])}
            for flag, counts in sorted(stats.flags.items())
        ],
        licenses=[{"license": text, "images": images} for text, images in stats.licenses.most_common()],
        keys=[{"key": key, "records": records} for key, records in sorted(stats.keys.items())],
        rejects=None if rejects is None else [dataclasses.asdict(group) for group in rejects],
        left_out=_list_left_out(manifest),
        warnings=list(manifest["warnings"]) if manifest else [],
    )


def _count_totals(manifest: Mapping[str, Any] | None, shards: int, stats: RecordStats) -> dict[str, int | None]:
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
        "masks": stats.masks,
        "images_reencoded": sum(totals["images_reencoded"].values()) if totals else None,
        "unknown_flags_written_as_0": totals.get("unknown_flags_written_as_0"),
    }


def _compare_published(
    release: str, split: str, manifest: Mapping[str, Any] | None, stats: RecordStats
) -> list[dict[str, Any]]:
    """Compares the published counts with the rows that were read and with the records."""
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
    return [{"what": what, "published": stated, "read": read, "records": found} for what, stated, read, found in rows]


def _list_classes(stats: RecordStats, classes: Sequence[LabelMapItem]) -> dict[str, list[Any]]:
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


def _list_pairs(stats: RecordStats) -> dict[str, list[Any]]:
    """Returns the most frequent classes whose pairs are known, the images of each, and those of each pair."""
    column = CLASS_COUNTS.index("images" if stats.boxes else "positive")
    counts = {mid: int(counts[column]) for mid, counts in stats.classes.items() if counts[column]}
    most = sorted(counts.keys() - stats.unpaired.keys(), key=lambda mid: (-counts[mid], mid))[:MOST_PAIRED]
    return {
        "mid": most,
        "images": [counts[mid] for mid in most],
        "together": tabulate_pairs(stats.class_pairs, most),
    }


def _divide_range(counts: np.ndarray, low: float, high: float) -> Histogram:
    """Returns a histogram of equal bins from `low` to `high`."""
    bounds = np.linspace(low, high, len(counts) + 1).round(6).tolist()
    return {"from": bounds[:-1], "to": bounds[1:], "count": counts.tolist()}


def _fill_bins(counts: Counter[int], bounds: Callable[[int], tuple[float, float]]) -> Histogram:
    """Returns a histogram of all bins between the lowest and the highest that have a count."""
    bins = range(min(counts), max(counts) + 1) if counts else range(0)
    return {
        "from": [round(bounds(bin)[0], 1) for bin in bins],
        "to": [round(bounds(bin)[1], 1) for bin in bins],
        "count": [counts[bin] for bin in bins],
    }


def _list_sources(manifest: Mapping[str, Any] | None, stats: RecordStats) -> list[dict[str, Any]]:
    """Returns counts by source: from the records if they have sources, else from the manifest."""
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


def _list_left_out(manifest: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    tables = manifest["tables"] if manifest else {}
    rows = [
        {"table": table, "reason": reason, "count": count}
        for table, entry in tables.items()
        for reason, count in entry["dropped"].items()
    ]
    return sorted(rows, key=lambda row: (-row["count"], row["table"], row["reason"]))
