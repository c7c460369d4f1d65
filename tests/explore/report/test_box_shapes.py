import numpy as np

from oi_tfrecord.explore.report.box_shapes import PLACE_BINS, count_places, count_shapes


def test_boxes_are_counted_over_the_cells_that_they_cover() -> None:
    # (xmin, ymin, xmax, ymax): the left half, the lower right corner, a box that is partly outside, and two outside.
    corners = [(0, 0, 0.5, 1), (0.99, 0.99, 1, 1), (-5, -5, 0.01, 0.01), (2, 2, 3, 3), (-2, 0, -1, 1)]
    places = count_places(np.array(corners, np.float64).T)
    half = PLACE_BINS // 2
    assert places[1:, :half].tolist() == [[1] * half] * (PLACE_BINS - 1)
    assert places[0, 0] == 2
    assert places[-1, -1] == 1
    assert places.sum() == PLACE_BINS * half + 2


def test_boxes_without_an_area_are_counted_apart() -> None:
    whole, flat, wrong = [640, 480, 640, 480, 0, 0, 1, 1], [640, 0, 640, 480, 0, 1, 1, 1], [np.nan] * 8
    shapes = count_shapes(np.array([whole, flat, wrong], np.float64))
    assert shapes.degenerate == 2
    assert [int(counts.sum()) for counts in (shapes.sides, shapes.aspects, shapes.both, shapes.areas)] == [1] * 4
    assert shapes.places.tolist() == [[1] * PLACE_BINS] * PLACE_BINS


def test_no_boxes_have_empty_histograms() -> None:
    shapes = count_shapes(np.zeros((0, 8)))
    assert [int(counts.sum()) for counts in (shapes.sides, shapes.both, shapes.places, shapes.areas)] == [0] * 4
