"""Histograms of the sizes, aspects and places of boxes; the counts of parts add up."""

import dataclasses

import numpy as np

SIDE_BINS = 50
"""Bins of the square root of the share of its image's area that a box has, from 0 to 1."""

ASPECT_BINS = 40

ASPECT_LOG2 = 5.0
"""Bins of log2(width / height) of a box in pixels, from -5 (1:32) to 5; the end bins hold all beyond."""

SHAPE_BINS = (25, 20)
"""Bins of the size of a box, as SIDE_BINS, by bins of its aspect, as ASPECT_BINS."""

PLACE_BINS = 32
"""Cells across and down an image, for the places of boxes."""

COCO_AREAS = (32**2, 96**2)
"""Pixels from which a box is medium, and large. Source: cocodataset.org, "Metrics"."""


@dataclasses.dataclass(frozen=True)
class BoxShapes:
    """Counts over boxes.

    Attributes:
        degenerate: number of boxes without area, which are in no histogram.
        sides: int64 [SIDE_BINS], by sqrt(area of the box / area of the image).
        aspects: int64 [ASPECT_BINS], by log2(width / height) in pixels.
        both: int64 [SHAPE_BINS], by both.
        places: int64 [PLACE_BINS rows, PLACE_BINS columns], boxes over each cell of an image.
        areas: int64 [3]: small, medium and large boxes by COCO_AREAS.
    """

    degenerate: int
    sides: np.ndarray
    aspects: np.ndarray
    both: np.ndarray
    places: np.ndarray
    areas: np.ndarray


def zeros(*bins: int) -> np.ndarray:
    """Returns counts of an empty histogram."""
    return np.zeros(bins, np.int64)


def count_shapes(boxes: np.ndarray) -> BoxShapes:
    """Counts boxes by size, aspect and place.

    Args:
        boxes: float64 [boxes, 8]: (width, height, image width, image height) in pixels, and (xmin, ymin, xmax, ymax) as
            fractions of the sides of the image.
    """
    with np.errstate(invalid="ignore"):
        proper = np.all(np.isfinite(boxes), axis=1) & np.all(boxes[:, :4] > 0, axis=1)
    width, height, image_width, image_height, *corners = boxes[proper].T
    area = width * height
    side = np.clip(np.sqrt(area / (image_width * image_height)), 0, 1)
    limit = np.nextafter(ASPECT_LOG2, 0)
    aspect = np.clip(np.log2(width / height), -limit, limit)
    ranges = ((0, 1), (-ASPECT_LOG2, ASPECT_LOG2))
    return BoxShapes(
        degenerate=int(np.count_nonzero(~proper)),
        sides=np.histogram(side, SIDE_BINS, ranges[0])[0],
        aspects=np.histogram(aspect, ASPECT_BINS, ranges[1])[0],
        both=np.histogram2d(side, aspect, SHAPE_BINS, ranges)[0].astype(np.int64),
        places=count_places(np.array(corners)),
        areas=np.bincount(np.digitize(area, COCO_AREAS), minlength=len(COCO_AREAS) + 1),
    )


def count_places(corners: np.ndarray) -> np.ndarray:
    """Counts the boxes over each cell of an image.

    Args:
        corners: float64 [4, boxes]: xmin, ymin, xmax, ymax as fractions of the sides of the image.

    Returns:
        int64 [PLACE_BINS rows, PLACE_BINS columns].
    """
    clipped = np.clip(corners, 0, 1)
    is_inside = (clipped[2] > clipped[0]) & (clipped[3] > clipped[1])
    scaled = clipped[:, is_inside] * PLACE_BINS
    left, top = np.minimum(np.floor(scaled[:2]), PLACE_BINS - 1).astype(np.int64)
    right, bottom = np.ceil(scaled[2:]).astype(np.int64)
    # Sums of the differences at the corners of a box are 1 in the box and 0 elsewhere.
    steps = np.zeros((PLACE_BINS + 1, PLACE_BINS + 1), np.int64)
    for rows, columns, step in ((top, left, 1), (top, right, -1), (bottom, left, -1), (bottom, right, 1)):
        np.add.at(steps, (rows, columns), step)
    return steps.cumsum(0).cumsum(1)[:PLACE_BINS, :PLACE_BINS]
