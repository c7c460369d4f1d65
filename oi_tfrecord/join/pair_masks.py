"""Pairs the boxes of a shard with their masks, and accounts for boxes and masks without a partner."""

import dataclasses

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oi_tfrecord.join.archive_places import ImageFiles, LocatedFiles, locate_files
from oi_tfrecord.join.join_account import DroppedRows, JoinAccount
from oi_tfrecord.join.shard_rows import RowsByImage, ShardRows
from oi_tfrecord.openimages.schema import COORDINATES, FILE_NAME, MASK_PATH, Table
from oi_tfrecord.reasons import Drop, Reject
from oi_tfrecord.settings.allowed_values import BoxesWithoutMask

TOLERANCE = 1e-6
"""Largest difference of a coordinate, as a fraction of the image's side. Published masks repeat the boxes with six
decimals; the boxes of validation and test have up to nine."""

_FLOAT32_ERROR = 2.0**-23
"""Largest error of a difference of two coordinates, up to 1, that are both rounded to float32."""

_WINDOW = TOLERANCE + _FLOAT32_ERROR


@dataclasses.dataclass(frozen=True)
class MaskRules:
    """What becomes of boxes and masks that have no partner.

    Attributes:
        boxes_without_mask: which boxes without a mask are kept.
        boxes_filtered: whether boxes are left out by columns that a mask row does not have, so that a mask without a
            box is no fault.
    """

    boxes_without_mask: BoxesWithoutMask = BoxesWithoutMask.DROP
    boxes_filtered: bool = False

    def keeps_without(self, boxes: np.ndarray) -> np.ndarray:
        """Returns which boxes (BOX_ROW [n]) are kept if they have no mask, bool [n]."""
        match self.boxes_without_mask:
            case BoxesWithoutMask.DROP:
                return np.zeros(len(boxes), bool)
            case BoxesWithoutMask.EMPTY:
                return np.ones(len(boxes), bool)
            case BoxesWithoutMask.GROUPS:
                return np.equal(boxes["group_of"], 1)


@dataclasses.dataclass(frozen=True)
class MaskPairs:
    """Boxes and their masks.

    Attributes:
        boxes: the boxes [n] that are kept.
        masks: the rows [m] of the mask table that have a box.
        mask_of: int array [n], the index in `masks` of each box's mask, -1 where the box has none.
    """

    boxes: RowsByImage
    masks: RowsByImage
    mask_of: np.ndarray


@dataclasses.dataclass(frozen=True)
class Masks:
    """The masks of a shard's boxes.

    Attributes:
        table: the rows of the mask table that have a box.
        of_box: int array [boxes], the row in `table` of each box's mask, -1 where the box has none; the boxes
            are those of the shard's annotations.
        files: where the PNG of each row is in archives; None if no archive was listed.
    """

    table: ShardRows
    of_box: np.ndarray
    files: ImageFiles | None

    def follow_boxes(self, origin: np.ndarray) -> "Masks":
        """Returns the masks of other boxes, each of which has the mask of one of these.

        Args:
            origin: int array [other boxes], the place of each among the boxes. A mask that no box has any more is left
                out.
        """
        of_box = self.of_box[origin]
        is_used = np.zeros(len(self.table.rows), bool)
        is_used[of_box[of_box >= 0]] = True
        places = np.append(np.cumsum(is_used) - 1, -1)
        files = self.files.filter(is_used) if self.files else None
        return Masks(self.table.filter(is_used), places[of_box], files)


def pair_masks(rules: MaskRules, boxes: RowsByImage, masks: RowsByImage) -> tuple[MaskPairs, JoinAccount]:
    """Pairs each box with its mask.

    Args:
        rules: what becomes of boxes and masks without a partner.
        boxes: the boxes of a shard.
        masks: the rows of the mask table.

    Returns:
        (the pairs, the boxes and mask rows that are not among them).
    """
    box_of, is_second = match_masks(boxes.table.rows, boxes.image_of, masks.table.rows, masks.image_of)
    is_paired = box_of >= 0
    mask_of = np.full(len(boxes.image_of), -1)
    mask_of[box_of[is_paired]] = np.arange(np.count_nonzero(is_paired))
    keep_mask = (mask_of >= 0) | rules.keeps_without(boxes.table.rows)
    without_mask = DroppedRows(Table.BOXES, Drop.NO_MASK, int(np.count_nonzero(~keep_mask)))
    kept_boxes = boxes if keep_mask.all() else boxes.filter(keep_mask)
    pairs = MaskPairs(kept_boxes, masks.filter(is_paired), mask_of[keep_mask])
    return pairs, JoinAccount.sum_of(
        (
            JoinAccount(masks.table.faults(np.flatnonzero(is_second), Reject.DUPLICATE, "its box has another mask")),
            _account_lone_masks(rules, masks.table, np.flatnonzero(~is_paired & ~is_second)),
            JoinAccount(dropped=(without_mask,)),
        )
    )


