"""The score of detections, and the texts that say the score."""

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

from oi_tfrecord.storage.csv_text import format_csv_line

_NAMED_CLASSES = 5


@dataclasses.dataclass(frozen=True)
class ClassScore:
    """The score of a class.

    Attributes:
        id: label map id.
        mid: MID, as in `image/object/class/text`.
        name: display name.
        average_precision: AP at IoU 0.5, or COCO's AP; None for a class without an object.
        objects: boxes of the class after the expansion, groups and boxes without a mask among them.
        detections: detections of the class in the images of the split.
    """

    id: int
    mid: str
    name: str
    average_precision: float | None
    objects: int
    detections: int


@dataclasses.dataclass(frozen=True)
class EvaluateResult:
    """The score of detections.

    Attributes:
        metrics: name of the protocol.
        split: that was scored against.
        summary: `mAP@0.5IOU`, or the twelve metrics of COCO, by name; NaN or -1 where no class has an object.
        classes: all classes of the label map, in its order.
        images: number of images of the split.
        detections: number of detections in these images, of classes of the label map.
        not_scored: those that the protocol ignores: of classes that are not verified in the image, or without an area.
        unknown_images: detections by image that is not in the split.
        unknown_classes: detections by class that is not in the label map.
        warnings: what makes the score less than it seems.
    """

    metrics: str
    split: str
    summary: Mapping[str, float]
    classes: tuple[ClassScore, ...]
    images: int
    detections: int
    not_scored: int
    unknown_images: Mapping[str, int]
    unknown_classes: Mapping[str, int]
    warnings: tuple[str, ...]


def format_class_scores(result: EvaluateResult) -> str:
    """Returns the CSV of the classes: id, LabelName, DisplayName, AP (empty without an object), objects, detections."""
    lines = [format_csv_line(("id", "LabelName", "DisplayName", "AP", "Objects", "Detections"))]
    for item in result.classes:
        precision = "" if item.average_precision is None else item.average_precision
        lines.append(format_csv_line((item.id, item.mid, item.name, precision, item.objects, item.detections)))
    return "".join(lines)


def to_values(result: EvaluateResult) -> dict[str, Any]:
    """Returns a result as values of JSON; a score that is no number, as no class has an object, is None."""
    summary = {name: None if math.isnan(value) else value for name, value in result.summary.items()}
    return {**dataclasses.asdict(result), "summary": summary}


def describe_evaluation(result: EvaluateResult) -> Iterator[str]:
    """Yields the lines that say what was scored, and the score."""
    scored = sum(item.average_precision is not None for item in result.classes)
    yield f"{result.split}: {result.images:,} images, {result.detections:,} detections, {scored:,} classes with objects"
    for name, value in result.summary.items():
        yield f"{result.metrics} {name}: {value:.6f}"
    if result.not_scored:
        yield f"{result.not_scored:,} detections are ignored: their class is not verified in the image, or no area"
    if result.unknown_images:
        count = sum(result.unknown_images.values())
        yield f"{count:,} detections of {len(result.unknown_images):,} images that are not in the split are left out"
    if result.unknown_classes:
        names = sorted(result.unknown_classes)
        more = f" and {len(names) - _NAMED_CLASSES} more" if len(names) > _NAMED_CLASSES else ""
        count = sum(result.unknown_classes.values())
        listed = ", ".join(names[:_NAMED_CLASSES]) + more
        yield f"{count:,} detections of classes that are not in the label map are left out: {listed}"
