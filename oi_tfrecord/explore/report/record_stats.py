"""Counts what the records of a dataset hold; the counts of shards add up."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from oi_tfrecord.explore.report.box_shapes import (
    ASPECT_BINS,
    COCO_AREAS,
    PLACE_BINS,
    SHAPE_BINS,
    SIDE_BINS,
    count_shapes,
    zeros,
)
from oi_tfrecord.explore.report.class_pairs import SAMPLED_IMAGES, Classes, choose_paired, count_pairs
from oi_tfrecord.openimages.schema import FLAGS
from oi_tfrecord.records.example_reader import (
    Values,
    check_lengths,
    decode,
    find_image_size,
    get_bytes,
    get_classes,
    get_numbers,
    get_strings,
    join_absent_labels,
    parse_example,
)
from oi_tfrecord.records.keys import (
    BBOX_KEYS,
    ENCODED_KEY,
    LABEL_CONFIDENCE_KEY,
    MASK_KEY,
    MASK_WEIGHT_KEY,
    attribution_key,
    flag_key,
)
from oi_tfrecord.records.record_counts import SOURCE_KEYS

CLASS_COUNTS = ("images", "boxes", "positive", "negative", "machine", "masks")
"""Columns of `RecordStats.classes`: images with a box of the class, its boxes, its verified labels of confidence above
0 and of 0, its machine-generated labels, and its boxes with a mask that is not empty."""

LONG_SIDE_STEP = 64
"""Width in pixels of the bins of an image's longer side."""

SIZES_PER_OCTAVE = 4
"""Bins of an encoded image's bytes between a power of 2 and the next."""

LICENSE_KEY = attribution_key("license")


@dataclasses.dataclass
class RecordStats:
    """Counts over records.

    Attributes:
        records: number of records.
        image_bytes: bytes of their encoded images.
        boxes, positive_labels, negative_labels, machine_labels: number of each.
        masks: number of boxes with a mask that is not empty.
        degenerate_boxes: number of boxes without area, which are in no histogram of boxes.
        keys: number of records with each key.
        classes: by MID (or `id N` where a record has only label ids), the CLASS_COUNTS.
        boxes_per_image: number of images by number of boxes.
        box_sides: histogram of sqrt(area of the box / area of the image), SIDE_BINS.
        box_aspects: histogram of log2(width / height) in pixels, ASPECT_BINS.
        box_shapes: histogram of both, int64 [SHAPE_BINS].
        box_places: number of boxes over each cell of an image, int64 [PLACE_BINS rows, PLACE_BINS columns].
        box_areas: boxes that are small, medium and large by COCO_AREAS, in pixels of the image as stored.
        long_sides: number of images by longer side // LONG_SIDE_STEP.
        encoded_sizes: number of images by floor(SIZES_PER_OCTAVE * log2(bytes)).
        image_sizes: number of images by (width, height).
        sources: by key of SOURCE_KEYS, number of boxes or labels by source.
        flags: by flag, int64 array [2] of boxes with the flag and of boxes whose record has the key of the flag.
        licenses: number of images by licence.
        class_pairs: number of images with both of two classes, by pair of MIDs in order. The classes of an image are
            those of its boxes or, in a record without keys of boxes, of its positive labels.
        unpaired: number of images with each class, for the images and classes that are not in `class_pairs`.
    """

    records: int = 0
    image_bytes: int = 0
    boxes: int = 0
    positive_labels: int = 0
    negative_labels: int = 0
    machine_labels: int = 0
    masks: int = 0
    degenerate_boxes: int = 0
    keys: Counter[str] = dataclasses.field(default_factory=Counter)
    classes: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    boxes_per_image: Counter[int] = dataclasses.field(default_factory=Counter)
    box_sides: np.ndarray = dataclasses.field(default_factory=lambda: zeros(SIDE_BINS))
    box_aspects: np.ndarray = dataclasses.field(default_factory=lambda: zeros(ASPECT_BINS))
    box_shapes: np.ndarray = dataclasses.field(default_factory=lambda: zeros(*SHAPE_BINS))
    box_places: np.ndarray = dataclasses.field(default_factory=lambda: zeros(PLACE_BINS, PLACE_BINS))
    box_areas: np.ndarray = dataclasses.field(default_factory=lambda: zeros(len(COCO_AREAS) + 1))
    long_sides: Counter[int] = dataclasses.field(default_factory=Counter)
    encoded_sizes: Counter[int] = dataclasses.field(default_factory=Counter)
    image_sizes: Counter[tuple[int, int]] = dataclasses.field(default_factory=Counter)
    sources: dict[str, Counter[str]] = dataclasses.field(default_factory=dict)
    flags: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    licenses: Counter[str] = dataclasses.field(default_factory=Counter)
    class_pairs: Counter[tuple[str, str]] = dataclasses.field(default_factory=Counter)
    unpaired: Counter[str] = dataclasses.field(default_factory=Counter)