def _account_lone_masks(rules: MaskRules, masks: ShardRows, lone: np.ndarray) -> JoinAccount:
    """Rejects or leaves out the rows at `lone` (indices), to which no box fits."""
    if rules.boxes_filtered:
        return JoinAccount(dropped=(DroppedRows(Table.MASKS, Drop.BOX_LEFT_OUT, len(lone)),))
    detail = "no box has its ImageID, LabelName and coordinates"
    return JoinAccount(masks.faults(lone, Reject.MASK_WITHOUT_BOX, detail))


def locate_masks(masks: ShardRows, mask_of: np.ndarray, listed: ShardRows) -> LocatedFiles:
    """Finds the PNG of each mask that a box has among the files of archives, by its name.

    Args:
        masks: the rows [m] of the mask table.
        mask_of: int array, the row of each box's mask, -1 where the box has none.
        listed: the rows of Table.MASK_FILES.
    """
    names = _file_names(masks.text_columns[MASK_PATH])
    mask_of_file = pc.index_in(listed.text_columns[FILE_NAME], value_set=names).fill_null(-1).to_numpy()
    # A file of no mask has the index -1, which is the last place: it stays False.
    is_used = np.zeros(len(names) + 1, bool)
    is_used[mask_of[mask_of >= 0]] = True
    return locate_files(listed, mask_of_file, is_used[mask_of_file], len(names))


def _file_names(paths: pa.Array) -> pa.Array:
    """Returns the values of MaskPath (binary) without folders."""
    return pc.replace_substring_regex(paths, r"^.*/", "")


def match_masks(
    boxes: np.ndarray, box_image: np.ndarray, masks: np.ndarray, mask_image: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the box of each mask: of the same image and label, with coordinates within TOLERANCE.

    Args:
        boxes: BOX_ROW array [n].
        box_image: int array [n], the number of each box's image, ascending.
        masks: MASK_ROW array [m].
        mask_image: int array [m], the number of each mask's image.

    Returns:
        (int array [m], the box of each mask, -1 where the mask has none; bool array [m], whether the mask has none
        because earlier or nearer masks took all boxes that fit). A box has one mask at most.
    """
    pair_mask, pair_box, distance = _find_pairs(boxes, box_image, masks, mask_image)
    box_of = np.full(len(masks), -1)
    lone = (np.bincount(pair_mask, minlength=len(masks)) == 1)[pair_mask]
    lone &= (np.bincount(pair_box, minlength=len(boxes)) == 1)[pair_box]
    box_of[pair_mask[lone]] = pair_box[lone]
    # The remaining pairs, few if any, are matched nearest first.
    taken: set[int] = set()
    pair_mask, pair_box, distance = pair_mask[~lone], pair_box[~lone], distance[~lone]
    for place in np.lexsort((pair_box, pair_mask, distance)).tolist():
        mask, box = int(pair_mask[place]), int(pair_box[place])
        if box_of[mask] < 0 and box not in taken:
            box_of[mask] = box
            taken.add(box)
    has_candidate = np.zeros(len(masks), bool)
    has_candidate[pair_mask] = True
    return box_of, has_candidate & (box_of < 0)


def _find_pairs(
    boxes: np.ndarray, box_image: np.ndarray, masks: np.ndarray, mask_image: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns (mask, box, largest difference of a coordinate) of all pairs that are within TOLERANCE."""

    # Image and label as whole number and xmin as fraction make one number, exact to 2**-53 times some 2**34 of groups.
    def group(rows: np.ndarray, image_of: np.ndarray) -> np.ndarray:
        return (image_of.astype(np.int64) << 16) + rows["label"]

    groups = np.unique(np.concatenate([group(boxes, box_image), group(masks, mask_image)]))

    def place(rows: np.ndarray, image_of: np.ndarray) -> np.ndarray:
        # Two apart, so that a window around 0 or 1 does not reach into the next group.
        return 2.0 * np.searchsorted(groups, group(rows, image_of)) + rows["xmin"].astype(np.float64)

    box_place, mask_place = place(boxes, box_image), place(masks, mask_image)
    order = np.argsort(box_place, kind="stable")
    first = np.searchsorted(box_place[order], mask_place - _WINDOW, side="left")
    count = np.searchsorted(box_place[order], mask_place + _WINDOW, side="right") - first
    pair_mask = np.repeat(np.arange(len(masks)), count)
    within = np.arange(len(pair_mask)) - np.repeat(np.cumsum(count) - count, count)
    pair_box = order[np.repeat(first, count) + within]
    distance = np.zeros(len(pair_mask))
    for name in COORDINATES:
        difference = masks[name][pair_mask].astype(np.float64) - boxes[name][pair_box]
        distance = np.maximum(distance, np.abs(difference))
    near = distance <= _WINDOW
    return pair_mask[near], pair_box[near], distance[near]
