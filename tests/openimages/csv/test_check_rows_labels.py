import math

import numpy as np
import pytest

from oi_tfrecord.openimages.csv.check_rows import find_bad_confidence
from oi_tfrecord.openimages.schema import BOX_ROW, LABEL_ROW

ABOVE_ONE = float(np.nextafter(np.float32(1), np.float32(2)))
BELOW_ONE = float(np.nextafter(np.float32(1), np.float32(0)))
BELOW_ZERO = float(np.nextafter(np.float32(0), np.float32(-1)))


@pytest.mark.parametrize("row_type", [LABEL_ROW, BOX_ROW], ids=["labels", "boxes"])
def test_only_probabilities_pass(row_type: np.dtype) -> None:
    good = [0.0, -0.0, 1.0, 0.5, 1e-30]
    bad = [ABOVE_ONE, BELOW_ZERO, -1.0, 2.0, math.inf, -math.inf, math.nan]
    rows = np.zeros(len(good) + len(bad), row_type)
    rows["confidence"] = good + bad
    assert find_bad_confidence(rows).tolist() == list(range(len(good), len(rows)))


def test_no_row_is_no_fault() -> None:
    assert find_bad_confidence(np.zeros(0, LABEL_ROW)).tolist() == []


def test_a_human_label_is_present_or_absent() -> None:
    rows = np.zeros(6, LABEL_ROW)
    rows["confidence"] = [0.0, 1.0, 0.5, 1e-30, BELOW_ONE, math.nan]
    assert find_bad_confidence(rows, True).tolist() == [2, 3, 4, 5]
    assert find_bad_confidence(rows, np.array([True, True, False, True, False, False])).tolist() == [3, 5]
