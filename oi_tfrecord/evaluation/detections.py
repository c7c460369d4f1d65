"""Detections of a model: reads their file into columns, and gives the detections of an image."""

import array
import dataclasses
import functools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from oi_tfrecord.errors import InputError
from oi_tfrecord.evaluation.detection_rows import DetectionRow
from oi_tfrecord.evaluation.detections_csv import read_csv_rows
from oi_tfrecord.evaluation.detections_json import read_json
from oi_tfrecord.images.mask_rle import MaskRle, find_boxes
from oi_tfrecord.records.label_map import LabelMap


@dataclasses.dataclass(frozen=True)
class ImageDetections:
    """The detections of an image, in the order of the file.

    Attributes:
        labels: int64 [n], label map ids.
        scores: float64 [n].
        boxes: float64 [n, 4] (ymin, xmin, ymax, xmax), normalised.
        masks: of each detection; no item if the file has no masks.
        places: int64 [n], line of the CSV or number of the JSON item, from 1.
    """

    labels: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    masks: tuple[MaskRle, ...]
    places: np.ndarray

    def take(self, chosen: np.ndarray) -> "ImageDetections":
        """Returns the detections at indices (int [m]), in their order."""
        masks = tuple(self.masks[place] for place in chosen) if self.masks else ()
        return ImageDetections(self.labels[chosen], self.scores[chosen], self.boxes[chosen], masks, self.places[chosen])


@dataclasses.dataclass(frozen=True)
class Detections:
    """The detections of a file, by image.

    Attributes:
        path: of the file.
        images: names of the images, in code-point order; an ImageID, a source id or a file name each.
        offsets: int64 [images + 1]; the detections of image i are those from `offsets[i]` to `offsets[i + 1]`.
        columns: the detections of all images; boxes are pixels if `in_pixels`.
        in_pixels: whether the boxes of the file are in pixels.
        row_word: what `places` count: line or item.
        unknown_classes: detections that were left out, by class that is not in the label map.
    """

    path: str
    images: tuple[str, ...]
    offsets: np.ndarray
    columns: ImageDetections
    in_pixels: bool
    row_word: str
    unknown_classes: Mapping[str, int]

    def find(self, names: Sequence[str]) -> int | None:
        """Returns the index of the image that has one of the names; None without detections of the image."""
        return next((self._index[name] for name in names if name in self._index), None)

    def of_image(self, index: int, width: int, height: int) -> ImageDetections:
        """Returns the detections of an image.

        Args:
            index: of the image, as `find` returns it.
            width: of the image, in pixels.
            height: of the image, in pixels.

        Raises:
            InputError: naming the row whose mask has another size, or a file in pixels if the size is not known.
        """
        detections = self.columns.take(np.arange(self.offsets[index], self.offsets[index + 1]))
        for mask, place in zip(detections.masks, detections.places.tolist(), strict=False):
            if (mask.width, mask.height) != (width, height):
                problem = f"the mask has {mask.width}x{mask.height} pixels, but the image {width}x{height}"
                remedy = "Give masks of the size of the images in the records"
                raise InputError(self.path, f"{self.row_word} {place}: {problem}", remedy)
        if detections.masks and not detections.boxes.any():
            return boxes_of_masks(detections)
        if not self.in_pixels:
            return detections
        if not width or not height:
            problem = f"boxes are in pixels, but the record of {self.images[index]} has no size"
            raise InputError(self.path, problem, "Give detections with normalised coordinates, see the guide")
        return dataclasses.replace(detections, boxes=detections.boxes / (height, width, height, width))

    @functools.cached_property
    def _index(self) -> dict[str, int]:
        return {name: place for place, name in enumerate(self.images)}


def read_detections(path: str, label_map: LabelMap) -> Detections:
    """Reads a file of detections; the guide "Evaluate" describes the forms.

    Args:
        path: JSON if it ends in `.json` (also with `.gz` or `.bz2`), else CSV; on any filesystem.
        label_map: of the records.

    Returns:
        The detections. A detection of a class that is not in the label map is left out and counted.

    Raises:
        InputError: naming the row that is malformed.
    """
    if path.removesuffix(".gz").removesuffix(".bz2").endswith(".json"):
        in_pixels, rows = read_json(path, label_map)
        return _collect(path, rows, in_pixels, "item")
    return _collect(path, read_csv_rows(path, label_map), in_pixels=False, row_word="line")


def _collect(path: str, rows: Iterable[DetectionRow], in_pixels: bool, row_word: str) -> Detections:
    """Puts rows into columns; an array takes 8 bytes of a number, a list four times as many."""
    number_of: dict[str, int] = {}
    images, labels, places = array.array("q"), array.array("q"), array.array("q")
    scores, sides = array.array("d"), array.array("d")
    masks: list[MaskRle] = []
    unknown: Counter[str] = Counter()
    for row in rows:
        parsed = row.parsed
        if not row.label:
            unknown[parsed.class_name] += 1
            continue
        if bool(masks) != (parsed.mask is not None) and labels:
            problem = "the detection has no mask, but others have" if masks else "only this detection has a mask"
            raise InputError(path, f"{row_word} {row.place}: {problem}", "Give each detection a mask, or none")
        images.append(number_of.setdefault(parsed.image, len(number_of)))
        labels.append(row.label)
        places.append(row.place)
        scores.append(parsed.score)
        sides.extend(parsed.box)
        masks.extend(() if parsed.mask is None else (parsed.mask,))
    names = sorted(number_of)
    rank_of = np.zeros(len(names), np.int64)
    rank_of[[number_of[name] for name in names]] = np.arange(len(names))
    ranks = rank_of[np.frombuffer(images, np.int64)] if images else np.zeros(0, np.int64)
    order = np.argsort(ranks, kind="stable")
    columns = ImageDetections(
        np.array(labels, np.int64),
        np.array(scores, np.float64),
        np.array(sides, np.float64).reshape(-1, 4),
        tuple(masks),
        np.array(places, np.int64),
    )
    offsets = np.searchsorted(ranks[order], np.arange(len(names) + 1))
    return Detections(path, tuple(names), offsets, columns.take(order), in_pixels, row_word, dict(unknown))


def boxes_of_masks(detections: ImageDetections) -> ImageDetections:
    """Returns detections with the tight boxes of their masks, as the challenge scores masks."""
    return dataclasses.replace(detections, boxes=find_boxes(detections.masks))
