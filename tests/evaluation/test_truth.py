import numpy as np

from oi_tfrecord.dataset.ground_truth import GroundTruth
from oi_tfrecord.evaluation.detections import ImageDetections
from oi_tfrecord.evaluation.truth import ClassRelatives, expand_detections, expand_truth, to_scored
from oi_tfrecord.images.mask_png import empty_mask

# 3 is below 2, and 2 below 1.
RELATIVES = ClassRelatives({3: (1, 2), 2: (1,)}, {1: (2, 3), 2: (3,)})
BOXES = np.array([[0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 0.5]])


def make_truth(masks: tuple[bytes, ...] = ()) -> GroundTruth:
    labels, groups = np.array([3, 1]), np.array([True, False])
    verified, confidences = np.array([2, 2]), np.array([1.0, 0.0], np.float32)
    return GroundTruth("x", ("x",), 4, 4, BOXES, labels, groups, masks, verified, confidences)


def test_boxes_go_up_and_absent_classes_go_down() -> None:
    expanded = expand_truth(make_truth(), RELATIVES)
    assert expanded.labels.tolist() == [3, 1, 2, 1]
    assert expanded.boxes.tolist() == [*[BOXES[0].tolist()] * 3, BOXES[1].tolist()]
    assert expanded.is_group.tolist() == [True, True, True, False]
    # Present: 2 and 1 above. Absent: 2 and 3 below.
    assert expanded.verified.tolist() == [2, 1, 2, 3]


def test_detections_go_up() -> None:
    found = ImageDetections(np.array([2, 1]), np.array([0.5, 0.25]), BOXES, (), np.array([7, 8]))
    expanded = expand_detections(found, RELATIVES)
    assert expanded.labels.tolist() == [2, 1, 1]
    assert expanded.scores.tolist() == [0.5, 0.5, 0.25]
    assert expanded.places.tolist() == [7, 7, 8]


def test_a_mask_without_a_pixel_is_none() -> None:
    truth = make_truth((empty_mask(4, 4), b""))
    assert to_scored(truth, with_masks=True).masks == (None, None)
    assert to_scored(truth, with_masks=True).has_mask.tolist() == [False, False]
