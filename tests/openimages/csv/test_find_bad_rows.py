import math

import numpy as np
import pyarrow as pa
import pytest

from oi_tfrecord.openimages.csv.find_bad_rows import find_bad_confidence, find_bad_paths
from oi_tfrecord.openimages.schema import BOX_ROW, LABEL_ROW


def test_paths_that_leave_the_folder_are_bad() -> None:
    bad = [b"", b"/etc/passwd", b"..", b"../x.png", b"a/../../x.png", b"a/.."]
    good = [b"x.png", b"a/x.png", b"..x.png", b"a..b/x.png", b"x../y.png", b"\xff.png"]
    assert find_bad_paths(pa.array(bad + good, pa.binary())).tolist() == list(range(len(bad)))


ABOVE_ONE = float(np.nextafter(np.float32(1), np.float32(2)))
BELOW_ONE = float(np.nextafter(np.float32(1), np.float32(0)))
BELOW_ZERO = float(np.nextafter(np.float32(0), np.float32(-1)))


@pytest.mark.parametrize("row_type", [LABEL_ROW, BOX_ROW], ids=["labels", "boxes"])
def test_only_probabilities_pass(row_type: np.dtype) -> None:
    good = [0.0, -0.0, 1.0, 0.5, 1e-30]
    bad = [ABOVE_ONE, BELOW_ZERO, -1.0, 2.0, math.inf, -math.inf, math.nan]
    rows = np.zeros(len(good) + len(bad), row_type)
    rows["confidence"] = good + bad
    assert find_bad_confidence(rows, np.zeros(len(rows), bool)).tolist() == list(range(len(good), len(rows)))


def test_no_row_is_no_fault() -> None:
    assert find_bad_confidence(np.zeros(0, LABEL_ROW), np.zeros(0, bool)).tolist() == []


def test_a_human_label_is_present_or_absent() -> None:
    rows = np.zeros(6, LABEL_ROW)
    rows["confidence"] = [0.0, 1.0, 0.5, 1e-30, BELOW_ONE, math.nan]
    assert find_bad_confidence(rows, np.ones(len(rows), bool)).tolist() == [2, 3, 4, 5]
    assert find_bad_confidence(rows, np.array([True, True, False, True, False, False])).tolist() == [3, 5]
