from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord.join.join_account import DroppedRows, JoinAccount
from oi_tfrecord.join.pair_masks import TOLERANCE, MaskPairs, MaskRules, locate_masks, match_masks, pair_masks
from oi_tfrecord.join.shard_rows import RowsByImage, ShardRows
from oi_tfrecord.openimages.schema import (
    BOX_ROW,
    COORDINATES,
    FILE_NAME,
    IMAGE_FILE_ROW,
    MASK_PATH,
    MASK_ROW,
    RangeKey,
    Table,
)
from oi_tfrecord.reasons import Drop, Reject
from oi_tfrecord.settings.allowed_values import BoxesWithoutMask

BOX_IMAGES = np.array([0, 0, 1])
MASK_IMAGES = np.array([1, 0, 0, 1])


def shard_rows(table: Table, sides: list[float], texts: dict[str, list[bytes]], row_type: np.dtype) -> ShardRows:
    rows = np.zeros(len(sides), row_type)
    rows["image_id"] = rows["line"] = np.arange(len(sides))
    for name in COORDINATES:
        if name in (row_type.names or ()):
            rows[name] = sides
    arrays: dict[str, pa.Array] = {name: pa.array(values, pa.binary()) for name, values in texts.items()}
    return ShardRows(rows, (), (RangeKey(table, 0, 0), RangeKey(table, 3, 0)), np.arange(len(sides)) % 2, arrays)


def pairs_of(**rules: Any) -> tuple[MaskPairs, JoinAccount]:
    boxes = shard_rows(Table.BOXES, [0.1, 0.2, 0.3], {}, BOX_ROW)
    paths = [b"of 2.png", b"of none.png", b"a/of 1.png", b"of 2 again.png"]
    masks = shard_rows(Table.MASKS, [0.3, 0.5, 0.2, 0.3], {MASK_PATH: paths}, MASK_ROW)
    return pair_masks(MaskRules(**rules), RowsByImage(boxes, BOX_IMAGES), RowsByImage(masks, MASK_IMAGES))


def paths_of(pairs: MaskPairs, boxes: slice) -> list[bytes]:
    """Returns the path of the mask of each box."""
    return pairs.masks.table.text_columns[MASK_PATH].take(pa.array(pairs.mask_of[boxes])).to_pylist()


def test_boxes_without_a_mask_are_left_out() -> None:
    pairs, account = pairs_of()
    assert pairs.boxes.table.rows["line"].tolist() == [1, 2]
    assert pairs.boxes.image_of.tolist() == [0, 1]
    assert DroppedRows(Table.BOXES, Drop.NO_MASK, 1) in account.dropped
    assert paths_of(pairs, slice(None)) == [b"a/of 1.png", b"of 2.png"]


def test_boxes_without_a_mask_are_kept() -> None:
    pairs, account = pairs_of(boxes_without_mask=BoxesWithoutMask.EMPTY)
    assert pairs.mask_of[0] == -1
    assert paths_of(pairs, slice(1, None)) == [b"a/of 1.png", b"of 2.png"]
    assert not any(rows.count for rows in account.dropped)


def test_masks_without_a_box_are_faults_unless_boxes_were_filtered() -> None:
    _, account = pairs_of()
    assert [(fault.line, fault.reason) for fault in account.faults] == [
        (3, Reject.DUPLICATE),
        (1, Reject.MASK_WITHOUT_BOX),
    ]
    assert account.dropped_by_table(Table)[Table.MASKS] == {}
    _, filtered = pairs_of(boxes_filtered=True)
    assert [fault.reason for fault in filtered.faults] == [Reject.DUPLICATE]
    assert filtered.dropped_by_table(Table)[Table.MASKS] == {Drop.BOX_LEFT_OUT: 1}


def test_no_rows_give_no_pairs() -> None:
    pairs, account = pair_masks(
        MaskRules(), RowsByImage.empty(Table.BOXES), RowsByImage.empty(Table.MASKS, [MASK_PATH])
    )
    assert len(pairs.mask_of) == len(pairs.masks.image_of) == len(account.faults) == 0


def test_files_are_found_by_name_and_the_first_is_taken() -> None:
    names = [b"of none.png", b"of 1.png", b"of 2.png", b"of 1.png", b"\xff.png"]
    listed = shard_rows(Table.MASK_FILES, [0.0] * 5, {FILE_NAME: names}, IMAGE_FILE_ROW)
    pairs, _ = pairs_of()
    located = locate_masks(pairs.masks.table, pairs.mask_of, listed)
    for mask, path in enumerate(pairs.masks.table.text_columns[MASK_PATH].to_pylist()):
        line = names.index(path.rpartition(b"/")[2])
        assert located.files.rows["line"][mask] == line
        assert located.files.archives[mask] == listed.keys[line % 2].file
    assert located.repeated.tolist() == [3]
    assert located.unmatched_count == 2


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
    # Boxes of an image that fill the image are equal.
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
