import numpy as np

from oi_tfrecord.evaluation.detections import ImageDetections
from oi_tfrecord.evaluation.match import Protocol, box_ioa, box_iou, match_image, select_scored
from oi_tfrecord.evaluation.open_images import average_precision
from oi_tfrecord.evaluation.truth import ScoredTruth

WEIGHTED = Protocol("weighted", group_weight=1.0, only_verified=True)
IGNORING = Protocol("ignoring", group_weight=0.0, only_verified=False)
LEFT, RIGHT = [0.0, 0.0, 1.0, 0.5], [0.0, 0.5, 1.0, 1.0]


def find(*rows: tuple[int, float, list[float]]) -> ImageDetections:
    labels, scores, boxes = zip(*rows, strict=True)
    places = np.arange(len(rows))
    return ImageDetections(np.array(labels), np.array(scores), np.array(boxes), (), places)


def truth(*rows: tuple[int, list[float], bool], verified: tuple[int, ...] = ()) -> ScoredTruth:
    labels, boxes, groups = zip(*rows, strict=True)
    none = (None,) * len(rows)
    return ScoredTruth(np.array(boxes), np.array(labels), np.array(groups), none, np.array(verified, np.int64))


def test_overlaps_of_boxes() -> None:
    whole = np.array([[0.0, 0.0, 1.0, 1.0]])
    halves = np.array([LEFT, RIGHT])
    assert box_iou(whole, halves).tolist() == [[0.5, 0.5]]
    assert box_ioa(halves, whole).tolist() == [[1.0], [1.0]]
    assert box_iou(halves, halves).tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_the_second_detection_of_an_object_is_a_false_positive() -> None:
    found = find((1, 0.4, LEFT), (1, 0.9, LEFT), (2, 0.5, LEFT))
    first, second = match_image(found, truth((1, LEFT, False)), IGNORING)
    assert (first.label, first.scores.tolist(), first.hits.tolist()) == (1, [0.9, 0.4], [1, 0])
    assert (second.label, second.scores.tolist(), second.hits.tolist()) == (2, [0.5], [0])


def test_a_group_counts_once_by_its_best_score_or_not_at_all() -> None:
    found = find((1, 0.4, LEFT), (1, 0.9, LEFT), (1, 0.1, RIGHT))
    groups = truth((1, LEFT, True))
    [weighted] = match_image(found, groups, WEIGHTED)
    assert (weighted.scores.tolist(), weighted.hits.tolist()) == ([0.1, 0.9], [0, 1])
    [ignoring] = match_image(found, groups, IGNORING)
    assert (ignoring.scores.tolist(), ignoring.hits.tolist()) == ([0.1], [0])


def test_detections_of_other_classes_and_without_area_are_left_out() -> None:
    found = find((1, 0.4, LEFT), (2, 0.9, LEFT), (3, 0.1, RIGHT), (1, 0.2, [0.5, 0.5, 0.5, 0.9]))
    boxes = truth((1, LEFT, False), verified=(3,))
    assert select_scored(found, boxes, WEIGHTED).labels.tolist() == [1, 3]
    assert select_scored(found, boxes, IGNORING).labels.tolist() == [1, 2, 3]


def test_average_precision_is_the_area_under_the_monotonous_curve() -> None:
    # Precision 1, 1/2, 2/3 at recall 1/4, 1/4, 1/2; the second is raised to 2/3.
    precision = average_precision(np.array([0.9, 0.8, 0.7]), np.array([1.0, 0.0, 1.0]), objects=4)
    assert precision == 1 / 4 + 2 / 3 / 4
    assert average_precision(np.zeros(0), np.zeros(0), objects=4) == 0