def measure_records(records: Iterable[bytes], mid_of: Mapping[int, str]) -> RecordStats:
    """Counts what some records hold.

    Args:
        records: serialised Examples.
        mid_of: MID of each label map id, for records that have no `class/text`.

    Raises:
        ExampleError: if a record is not an Example.
        RecordFault: if the lists of an Example do not belong together.
    """
    stats = RecordStats()
    held = _Held()
    for data in records:
        example = parse_example(data)
        stats.records += 1
        stats.keys.update(example.keys())
        width, height = _add_image(stats, example)
        shapes = _add_boxes(stats, example, mid_of, width, height)
        _add_labels(stats, example, mid_of)
        held.shapes.append(shapes)
        held.classes.append(_paired_classes(example, mid_of))
        if len(held.classes) == SAMPLED_IMAGES:
            held = _Held(_add_held(stats, held))
    _add_held(stats, held)
    return stats


@dataclasses.dataclass
class _Held:
    """What is counted for many records at once.

    Attributes:
        paired: classes whose pairs are counted; empty before the first records are counted.
        shapes: of the boxes, see `_add_boxes`, for each record.
        classes: of each record.
    """

    paired: frozenset[str] = frozenset()
    shapes: list[np.ndarray] = dataclasses.field(default_factory=list)
    classes: list[Classes] = dataclasses.field(default_factory=list)


def _add_held(stats: RecordStats, held: _Held) -> frozenset[str]:
    """Counts what is held; returns the classes whose pairs are counted in the rest of the shard."""
    paired = held.paired or choose_paired(held.classes)
    if held.shapes:
        shapes = count_shapes(np.concatenate(held.shapes))
        stats.degenerate_boxes += shapes.degenerate
        stats.box_sides += shapes.sides
        stats.box_aspects += shapes.aspects
        stats.box_shapes += shapes.both
        stats.box_places += shapes.places
        stats.box_areas += shapes.areas
    stats.class_pairs.update(count_pairs(held.classes, paired))
    stats.unpaired.update(mid for classes in held.classes for mid in classes if mid not in paired)
    return paired


def merge_stats(parts: Iterable[RecordStats]) -> RecordStats:
    """Returns the sum of counts, in any order of the parts."""
    total = RecordStats()
    for part in parts:
        for field in dataclasses.fields(RecordStats):
            mine, theirs = getattr(total, field.name), getattr(part, field.name)
            if isinstance(mine, Counter):
                mine.update(theirs)
            elif isinstance(mine, dict):
                for key, counts in theirs.items():
                    mine[key] = mine[key] + counts if key in mine else counts
            else:
                setattr(total, field.name, mine + theirs)
    return total


