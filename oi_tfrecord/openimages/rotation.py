"""The Rotation column of V4 and later: reads its values, and turns boxes by them.

"0, 90, 180, and 270, which refer to the degrees (counterclockwise) that the image and boxes should be
rotated"; an image that was no longer on Flickr has none
(https://storage.googleapis.com/openimages/web/2018-05-17-rotation-information.html).
"""

import numpy as np
import pyarrow as pa

from oi_tfrecord.openimages.csv.row_faults import is_number
from oi_tfrecord.openimages.schema import COORDINATES

ROTATION_COLUMN = "Rotation"

ANGLES = (0, 90, 180, 270)

NOT_KNOWN = -1
"""The column has no value for the image."""

NO_ANGLE = -2
"""The column has a value that is not one of ANGLES."""


def parse_rotations(texts: pa.Array) -> np.ndarray:
    """Reads the values of the Rotation column, `90`, `90.0` and the like.

    Args:
        texts: binary array [n].

    Returns:
        int16 array [n] of ANGLES, NOT_KNOWN or NO_ANGLE.
    """
    encoded = texts.dictionary_encode()
    values = [_parse_rotation(value.strip()) for value in encoded.dictionary.to_pylist()]
    return np.array(values, np.int16)[encoded.indices.to_numpy(zero_copy_only=False)]


def _parse_rotation(text: bytes) -> int:
    if text.lower() in (b"", b"nan"):
        return NOT_KNOWN
    degrees = float(text) if is_number(text) else NO_ANGLE
    return int(degrees) if degrees in ANGLES else NO_ANGLE


def turn_boxes(rows: np.ndarray, degrees: np.ndarray) -> np.ndarray:
    """Turns boxes as their images are turned.

    Args:
        rows: BOX_ROW array [n]; xmin, xmax, ymin, ymax are fractions of the width and height of the
            stored image, origin top left, x to the right and y down.
        degrees: int array [n], counter-clockwise; values other than 90, 180 and 270 turn nothing.

    Returns:
        BOX_ROW array [n] with fractions of the turned image's sides; xmin <= xmax and ymin <= ymax
        hold wherever they held before.
    """
    turned = rows.copy()
    xmin, xmax, ymin, ymax = (rows[name] for name in COORDINATES)
    one = np.float32(1)
    for angle, sides in (
        # The right side becomes the top, the top side becomes the left.
        (90, (ymin, ymax, one - xmax, one - xmin)),
        (180, (one - xmax, one - xmin, one - ymax, one - ymin)),
        (270, (one - ymax, one - ymin, xmin, xmax)),
    ):
        has_angle = degrees == angle
        for name, side in zip(COORDINATES, sides, strict=True):
            turned[name][has_angle] = side[has_angle]
    return turned
