"""Matches the detections of an image to its ground truth, class by class, by the protocols of Open Images.

Source: utils/per_image_evaluation.py of the Object Detection API, whose results these are to the last digit: equal
scores are ordered as there, and a box without a mask is matched after the objects with one.
"""

import dataclasses
import itertools
from collections.abc import Iterator

import numpy as np

from oi_tfrecord.evaluation.detections import ImageDetections
from oi_tfrecord.evaluation.truth import ScoredTruth
from oi_tfrecord.images.mask_rle import measure_ioa, measure_iou

IOU_THRESHOLD = 0.5

_MOST_PER_CLASS = 10_000

_LEAST_SCORE = -10.0


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What differs between the protocols of Open Images.

    Attributes:
        title: for people.
        group_weight: what a group box that is found adds to the true positives, and a group box to the objects; with 0,
            detections within a group box are ignored.
        only_verified: whether detections of classes that are not verified in the image are ignored.
    """

    title: str
    group_weight: float
    only_verified: bool


@dataclasses.dataclass(frozen=True)
class ClassMatches:
    """What became of the detections of a class in an image, those that are ignored left out.

    Attributes:
        label: label map id of the class.
        scores: float64 [n].
        hits: float64 [n], what each adds to the true positives; 0 for a false positive.
    """

    label: int
    scores: np.ndarray
    hits: np.ndarray


def select_scored(detections: ImageDetections, truth: ScoredTruth, protocol: Protocol) -> ImageDetections:
    """Returns the detections that are scored: of verified classes, if the protocol says so, and with an area."""
    ymin, xmin, ymax, xmax = detections.boxes.T
    scored = (ymin < ymax) & (xmin < xmax) & (detections.scores > _LEAST_SCORE)
    if protocol.only_verified:
        scored &= np.isin(detections.labels, np.concatenate([truth.verified, truth.labels]))
    return detections.take(np.flatnonzero(scored))


def match_image(detections: ImageDetections, truth: ScoredTruth, protocol: Protocol) -> Iterator[ClassMatches]:
    """Yields the matches of each class that is detected.

    Args:
        detections: as `select_scored` returns them; with masks if masks are scored.
        truth: with a mask or None for each box if masks are scored.
        protocol: how group boxes count.
    """
    with_objects = set(truth.labels.tolist())
    by_label = np.argsort(detections.labels, kind="stable")
    starts = np.flatnonzero(np.diff(detections.labels[by_label], prepend=-1)).tolist()
    for start, end in itertools.pairwise([*starts, len(by_label)]):
        chosen = by_label[start:end]
        if end - start > 1:
            # Not stable: the official program breaks ties in this way.
            chosen = chosen[np.argsort(detections.scores[chosen])[::-1][:_MOST_PER_CLASS]]
        label = int(detections.labels[chosen[0]])
        if label in with_objects:
            own_truth = truth.take(np.flatnonzero(truth.labels == label))
            yield _match_class(label, detections.take(chosen), own_truth, protocol)
        else:
            yield ClassMatches(label, detections.scores[chosen], np.zeros(len(chosen)))


def _match_class(label: int, detections: ImageDetections, truth: ScoredTruth, protocol: Protocol) -> ClassMatches:
    stages = [truth.take(np.flatnonzero(~truth.has_mask))]
    if detections.masks:
        stages.insert(0, truth.take(np.flatnonzero(truth.has_mask)))
    is_hit = np.zeros(len(detections.scores), bool)
    is_ignored = np.zeros(len(detections.scores), bool)
    in_group = np.zeros(len(detections.scores), bool)
    group_scores = []
    for stage in stages:
        by_mask = bool(detections.masks) and bool(stage.has_mask.any())
        # Where masks are scored, a box without a mask is a region to ignore.
        to_ignore = bool(detections.masks) and not by_mask
        new_hits = _hit_objects(detections, stage.take(np.flatnonzero(~stage.is_group)), is_hit | in_group, by_mask)
        is_hit |= new_hits
        is_ignored |= new_hits & to_ignore
        group_of = _find_group(detections, stage.take(np.flatnonzero(stage.is_group)), is_hit | in_group, by_mask)
        in_group |= group_of >= 0
        groups = [] if to_ignore else np.unique(group_of[group_of >= 0]).tolist()
        group_scores += [detections.scores[group_of == group].max() for group in groups]
    counted = ~in_group & ~is_ignored
    # The official program counts no group whose best score is 0 or less.
    scored_groups = [score for score in group_scores if score > 0 and protocol.group_weight > 0]
    scores = np.concatenate([detections.scores[counted], scored_groups])
    hits = np.concatenate([is_hit[counted].astype(float), np.full(len(scored_groups), protocol.group_weight)])
    return ClassMatches(label, scores, hits)


def _hit_objects(
    detections: ImageDetections, objects: ScoredTruth, is_settled: np.ndarray, by_mask: bool
) -> np.ndarray:
    """Returns which detections, in descending order of scores, are the first on the object that each overlaps most."""
    hits = np.zeros(len(detections.scores), bool)
    if not len(objects.labels) or not len(detections.scores):
        return hits
    overlaps = (
        measure_iou(detections.masks, objects.present_masks) if by_mask else box_iou(detections.boxes, objects.boxes)
    )
    best = overlaps.argmax(axis=1)
    candidates = np.flatnonzero(~is_settled & (overlaps.max(axis=1) >= IOU_THRESHOLD))
    _, firsts = np.unique(best[candidates], return_index=True)
    hits[candidates[firsts]] = True
    return hits


def _find_group(detections: ImageDetections, groups: ScoredTruth, is_settled: np.ndarray, by_mask: bool) -> np.ndarray:
    """Returns the group box that each detection lies in, int64 [n]; -1 for none."""
    if not len(groups.labels) or not len(detections.scores):
        return np.full(len(detections.scores), -1)
    overlaps = (
        measure_ioa(detections.masks, groups.present_masks) if by_mask else box_ioa(detections.boxes, groups.boxes)
    )
    return np.where(~is_settled & (overlaps.max(axis=1) >= IOU_THRESHOLD), overlaps.argmax(axis=1), -1)


def box_iou(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns intersection over union of boxes (ymin, xmin, ymax, xmax), float64 [boxes, others]."""
    shared = _intersect(boxes, others)
    return shared / (_measure_areas(boxes)[:, None] + _measure_areas(others) - shared)


def box_ioa(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns intersection over the area of the box of `boxes`, float64 [boxes, others]."""
    return _intersect(boxes, others) / _measure_areas(boxes)[:, None]


def _measure_areas(boxes: np.ndarray) -> np.ndarray:
    areas: np.ndarray = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas


def _intersect(boxes: np.ndarray, others: np.ndarray) -> np.ndarray:
    top_left = np.maximum(boxes[:, None, :2], others[None, :, :2])
    bottom_right = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    sides: np.ndarray = np.maximum(0.0, bottom_right - top_left)
    return sides[..., 0] * sides[..., 1]
