"""Average precision by the protocols of Open Images: sums the matches of all images by class.

Source: utils/object_detection_evaluation.py and utils/metrics.py of the Object Detection API. hotcoco follows the rule
of group boxes, but neither that of verified labels nor that of boxes without a mask, so the rules are written here.
"""

import array
from collections.abc import Mapping

import numpy as np

from oi_tfrecord.evaluation.detections import ImageDetections
from oi_tfrecord.evaluation.match import ClassMatches, Protocol, match_image, select_scored
from oi_tfrecord.evaluation.truth import ScoredTruth

PROTOCOLS: Mapping[str, Protocol] = {
    "oid_V2": Protocol("Open Images V2", group_weight=0.0, only_verified=False),
    "oid_challenge": Protocol("Open Images challenge", group_weight=1.0, only_verified=True),
}
"""By name of the metrics. The challenge's weight is that of metrics/oid_challenge_evaluation.py, also for masks."""


class OpenImagesScore:
    """The matches of all images so far: 20 bytes for each detection that is scored."""

    def __init__(self, protocol: Protocol, with_masks: bool):
        """Starts without an image.

        Args:
            protocol: which detections count, and how.
            with_masks: whether masks are scored, not boxes.
        """
        self.not_scored = 0
        self._protocol = protocol
        self._with_masks = with_masks
        self._objects: dict[int, float] = {}
        self._matches: dict[int, _ClassArrays] = {}

    def add(self, rank: int, detections: ImageDetections, truth: ScoredTruth) -> None:
        """Adds an image.

        Args:
            rank: place of the image in the order of ImageIDs, by which equal scores of several images are ordered.
            detections: the detections of the image.
            truth: the ground truth of the image.
        """
        self._count_objects(truth)
        scored = select_scored(detections, truth, self._protocol)
        self.not_scored += len(detections.scores) - len(scored.scores)
        for matches in match_image(scored, truth, self._protocol):
            self._matches.setdefault(matches.label, _ClassArrays()).add(rank, matches)

    def _count_objects(self, truth: ScoredTruth) -> None:
        counted = truth.has_mask if self._with_masks else np.ones(len(truth.labels), bool)
        weights = np.where(truth.is_group, self._protocol.group_weight, 1.0)[counted]
        for label, weight in zip(truth.labels[counted].tolist(), weights.tolist(), strict=True):
            self._objects[label] = self._objects.get(label, 0.0) + weight

    def average_precisions(self) -> dict[int, float]:
        """Returns the average precision of each class with an object, by label map id."""
        none = _ClassArrays()
        return {
            label: average_precision(*self._matches.get(label, none).in_order(), objects)
            for label, objects in sorted(self._objects.items())
            if objects
        }

    def objects(self) -> dict[int, float]:
        """Returns the number of objects that are to be detections, by label map id."""
        return dict(self._objects)


class _ClassArrays:
    """The matches of a class, packed."""

    def __init__(self) -> None:
        self._ranks = array.array("i")
        self._scores = array.array("d")
        self._hits = array.array("d")

    def add(self, rank: int, matches: ClassMatches) -> None:
        self._ranks.extend([rank] * len(matches.scores))
        self._scores.frombytes(matches.scores.tobytes())
        self._hits.frombytes(matches.hits.tobytes())

    def in_order(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns (scores, hits) by rank of the image, as the official program has them."""
        order = np.argsort(np.array(self._ranks, np.int32), kind="stable")
        return np.array(self._scores, np.float64)[order], np.array(self._hits, np.float64)[order]


def average_precision(scores: np.ndarray, hits: np.ndarray, objects: float) -> float:
    """Returns the area under the curve of precision, made monotonous, over recall.

    Args:
        scores: float64 [n].
        hits: float64 [n], what each detection adds to the true positives; 0 for a false positive.
        objects: number of objects, above 0.
    """
    # Not stable: the official program breaks ties in this way.
    ordered = hits[np.argsort(scores)[::-1]]
    hit_sum = np.cumsum(ordered)
    precision = hit_sum / (hit_sum + np.cumsum(ordered <= 0))
    recall = hit_sum / objects
    highest_after = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * highest_after))
