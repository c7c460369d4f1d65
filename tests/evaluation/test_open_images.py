import tracemalloc

import numpy as np

from oi_tfrecord.evaluation.detections import ImageDetections
from oi_tfrecord.evaluation.open_images import PROTOCOLS, OpenImagesScore
from oi_tfrecord.evaluation.truth import ScoredTruth

BOX = np.array([[0.0, 0.0, 1.0, 1.0]])


def add_images(score: OpenImagesScore, count: int, scores: tuple[float, ...] = ()) -> None:
    found = ImageDetections(
        np.ones(len(scores), np.int64),
        np.array(scores),
        np.repeat(BOX, len(scores), axis=0),
        (),
        np.arange(len(scores)),
    )
    truth = ScoredTruth(BOX, np.array([1]), np.array([False]), (None,), np.zeros(0, np.int64))
    for rank in range(count):
        score.add(rank, found, truth)


def test_the_mean_is_over_classes_with_an_object() -> None:
    score = OpenImagesScore(PROTOCOLS["oid_challenge"], with_masks=False)
    add_images(score, 2, scores=(0.9, 0.5))
    # The first of both images is a hit, the second a false positive: both objects are found before a false positive.
    assert score.average_precisions() == {1: 1.0}
    add_images(score, 2)
    assert score.average_precisions() == {1: 0.5}
    assert score.objects() == {1: 4.0}


def test_images_without_a_detection_take_no_memory() -> None:
    score = OpenImagesScore(PROTOCOLS["oid_V2"], with_masks=False)
    add_images(score, 50)
    tracemalloc.start()
    try:
        add_images(score, 2_000)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 10_000, "5 bytes for an image would be more"
    assert score.objects() == {1: 2_050.0}