def _add_image(stats: RecordStats, example: Mapping[str, Values]) -> tuple[int, int]:
    width, height = find_image_size(example)
    encoded = len(get_bytes(example, ENCODED_KEY))
    stats.image_bytes += encoded
    stats.image_sizes[width, height] += 1
    stats.long_sides[max(width, height) // LONG_SIDE_STEP] += 1
    if encoded:
        stats.encoded_sizes[int(np.floor(SIZES_PER_OCTAVE * np.log2(encoded)))] += 1
    if LICENSE_KEY in example:
        stats.licenses[decode(get_bytes(example, LICENSE_KEY))] += 1
    return width, height


def _add_boxes(
    stats: RecordStats, example: Mapping[str, Values], mid_of: Mapping[int, str], width: int, height: int
) -> np.ndarray:
    """Counts the boxes of a record.

    Returns:
        float64 [boxes, 8]: (width, height, image width, image height) of each box in pixels, and (xmin, ymin, xmax,
        ymax) as fractions of the sides of the image.
    """
    ymin, xmin, ymax, xmax = (get_numbers(example, key) for key in BBOX_KEYS)
    classes = get_classes(example, "image/object/class", mid_of)
    count = len(xmin)
    flags = {name: get_numbers(example, flag_key(name)) for name in FLAGS if flag_key(name) in example}
    lengths = {"ymin": len(ymin), "ymax": len(ymax), "xmax": len(xmax), "class": len(classes)}
    lengths |= {name: len(values) for name, values in flags.items()}
    check_lengths(lengths, count)
    stats.boxes += count
    stats.boxes_per_image[count] += 1
    _add_classes(stats, classes, CLASS_COUNTS.index("boxes"))
    _add_classes(stats, set(classes), CLASS_COUNTS.index("images"))
    _add_masks(stats, example, classes)
    _add_sources(stats, example, "boxes")
    for name, values in flags.items():
        stats.flags.setdefault(name, np.zeros(2, np.int64))
        stats.flags[name] += (np.count_nonzero(values == 1), count)
    shape = np.empty((count, 8))
    shape[:, 0], shape[:, 1] = (xmax - xmin) * float(width), (ymax - ymin) * float(height)
    shape[:, 2], shape[:, 3] = width, height
    shape[:, 4:] = np.stack([xmin, ymin, xmax, ymax], axis=1)
    return shape


def _add_masks(stats: RecordStats, example: Mapping[str, Values], classes: list[str]) -> None:
    if MASK_KEY not in example:
        return
    # An empty mask in place of a missing one has the weight 0.
    weights = get_numbers(example, MASK_WEIGHT_KEY) if MASK_WEIGHT_KEY in example else np.ones(len(classes))
    check_lengths({"mask": len(get_strings(example, MASK_KEY)), "mask weight": len(weights)}, len(classes))
    masked = [mid for mid, weight in zip(classes, weights.tolist(), strict=True) if weight > 0]
    stats.masks += len(masked)
    _add_classes(stats, masked, CLASS_COUNTS.index("masks"))


def _paired_classes(example: Mapping[str, Values], mid_of: Mapping[int, str]) -> Classes:
    if BBOX_KEYS[0] in example:
        return tuple(set(get_classes(example, "image/object/class", mid_of)))
    classes = get_classes(example, "image/class", mid_of)
    confidence = get_numbers(example, LABEL_CONFIDENCE_KEY)
    certain = confidence > 0 if len(confidence) == len(classes) else np.ones(len(classes), bool)
    return tuple({mid for mid, present in zip(classes, certain.tolist(), strict=True) if present})


def _add_labels(stats: RecordStats, example: Mapping[str, Values], mid_of: Mapping[int, str]) -> None:
    example = join_absent_labels(example)
    classes = get_classes(example, "image/class", mid_of)
    # Third-party records may have labels without confidence, which are all verified as present.
    has_confidence = LABEL_CONFIDENCE_KEY in example
    confidence = get_numbers(example, LABEL_CONFIDENCE_KEY) if has_confidence else np.ones(len(classes), np.float32)
    check_lengths({"confidence": len(confidence)}, len(classes))
    positive = [mid for mid, value in zip(classes, confidence.tolist(), strict=True) if value > 0]
    negative = [mid for mid, value in zip(classes, confidence.tolist(), strict=True) if not value > 0]
    machine = get_classes(example, "image/machine_class", mid_of)
    stats.positive_labels += len(positive)
    stats.negative_labels += len(negative)
    stats.machine_labels += len(machine)
    _add_classes(stats, positive, CLASS_COUNTS.index("positive"))
    _add_classes(stats, negative, CLASS_COUNTS.index("negative"))
    _add_classes(stats, machine, CLASS_COUNTS.index("machine"))
    _add_sources(stats, example, "human_labels")


def _add_classes(stats: RecordStats, classes: Iterable[str], column: int) -> None:
    for mid in classes:
        if mid not in stats.classes:
            stats.classes[mid] = np.zeros(len(CLASS_COUNTS), np.int64)
        stats.classes[mid][column] += 1


def _add_sources(stats: RecordStats, example: Mapping[str, Values], of: str) -> None:
    if (key := SOURCE_KEYS[of]) in example:
        stats.sources.setdefault(of, Counter()).update(map(decode, get_strings(example, key)))
