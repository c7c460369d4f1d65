"""The checks a box row must pass."""

from collections.abc import Mapping

import numpy as np

from oi_tfrecord.openimages.schema import COORDINATES, FLAGS, NO_COLUMN, UNKNOWN
from oi_tfrecord.reasons import Reject


def find_bad_boxes(rows: np.ndarray) -> list[tuple[Reject, np.ndarray]]:
    """Finds the box rows that no reader could use.

    Args:
        rows: BOX_ROW array [n], coordinates as fractions of the image's side.

    Returns:
        (reason, indices into `rows`) for each reason that occurs; a row has one reason at most.
        The object detection API stops training at an inverted box and takes a zero-area one for
        real (core/box_list_ops.py `assert_or_prune_invalid_boxes`), so both are rejected here.
    """
    bad = []
    free = np.ones(len(rows), bool)
    in_range = np.ones(len(rows), bool)
    for name in COORDINATES:
        in_range &= (rows[name] >= 0) & (rows[name] <= 1)
    proper = (rows["xmin"] < rows["xmax"]) & (rows["ymin"] < rows["ymax"])
    known = np.ones(len(rows), bool)
    for name in FLAGS:
        known &= (rows[name] >= NO_COLUMN) & (rows[name] <= 1)
    for reason, passed in (
        (Reject.BOX_OUT_OF_RANGE, in_range),
        (Reject.DEGENERATE_BOX, proper),
        (Reject.BAD_FLAG, known),
    ):
        indices = np.flatnonzero(free & ~passed)
        if len(indices):
            bad.append((reason, indices))
            free[indices] = False
    return bad


def describe_box(row: np.void) -> str:
    """Returns the coordinates of a rejected box row, for the rejects file."""
    # str writes the fewest digits that identify a float32, so a value just above 1 does not look like 1.
    return ", ".join(f"{column}={row[name]!s}" for name, column in COORDINATES.items())


def describe_flags(values: Mapping[str, int]) -> str:
    """Returns the flags of a rejected box row that are no flag values, by column and as the file has them."""
    return ", ".join(f"{column}={value}" for column, value in values.items() if value not in (UNKNOWN, 0, 1))
