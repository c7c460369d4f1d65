import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord.join.pair_masks import TOLERANCE, find_repeated, match_masks
from oi_tfrecord.openimages.csv.check_rows import base_names, find_bad_paths
from oi_tfrecord.openimages.schema import BOX_ROW, COORDINATES, MASK_ROW

# Steps well within and well beyond the tolerance, at both ends of the range, where windows might reach over.
SIDE = st.sampled_from([0.0, 4e-7, 3e-6, 0.25, 0.2500004, 0.250003, 0.999997, 1.0])
ROW = st.tuples(st.integers(0, 2), st.sampled_from([0, 1, 65535]), SIDE, SIDE, SIDE, SIDE)


def rows_of(values: list[tuple], row_type: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """Returns rows and the image of each, in the order of the images."""
    values = sorted(values, key=lambda value: value[0])
    rows = np.zeros(len(values), row_type)
    rows["label"] = [value[1] for value in values]
    for place, name in enumerate(COORDINATES):
        rows[name] = [value[2 + place] for value in values]
    return rows, np.array([value[0] for value in values], np.int64)


@settings(max_examples=300, deadline=None)
@given(st.lists(ROW, max_size=25), st.lists(ROW, max_size=25))
def test_as_many_masks_get_a_fitting_box_as_greedy_row_by_row(boxes: list[tuple], masks: list[tuple]) -> None:
    box_rows, box_image = rows_of(boxes, BOX_ROW)
    mask_rows, mask_image = rows_of(masks, MASK_ROW)
    box_of, is_second = match_masks(box_rows, box_image, mask_rows, mask_image)
    pairs = []
    for mask in range(len(masks)):
        for box in range(len(boxes)):
            if (mask_image[mask], mask_rows["label"][mask]) != (box_image[box], box_rows["label"][box]):
                continue
            apart = max(abs(float(mask_rows[name][mask]) - float(box_rows[name][box])) for name in COORDINATES)
            if apart <= 1.5 * TOLERANCE:
                pairs.append((apart, mask, box))
    expected: dict[int, int] = {}
    for _, mask, box in sorted(pairs):
        if mask not in expected and box not in expected.values():
            expected[mask] = box
    assert {mask: box for mask, box in enumerate(box_of.tolist()) if box >= 0} == expected
    candidates = {mask for _, mask, _ in pairs}
    assert set(np.flatnonzero(is_second).tolist()) == candidates - expected.keys()


def test_all_pairs_of_a_large_shard() -> None:
    chosen = np.random.default_rng(1)
    boxes = np.zeros(50_000, BOX_ROW)
    image = np.sort(chosen.integers(0, 4000, len(boxes)))
    boxes["label"] = chosen.integers(0, 3, len(boxes))
    for name in COORDINATES:
        boxes[name] = np.where(chosen.random(len(boxes)) < 0.3, 0.0, chosen.random(len(boxes)))
    order = chosen.permutation(len(boxes))
    masks = np.zeros(len(boxes), MASK_ROW)
    for name in ("label", *COORDINATES):
        masks[name] = boxes[name][order]
    for name in COORDINATES:
        masks[name] = np.round(masks[name].astype(np.float64), 6)
    box_of, is_second = match_masks(boxes, image, masks, image[order])
    assert not is_second.any()
    # Several boxes of an image that lie at all its sides are equal.
    same = box_of == order
    assert np.count_nonzero(same) > 0.95 * len(boxes)
    for name in ("label", *COORDINATES):
        assert np.abs(boxes[name][box_of].astype(float) - boxes[name][order]).max() <= 2e-6
    assert sorted(box_of.tolist()) == list(range(len(boxes)))


def test_nan_matches_nothing() -> None:
    boxes, box_image = rows_of([(0, 0, 0.1, 0.2, 0.1, 0.2)], BOX_ROW)
    masks, mask_image = rows_of([(0, 0, 0.1, 0.2, 0.1, float("nan"))], MASK_ROW)
    box_of, is_second = match_masks(boxes, box_image, masks, mask_image)
    assert box_of.tolist() == [-1]
    assert not is_second.any()


@given(st.lists(st.sampled_from([b"", b"a", b"b", b"\xff", b"c"]), max_size=12))
def test_repeated_values(values: list[bytes]) -> None:
    expected = [index for index, value in enumerate(values) if value in values[:index]]
    assert find_repeated(pa.array(values, pa.binary())).tolist() == expected


def test_paths_that_leave_the_folder_are_bad() -> None:
    bad = [b"", b"/etc/passwd", b"..", b"../x.png", b"a/../../x.png", b"a/.."]
    good = [b"x.png", b"a/x.png", b"..x.png", b"a..b/x.png", b"x../y.png", b"\xff.png"]
    assert find_bad_paths(pa.array(bad + good, pa.binary())).tolist() == list(range(len(bad)))


def test_base_names() -> None:
    paths = pa.array([b"x.png", b"a/b/x.png", b"\xff/y.png"], pa.binary())
    assert base_names(paths).to_pylist() == [b"x.png", b"x.png", b"y.png"]
