"""Detections of a model beside the records: which are matched, which are false, and which boxes are missed."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from oi_tfrecord.dataset.ground_truth import GroundTruth, read_ground_truth
from oi_tfrecord.evaluation.detections import Detections, ImageDetections, read_detections
from oi_tfrecord.evaluation.match import IOU_THRESHOLD, box_ioa, box_iou
from oi_tfrecord.explore.browse.index import BrowseIndex
from oi_tfrecord.explore.browse.search_rows import flag_bits
from oi_tfrecord.explore.class_colours import assign_colours, box_labels, format_colour, text_colour
from oi_tfrecord.records.example_reader import Values
from oi_tfrecord.records.label_map import LabelMap

OUTCOMES = ("matched", "missed", "false")

MATCHED, FALSE, IGNORED = 1, 0, -1


@dataclasses.dataclass(frozen=True)
class BoxMatches:
    """What became of the detections of an image.

    Attributes:
        outcomes: int8 [n], MATCHED, FALSE, or IGNORED for a detection within a group box.
        objects: int64 [n], the box that each matched detection found; -1 for none.
    """

    outcomes: np.ndarray
    objects: np.ndarray


def match_boxes(found: ImageDetections, truth: GroundTruth) -> BoxMatches:
    """Matches detections to the boxes of an image, class by class, the highest scores first.

    A detection matches if it is the first on the box that it overlaps most, by at least half (intersection over union),
    as by the protocols of Open Images. So what became of a detection does not depend on detections with lower scores.
    """
    outcomes = np.full(len(found.labels), FALSE, np.int8)
    objects = np.full(len(found.labels), -1, np.int64)
    for label in np.unique(found.labels).tolist():
        chosen = np.flatnonzero(found.labels == label)
        chosen = chosen[np.argsort(-found.scores[chosen], kind="stable")]
        single = np.flatnonzero((truth.labels == label) & ~truth.is_group)
        groups = np.flatnonzero((truth.labels == label) & truth.is_group)
        if len(single):
            overlaps = box_iou(found.boxes[chosen], truth.boxes[single])
            near = np.flatnonzero(overlaps.max(axis=1) >= IOU_THRESHOLD)
            best, firsts = np.unique(overlaps.argmax(axis=1)[near], return_index=True)
            outcomes[chosen[near[firsts]]] = MATCHED
            objects[chosen[near[firsts]]] = single[best]
        if len(groups):
            in_group = box_ioa(found.boxes[chosen], truth.boxes[groups]).max(axis=1) >= IOU_THRESHOLD
            outcomes[chosen[in_group & (outcomes[chosen] == FALSE)]] = IGNORED
    return BoxMatches(outcomes, objects)


class Predictions:
    """The detections of a file and what became of them, by record."""

    def __init__(
        self,
        path: str,
        label_map: LabelMap,
        index: BrowseIndex,
        read_example: Callable[[int], Mapping[str, Values]],
    ):
        """Reads the file, and the records that it has detections of.

        Args:
            path: of the file, as `evaluate` takes it.
            label_map: of the records.
            index: of the records.
            read_example: returns the parsed record of a number.

        Raises:
            InputError: naming the row that is malformed.
        """
        self._detections = read_detections(path, label_map)
        self._label_map = label_map
        self._items = {item.id: item for item in label_map.items}
        self._objects = _count_objects(index)
        records = [np.zeros(0, np.int64)]
        scores = [np.zeros(0)]
        outcomes = [np.zeros(0, np.int8)]
        for name in self._detections.images:
            for record in index.with_id(name.rpartition("/")[2].removesuffix(".jpg")).tolist():
                if index.id_of(record) not in (name, name.rpartition("/")[2].removesuffix(".jpg")):
                    continue
                truth = read_ground_truth(read_example(record), label_map.id_of)
                found = self._of(self._detections, truth)
                records.append(np.full(len(found.labels), record))
                scores.append(found.scores)
                outcomes.append(match_boxes(found, truth).outcomes)
        self._records = np.concatenate(records)
        self._scores = np.concatenate(scores)
        self._outcomes = np.concatenate(outcomes)
        covered = np.unique(np.searchsorted(index.split_starts, self._records, "right") - 1)
        splits = np.searchsorted(index.split_starts, np.arange(index.records), "right") - 1
        # Only in splits with detections, a box without one is a box that the model missed.
        self._objects[~np.isin(splits, covered)] = 0

    def count(self, score: float) -> dict[str, np.ndarray]:
        """Returns how many boxes and detections of each record have each of OUTCOMES, int64 arrays [records].

        Args:
            score: detections with a lower score are left out.
        """
        size = len(self._objects)
        kept = self._scores >= score
        matched = np.bincount(self._records[kept & (self._outcomes == MATCHED)], minlength=size)
        false = np.bincount(self._records[kept & (self._outcomes == FALSE)], minlength=size)
        return {"matched": matched, "missed": self._objects - matched, "false": false}

    def describe(self, example: Mapping[str, Values]) -> list[dict[str, Any]]:
        """Returns the detections of a record as the page shows them, the highest scores first.

        Returns:
            Of each detection class, corners, score, outcome, and the number of the box that it found; null for none.
        """
        truth = read_ground_truth(example, self._label_map.id_of)
        found = self._of(self._detections, truth)
        matches = match_boxes(found, truth)
        own = box_labels(example, len(truth.labels))
        number_of = dict(zip(truth.labels.tolist(), own, strict=True))
        numbers = [number_of.get(label, label) for label in found.labels.tolist()]
        # A class with a box keeps the colour of the box.
        colours = assign_colours([*own, *numbers]) | assign_colours(own)
        rows = []
        for place in np.argsort(-found.scores, kind="stable").tolist():
            label = int(found.labels[place])
            item, colour = self._items[label], colours[numbers[place]]
            ymin, xmin, ymax, xmax = found.boxes[place].tolist()
            outcome = {MATCHED: "matched", FALSE: "false", IGNORED: "ignored"}[int(matches.outcomes[place])]
            rows.append(
                {
                    "mid": item.name,
                    "name": item.display_name,
                    "box": [xmin, ymin, xmax, ymax],
                    "score": float(found.scores[place]),
                    "outcome": outcome,
                    "object": int(matches.objects[place]) if outcome == "matched" else None,
                    "colour": format_colour(colour),
                    "ink": format_colour(text_colour(colour)),
                }
            )
        return rows

    @staticmethod
    def _of(detections: Detections, truth: GroundTruth) -> ImageDetections:
        place = detections.find(truth.names)
        if place is None:
            return detections.columns.take(np.zeros(0, np.int64))
        return detections.of_image(place, truth.width, truth.height)


def _count_objects(index: BrowseIndex) -> np.ndarray:
    """Returns the number of boxes of each record that are no group boxes, int64 array [records]."""
    is_group = (index.arrays["box_flags"] & flag_bits("group_of")[0]) != 0
    groups = np.bincount(index.arrays["box_record"][is_group], minlength=index.records)
    objects: np.ndarray = index.arrays["boxes"].astype(np.int64) - groups
    return objects
