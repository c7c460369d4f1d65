"""The metrics of COCO, computed by hotcoco, which gives the numbers of pycocotools."""

import contextlib
import io
from typing import Any

import numpy as np

from oi_tfrecord.evaluation.detections import ImageDetections
from oi_tfrecord.evaluation.truth import ScoredTruth
from oi_tfrecord.images.mask_rle import MaskRle, load_hotcoco, measure_areas
from oi_tfrecord.records.label_map import LabelMap

SUMMARY = ("AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl")
"""The metrics, in the order of pycocotools: for all, small, medium and large objects, and by number of detections."""

_BATCH_IMAGES = 256
"""Images that hotcoco gets at once."""


class CocoScore:
    """The matches of the images so far; hotcoco does not keep the annotations."""

    def __init__(self, label_map: LabelMap, with_masks: bool):
        """Starts without an image.

        Args:
            label_map: the classes.
            with_masks: whether masks are scored, not boxes.
        """
        self._id_of = label_map.id_of
        self._with_masks = with_masks
        categories = [{"id": item.id, "name": item.name} for item in label_map.items]
        self._evaluator = load_hotcoco().StreamingEval(categories, "segm" if with_masks else "bbox")
        self._images: list[dict[str, Any]] = []
        self._objects: list[dict[str, Any]] = []
        self._results: list[dict[str, Any]] = []
        self._image_count = 0
        self._object_count = 0

    def add(self, detections: ImageDetections, truth: ScoredTruth, width: int, height: int) -> None:
        """Adds an image.

        Args:
            detections: the detections of the image.
            truth: the ground truth of the image; a group is a crowd, and so is the box of an object without a mask.
            width: of the image, in pixels.
            height: of the image, in pixels.
        """
        self._image_count += 1
        number = self._image_count
        self._images.append({"id": number, "width": width, "height": height})
        for place, sides in enumerate(_to_pixels(truth.boxes, width, height)):
            self._object_count += 1
            shape = _mask_of_object(truth, place, sides, width, height) if self._with_masks else {}
            named = {"id": self._object_count, "image_id": number}
            self._objects.append(named | _box_of_object(truth, place, sides) | shape)
        for place, sides in enumerate(_to_pixels(detections.boxes, width, height)):
            shape = {"segmentation": _to_rle(detections.masks[place])} if self._with_masks else {"bbox": sides}
            scored = {"category_id": int(detections.labels[place]), "score": float(detections.scores[place])}
            self._results.append({"image_id": number} | scored | shape)
        if len(self._images) == _BATCH_IMAGES:
            self._send()

    def _send(self) -> None:
        if self._images:
            self._evaluator.update(self._images, self._objects, self._results)
        self._images, self._objects, self._results = [], [], []

    def finish(self) -> tuple[dict[str, float], dict[int, float]]:
        """Returns the twelve metrics of COCO by name (-1 without an object), and AP by class with an object."""
        self._send()
        evaluator = self._evaluator.finalize()
        evaluator.accumulate()
        # `summarize` prints a table, which is no part of our output.
        with contextlib.redirect_stdout(io.StringIO()):
            evaluator.summarize()
        results = evaluator.get_results(per_class=True)
        by_class = {
            self._id_of[name.removeprefix("AP/")]: value for name, value in results.items() if name.startswith("AP/")
        }
        summary = {name: float(results[name]) for name in SUMMARY}
        return summary, {label: float(value) for label, value in sorted(by_class.items()) if value >= 0}


def _box_of_object(truth: ScoredTruth, place: int, sides: list[float]) -> dict[str, Any]:
    """Returns the fields of an object by its box; `sides` are (x, y, width, height) in pixels."""
    return {
        "category_id": int(truth.labels[place]),
        "bbox": sides,
        "area": sides[2] * sides[3],
        "iscrowd": int(truth.is_group[place]),
    }


def _mask_of_object(truth: ScoredTruth, place: int, sides: list[float], width: int, height: int) -> dict[str, Any]:
    """Returns the fields that differ where masks are scored; an object without a mask is the crowd of its box."""
    mask = truth.masks[place]
    if mask is not None:
        return {"segmentation": _to_rle(mask), "area": int(measure_areas([mask])[0])}
    box = load_hotcoco().mask.fr_bbox(sides, height, width)
    return {"segmentation": box | {"counts": box["counts"].decode()}, "iscrowd": 1}


def _to_pixels(boxes: np.ndarray, width: int, height: int) -> list[list[float]]:
    """Returns (x, y, width, height) in pixels of normalised boxes."""
    ymin, xmin, ymax, xmax = (boxes * (height, width, height, width)).T
    return np.stack([xmin, ymin, xmax - xmin, ymax - ymin], axis=-1).tolist()


def _to_rle(mask: MaskRle) -> dict[str, Any]:
    return {"size": [mask.height, mask.width], "counts": mask.counts.decode()}
