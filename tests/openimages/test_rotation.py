from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from oi_tfrecord.openimages.rotation import ANGLES, NO_ANGLE, NOT_KNOWN, parse_rotations, turn_boxes
from oi_tfrecord.openimages.schema import BOX_ROW, COORDINATES

SIDES = st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)).filter(lambda pair: pair[0] != pair[1]).map(sorted)


def rows_of(*boxes: tuple[float, float, float, float]) -> np.ndarray:
    """Returns rows of (xmin, xmax, ymin, ymax), marked so that a mix-up of rows or fields shows."""
    rows = np.zeros(len(boxes), BOX_ROW)
    for name, values in zip(COORDINATES, zip(*boxes, strict=True), strict=True):
        rows[name] = values
    rows["label"] = rows["image_id"] = np.arange(len(boxes)) + 7
    return rows


def sides_of(rows: np.ndarray) -> list[tuple[float, ...]]:
    return [tuple(float(row[name]) for name in COORDINATES) for row in rows]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", NOT_KNOWN), ("nan", NOT_KNOWN), ("NaN", NOT_KNOWN),
        ("0", 0), ("0.0", 0), ("90.0", 90), ("90", 90), ("180.0", 180), ("270.0", 270), (" 270 ", 270),
        ("-0.0", 0), ("+90", 90), ("90.", 90), ("90.00", 90), ("9e1", 90), ("9_0", NO_ANGLE), ("inf", NO_ANGLE),
        ("45", NO_ANGLE), ("360.0", NO_ANGLE), ("-90", NO_ANGLE), ("left", NO_ANGLE), ("\xff", NO_ANGLE),
    ],
)  # fmt: skip
def test_values_of_the_rotation_column(text: str, value: int) -> None:
    assert parse_rotations(pa.array([b"90", text.encode("latin-1")], pa.binary())).tolist() == [90, value]


def test_no_rows() -> None:
    assert parse_rotations(pa.array([], pa.binary())).tolist() == []
    assert len(turn_boxes(np.zeros(0, BOX_ROW), np.zeros(0, np.int16))) == 0


def test_each_angle_by_hand() -> None:
    """A box at the upper right of a wide image: turned counter-clockwise by 90 it is at the upper left."""
    box = (0.75, 1.0, 0.0, 0.125)
    expected = {
        0: box, NOT_KNOWN: box, NO_ANGLE: box,
        90: (0.0, 0.125, 0.0, 0.25), 180: (0.0, 0.25, 0.875, 1.0), 270: (0.875, 1.0, 0.75, 1.0),
    }  # fmt: skip
    turned = turn_boxes(rows_of(*[box] * len(expected)), np.array(list(expected)))
    assert sides_of(turned) == list(expected.values())
    assert turned["label"].tolist() == [7 + n for n in range(len(expected))]


@given(st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=5), st.data())
def test_order_range_and_full_turns(boxes: list[Any], data: st.DataObject) -> None:
    rows = rows_of(*[tuple(side / 10**6 for side in (*xs, *ys)) for xs, ys in boxes])
    degrees = np.array(data.draw(st.lists(st.sampled_from(ANGLES), min_size=len(rows), max_size=len(rows))))
    before = rows.copy()
    turned = turn_boxes(rows, degrees)
    assert (rows == before).all()
    assert (turned["xmin"] < turned["xmax"]).all()
    assert (turned["ymin"] < turned["ymax"]).all()
    assert all((turned[name] >= 0).all() and (turned[name] <= 1).all() for name in COORDINATES)
    back = turn_boxes(turned, (360 - degrees) % 360)
    np.testing.assert_allclose(sides_of(back), sides_of(rows), atol=2e-7)
    two_steps = turn_boxes(turn_boxes(rows, np.full(len(rows), 90)), np.full(len(rows), 90))
    np.testing.assert_allclose(sides_of(two_steps), sides_of(turn_boxes(rows, np.full(len(rows), 180))), atol=2e-7)


@pytest.mark.parametrize("degrees", ANGLES)
def test_boxes_stay_on_what_they_show(degrees: int) -> None:
    """Pillow turns the picture, independently: each coloured block fills its turned box, and nothing beyond."""
    picture = Image.new("RGB", (80, 60), "black")
    blocks = {(0, 8, 0, 10): (255, 0, 0), (72, 80, 0, 6): (0, 255, 0), (0, 10, 55, 60): (0, 0, 255)}
    for (left, right, top, bottom), color in blocks.items():
        picture.paste(color, (left, top, right, bottom))
    rows = rows_of(*[(left / 80, right / 80, top / 60, bottom / 60) for left, right, top, bottom in blocks])
    turned = np.asarray(picture.rotate(degrees, expand=True))
    height, width = turned.shape[:2]
    assert (width, height) == ((80, 60) if degrees % 180 == 0 else (60, 80))
    for row, color in zip(turn_boxes(rows, np.full(len(rows), degrees)), blocks.values(), strict=True):
        sides = [
            round(float(row[name]) * side)
            for name, side in zip(COORDINATES, [width, width, height, height], strict=True)
        ]
        mask = (turned == color).all(axis=2)
        ys, xs = np.nonzero(mask)
        assert sides == [xs.min(), xs.max() + 1, ys.min(), ys.max() + 1]
