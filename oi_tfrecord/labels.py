"""The checks an image-level label row must pass."""

import numpy as np


def find_bad_confidence(rows: np.ndarray, verified: np.ndarray | bool = False) -> np.ndarray:
    """Finds rows whose confidence no reader could use.

    Args:
      rows: LABEL_ROW or BOX_ROW array [n].
      verified: bool array [n] or one bool: which rows are human labels. Those have 0 (verified absent) or 1
        (openimages/dataset READMEV3.md, "Image-level labels"); others have anything from 0.0 to 1.0. A human
        label in between is neither present nor absent: the API's tool for CSVs
        (oid_hierarchical_labels_expansion.py) stops at it, and its decoder expands only exact 0 and 1.

    Returns:
      Indices of the rows.
    """
    confidence = rows["confidence"]
    exact = (confidence == 0) | (confidence == 1)
    return np.flatnonzero(~(exact | ~np.asarray(verified) & (confidence >= 0) & (confidence <= 1)))
