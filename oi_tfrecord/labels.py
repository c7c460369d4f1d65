"""The checks an image-level label row must pass."""

import numpy as np


def find_bad_confidence(rows: np.ndarray) -> np.ndarray:
    """Finds rows whose confidence is not a probability.

    Args:
      rows: LABEL_ROW or BOX_ROW array [n]. Human labels have 0 (verified absent) or 1, machine
        labels anything from 0.0 to 1.0 (openimages/dataset READMEV3.md, "Image-level labels").

    Returns:
      Indices of the rows whose confidence is not within [0, 1].
    """
    return np.flatnonzero(~((rows["confidence"] >= 0) & (rows["confidence"] <= 1)))
