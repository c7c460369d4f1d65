from typing import Any

import numpy as np
import pyarrow as pa

from oi_tfrecord.join.pair_masks import MaskPairs, MaskRules, locate_masks, nothing, pair_masks
from oi_tfrecord.join.shard_rows import Stacked
from oi_tfrecord.openimages.schema import (
    BOX_ROW,
    COORDINATES,
    FILE_NAME,
    IMAGE_FILE_ROW,
    MASK_PATH,
    MASK_ROW,
    Listing,
    RangeKey,
    Table,
)
from oi_tfrecord.reasons import Drop, Reject

BOX_IMAGES = np.array([0, 0, 1])
MASK_IMAGES = np.array([1, 0, 0, 1])


def stacked(table: Table | Listing, sides: list[float], texts: dict[str, list[bytes]], row_type: np.dtype) -> Stacked:
    rows = np.zeros(len(sides), row_type)
    rows["image_id"] = rows["line"] = np.arange(len(sides))
    for name in COORDINATES:
        if name in (row_type.names or ()):
            rows[name] = sides
    arrays: dict[str, pa.Array] = {name: pa.array(values, pa.binary()) for name, values in texts.items()}
    return Stacked(rows, (), (RangeKey(table, 0, 0), RangeKey(table, 3, 0)), np.arange(len(sides)) % 2, arrays)


def pairs_of(**rules: Any) -> MaskPairs:
    boxes = stacked(Table.BOXES, [0.1, 0.2, 0.3], {}, BOX_ROW)
    paths = [b"of 2.png", b"of none.png", b"a/of 1.png", b"of 2 again.png"]
    masks = stacked(Table.MASKS, [0.3, 0.5, 0.2, 0.3], {MASK_PATH: paths}, MASK_ROW)
    return pair_masks(MaskRules(**rules), boxes, BOX_IMAGES, masks, MASK_IMAGES)


def test_boxes_without_a_mask_are_left_out() -> None:
    pairs = pairs_of()
    assert pairs.boxes.rows["line"].tolist() == [1, 2]
    assert pairs.box_image.tolist() == [0, 1]
    assert pairs.boxes_dropped == {Drop.NO_MASK: 1}
    paths = pairs.masks.texts[MASK_PATH].take(pa.array(pairs.mask_of)).to_pylist()
    assert paths == [b"a/of 1.png", b"of 2.png"]


def test_boxes_without_a_mask_are_kept() -> None:
    pairs = pairs_of(keep_boxes_without=True)
    assert pairs.mask_of[0] == -1
    assert pairs.masks.texts[MASK_PATH].take(pa.array(pairs.mask_of[1:])).to_pylist() == [b"a/of 1.png", b"of 2.png"]
    assert not pairs.boxes_dropped


def test_masks_without_a_box_are_faults_unless_boxes_were_filtered() -> None:
    pairs = pairs_of()
    assert [(fault.line, fault.reason) for fault in pairs.faults] == [
        (3, Reject.DUPLICATE),
        (1, Reject.MASK_WITHOUT_BOX),
    ]
    assert not pairs.masks_dropped
    filtered = pairs_of(boxes_filtered=True)
    assert [fault.reason for fault in filtered.faults] == [Reject.DUPLICATE]
    assert filtered.masks_dropped == {Drop.BOX_LEFT_OUT: 1}


def test_no_rows_at_all() -> None:
    none = np.zeros(0, np.int64)
    pairs = pair_masks(MaskRules(), nothing(Table.BOXES), none, nothing(Table.MASKS), none)
    assert len(pairs.mask_of) == len(pairs.masks.rows) == len(pairs.faults) == 0


def test_files_are_found_by_name_and_the_first_is_taken() -> None:
    names = [b"of none.png", b"of 1.png", b"of 2.png", b"of 1.png", b"else.png"]
    listed = stacked(Listing.MASK_FILES, [0.0] * 5, {FILE_NAME: names}, IMAGE_FILE_ROW)
    pairs = pairs_of()
    files, repeated, others = locate_masks(pairs, listed)
    for mask, path in enumerate(pairs.masks.texts[MASK_PATH].to_pylist()):
        line = names.index(path.rpartition(b"/")[2])
        assert files.rows["line"][mask] == line
        assert files.archives[mask] == listed.keys[line % 2].file
    assert repeated.tolist() == [3]
    assert others == 2
