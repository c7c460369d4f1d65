"""The ground truth that a protocol scores: expanded by the hierarchy, with the masks that are not empty."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from oi_tfrecord.dataset.ground_truth import GroundTruth
from oi_tfrecord.evaluation.detections import ImageDetections
from oi_tfrecord.images.mask_rle import MaskRle, encode_png, measure_areas
from oi_tfrecord.openimages.hierarchy import Hierarchy
from oi_tfrecord.records.label_map import LabelMap, with_relatives


@dataclasses.dataclass(frozen=True)
class ScoredTruth:
    """The ground truth of an image.

    Attributes:
        boxes: float64 [n, 4] (ymin, xmin, ymax, xmax), normalised.
        labels: int64 [n], label map ids.
        is_group: bool [n].
        masks: mask of each box, None for a box without one.
        verified: int64 [k], label map ids of the classes that people verified as present or absent.
    """

    boxes: np.ndarray
    labels: np.ndarray
    is_group: np.ndarray
    masks: tuple[MaskRle | None, ...]
    verified: np.ndarray

    @property
    def has_mask(self) -> np.ndarray:
        """Whether each box has a mask, bool [n]."""
        return np.array([mask is not None for mask in self.masks], bool)

    @property
    def present_masks(self) -> tuple[MaskRle, ...]:
        """The masks of the boxes that have one."""
        return tuple(mask for mask in self.masks if mask is not None)

    def take(self, chosen: np.ndarray) -> "ScoredTruth":
        """Returns the boxes at indices (int [m]), in their order, with the verified classes of the image."""
        masks = tuple(self.masks[place] for place in chosen)
        return ScoredTruth(self.boxes[chosen], self.labels[chosen], self.is_group[chosen], masks, self.verified)


def to_scored(truth: GroundTruth, with_masks: bool) -> ScoredTruth:
    """Returns the ground truth of a record.

    Args:
        truth: of the record.
        with_masks: whether masks are scored; a mask without a pixel is none.
    """
    masks: tuple[MaskRle | None, ...] = (None,) * len(truth.labels)
    if with_masks and truth.masks:
        masks = tuple(map(_read_mask, truth.masks))
    return ScoredTruth(truth.boxes, truth.labels, truth.is_group, masks, truth.verified)


def _read_mask(png: bytes) -> MaskRle | None:
    mask = encode_png(png) if png else None
    return None if mask is None or not measure_areas([mask])[0] else mask


@dataclasses.dataclass(frozen=True)
class ClassRelatives:
    """The relatives of each class by label map id, those outside the label map left out.

    Attributes:
        ancestors: id to the ids of all classes above.
        descendants: id to the ids of all classes below.
    """

    ancestors: Mapping[int, Sequence[int]]
    descendants: Mapping[int, Sequence[int]]

    @classmethod
    def of(cls, hierarchy: Hierarchy, label_map: LabelMap) -> "ClassRelatives":
        """Returns the relatives by a hierarchy."""
        items = with_relatives(label_map, hierarchy).items
        return cls({item.id: item.ancestor_ids for item in items}, {item.id: item.descendant_ids for item in items})


def expand_truth(truth: GroundTruth, relatives: ClassRelatives) -> GroundTruth:
    """Adds a copy of each box for each ancestor, ancestors of classes present and descendants of classes absent.

    Source: dataset_tools/oid_hierarchical_labels_expansion.py of the Object Detection API, which keeps equal boxes.
    """
    boxes, labels = _repeat_by_ancestors(truth.labels, relatives)
    verified = [
        relative
        for label, confidence in zip(truth.verified.tolist(), truth.confidences.tolist(), strict=True)
        for relative in (label, *(relatives.ancestors if confidence else relatives.descendants).get(label, ()))
    ]
    return dataclasses.replace(
        truth,
        boxes=truth.boxes[boxes],
        labels=labels,
        is_group=truth.is_group[boxes],
        masks=tuple(truth.masks[place] for place in boxes) if truth.masks else (),
        verified=np.array(verified, np.int64),
        confidences=np.ones(len(verified), np.float32),
    )


def expand_detections(detections: ImageDetections, relatives: ClassRelatives) -> ImageDetections:
    """Adds a copy of each detection for each ancestor of its class."""
    places, labels = _repeat_by_ancestors(detections.labels, relatives)
    return dataclasses.replace(detections.take(places), labels=labels)


def _repeat_by_ancestors(labels: np.ndarray, relatives: ClassRelatives) -> tuple[np.ndarray, np.ndarray]:
    """Returns the index of the origin of each row, and its label: the row itself, then its ancestors."""
    lists = [(label, *relatives.ancestors.get(label, ())) for label in labels.tolist()]
    places = np.repeat(np.arange(len(lists)), [len(own) for own in lists]) if lists else np.zeros(0, np.int64)
    return places, np.array([label for own in lists for label in own], np.int64)
