import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.openimages.csv.check_boxes import describe_box, describe_flags, find_bad_boxes
from oi_tfrecord.openimages.schema import BOX_ROW, COORDINATES, FLAGS, NO_COLUMN, UNKNOWN
from oi_tfrecord.reasons import Reject

ABOVE_ONE = float(np.nextafter(np.float32(1), np.float32(2)))
BELOW_ZERO = float(np.nextafter(np.float32(0), np.float32(-1)))

Box = dict[str, Any]
GOOD: Box = {"xmin": 0.25, "xmax": 0.75, "ymin": 0.125, "ymax": 0.5} | dict.fromkeys(FLAGS, 0)


def rows_of(boxes: list[Box]) -> np.ndarray:
    rows = np.zeros(len(boxes), BOX_ROW)
    for name in (*COORDINATES, *FLAGS):
        rows[name] = [box[name] for box in boxes]
    return rows


def reason_of(box: Box) -> Reject | None:
    """Why a box is rejected, judged from the box alone."""
    if not all(0 <= box[name] <= 1 for name in COORDINATES):
        return Reject.BOX_OUT_OF_RANGE
    if box["xmin"] >= box["xmax"] or box["ymin"] >= box["ymax"]:
        return Reject.DEGENERATE_BOX
    if not all(box[name] in (NO_COLUMN, UNKNOWN, 0, 1) for name in FLAGS):
        return Reject.BAD_FLAG
    return None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"xmin": 0.0, "xmax": 1.0, "ymin": 0.0, "ymax": 1.0}, None),
        ({"xmin": -0.0}, None),
        ({"xmin": 0.5, "xmax": float(np.nextafter(np.float32(0.5), np.float32(1)))}, None),
        ({"xmin": BELOW_ZERO}, Reject.BOX_OUT_OF_RANGE),
        ({"ymin": -1.0}, Reject.BOX_OUT_OF_RANGE),
        ({"xmax": ABOVE_ONE}, Reject.BOX_OUT_OF_RANGE),
        ({"ymax": 640.0}, Reject.BOX_OUT_OF_RANGE),
        ({"ymax": math.inf}, Reject.BOX_OUT_OF_RANGE),
        *(({name: math.nan}, Reject.BOX_OUT_OF_RANGE) for name in COORDINATES),
        ({"xmin": 0.75, "xmax": 0.25}, Reject.DEGENERATE_BOX),
        ({"ymin": 0.5, "ymax": 0.125}, Reject.DEGENERATE_BOX),
        ({"xmin": 0.75}, Reject.DEGENERATE_BOX),
        ({"ymin": 0.5}, Reject.DEGENERATE_BOX),
        *(({name: value}, None) for name in FLAGS for value in (NO_COLUMN, UNKNOWN, 1)),
        *(({name: value}, Reject.BAD_FLAG) for name in FLAGS for value in (2, 127, NO_COLUMN - 1, -128)),
    ],
)
def test_each_fault_has_its_reason(change: Box, reason: Reject | None) -> None:
    box = GOOD | change
    assert reason_of(box) is reason
    found = find_bad_boxes(rows_of([GOOD, box, GOOD]))
    assert [(name, indices.tolist()) for name, indices in found] == ([(reason, [1])] if reason else [])


COORDINATE = st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]) | st.floats(width=32)
BOXES = st.fixed_dictionaries(dict.fromkeys(COORDINATES, COORDINATE) | {name: st.integers(-4, 3) for name in FLAGS})


@given(boxes=st.lists(BOXES, max_size=12))
def test_every_bad_box_is_found_once(boxes: list[Box]) -> None:
    found = [(int(index), reason) for reason, indices in find_bad_boxes(rows_of(boxes)) for index in indices]
    expected = [(index, reason) for index, box in enumerate(boxes) if (reason := reason_of(box))]
    assert sorted(found) == sorted(expected)


def test_a_bad_flag_is_named_and_no_other() -> None:
    flags = {"IsOccluded": 3, "IsTruncated": UNKNOWN, "IsGroupOf": 1, "IsDepiction": NO_COLUMN, "IsInside": 0}
    assert describe_flags(flags) == f"IsOccluded=3, IsDepiction={NO_COLUMN}"


def test_coordinates_are_described_as_the_file_has_them() -> None:
    [row] = rows_of([GOOD | {"xmin": 0.951487, "xmax": 0.1, "ymin": 1e-06}])
    assert describe_box(row) == "XMin=0.951487, XMax=0.1, YMin=1e-06, YMax=0.5"


def test_a_coordinate_just_out_of_range_does_not_look_right() -> None:
    [row] = rows_of([GOOD | {"xmax": ABOVE_ONE}])
    described = dict(part.split("=") for part in describe_box(row).split(", "))
    assert float(described["XMax"]) > 1
