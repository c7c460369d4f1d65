"""Boxes and masks of a shard put together, and what becomes of those without a partner."""

import dataclasses
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oi_tfrecord.join.archive_places import ImageFiles, locate_images
from oi_tfrecord.join.shard_rows import JoinFault, Stacked
from oi_tfrecord.openimages.csv.check_rows import base_names
from oi_tfrecord.openimages.schema import COORDINATES, FILE_NAME, MASK_PATH, ROW_TYPES, WINDOW, Table
from oi_tfrecord.reasons import Drop, Reject


@dataclasses.dataclass(frozen=True)
class MaskRules:
    """What becomes of boxes and masks that have no partner.

    Attributes:
        keep_boxes_without: whether boxes without a mask are kept.
        boxes_filtered: whether boxes were left out by what a mask row does not tell, so that a mask without a
            box is no fault.
    """

    keep_boxes_without: bool = False
    boxes_filtered: bool = False


@dataclasses.dataclass(frozen=True)
class Masks:
    """The masks of a shard's boxes.

    Attributes:
        table: the rows of the mask table that have a box.
        of_box: int array [boxes], the row in `table` of each box's mask, -1 where it has none; the boxes
            are those of the shard's annotations.
        files: where the PNG of each row is in archives; None if no archive was listed.
    """

    table: Stacked
    of_box: np.ndarray
    files: ImageFiles | None


@dataclasses.dataclass(frozen=True)
class MaskPairs:
    """Boxes and their masks.

    Attributes:
        boxes: the boxes that are kept.
        box_image: int array [n], the image of each.
        masks: the rows of the mask table that have a box.
        mask_image: int array [m], the image of each.
        mask_of: int array [n], the mask of each box, -1 where it has none.
        faults: rejected rows of the mask table.
        boxes_dropped, masks_dropped: rows left out, by reason.
    """

    boxes: Stacked
    box_image: np.ndarray
    masks: Stacked
    mask_image: np.ndarray
    mask_of: np.ndarray
    faults: tuple[JoinFault, ...]
    boxes_dropped: Counter[Drop]
    masks_dropped: Counter[Drop]


def nothing(table: Table) -> Stacked:
    """Returns no rows of a table."""
    texts = {MASK_PATH: pa.array([], pa.binary())} if table is Table.MASKS else {}
    return Stacked(np.zeros(0, ROW_TYPES[table]), (), (), np.zeros(0, np.int64), texts)


def pair_masks(
    rules: MaskRules, boxes: Stacked, box_image: np.ndarray, masks: Stacked, mask_image: np.ndarray
) -> MaskPairs:
    """Puts boxes and masks together.

    Args:
        rules: what becomes of those without a partner.
        boxes: in the order of their images.
        box_image: int array [n], the number of each box's image, ascending.
        masks: in any order.
        mask_image: int array [m], as `box_image`.
    """
    box_of, is_second = match_masks(boxes.rows, box_image, masks.rows, mask_image)
    faults = [
        masks.fault(index, Reject.DUPLICATE, "its box has another mask") for index in np.flatnonzero(is_second).tolist()
    ]
    boxes_dropped: Counter[Drop] = Counter()
    masks_dropped: Counter[Drop] = Counter()
    alone = np.flatnonzero((box_of < 0) & ~is_second)
    if not rules.boxes_filtered:
        detail = "no box has its ImageID, LabelName and coordinates"
        faults += [masks.fault(index, Reject.MASK_WITHOUT_BOX, detail) for index in alone.tolist()]
    elif len(alone):
        masks_dropped[Drop.BOX_LEFT_OUT] = len(alone)
    matched = box_of >= 0
    mask_of = np.full(len(boxes.rows), -1)
    mask_of[box_of[matched]] = np.arange(np.count_nonzero(matched))
    has_mask = mask_of >= 0
    if not rules.keep_boxes_without and not has_mask.all():
        boxes_dropped[Drop.NO_MASK] = int(np.count_nonzero(~has_mask))
        boxes, box_image, mask_of = boxes.select(has_mask), box_image[has_mask], mask_of[has_mask]
    return MaskPairs(
        boxes,
        box_image,
        masks.select(matched),
        mask_image[matched],
        mask_of,
        tuple(faults),
        boxes_dropped,
        masks_dropped,
    )


def locate_masks(pairs: MaskPairs, listed: Stacked) -> tuple[ImageFiles, np.ndarray, int]:
    """Finds the PNG of each mask that a box has among the files of archives.

    Args:
        pairs: the masks; `mask_of` says which are wanted.
        listed: the rows of Listing.MASK_FILES.

    Returns:
        (the places, indices of listed files that repeat a wanted one, number of those that are not wanted).
    """
    names = base_names(pairs.masks.texts[MASK_PATH])
    mask_of_file = pc.index_in(listed.texts[FILE_NAME], value_set=names).fill_null(-1).to_numpy()
    wanted = np.zeros(len(names) + 1, bool)
    wanted[pairs.mask_of[pairs.mask_of >= 0]] = True
    return locate_images(
        mask_of_file,
        # The file of no mask is the last one, which is never wanted.
        wanted[mask_of_file],
        count=len(names),
        archives=np.array([key.file for key in listed.keys], np.int64)[listed.range_of],
        rows=listed.rows,
        windows=listed.texts.get(WINDOW),
    )


TOLERANCE = 1e-6
"""Largest difference of a coordinate, as a fraction of the image's side. Published masks repeat the boxes with six
decimals, of which the boxes of validation and test have up to nine."""

_FLOAT32_ERROR = 2.0**-23
"""By which a difference of two coordinates may be off as both were rounded to float32, up to 1."""

_WINDOW = TOLERANCE + _FLOAT32_ERROR


def match_masks(
    boxes: np.ndarray, box_image: np.ndarray, masks: np.ndarray, mask_image: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Finds the box of each mask: of the same image and label, with coordinates within TOLERANCE.

    Args:
        boxes: BOX_ROW array [n].
        box_image: int array [n], the number of each box's image, ascending.
        masks: MASK_ROW array [m].
        mask_image: int array [m], as `box_image`.

    Returns:
        (int array [m], the box of each mask, -1 where it has none; bool array [m], whether that is so because
        earlier or nearer masks took all its boxes). A box has one mask at most.
    """
    pair_mask, pair_box, distance = _find_pairs(boxes, box_image, masks, mask_image)
    box_of = np.full(len(masks), -1)
    lone = (np.bincount(pair_mask, minlength=len(masks)) == 1)[pair_mask]
    lone &= (np.bincount(pair_box, minlength=len(boxes)) == 1)[pair_box]
    box_of[pair_mask[lone]] = pair_box[lone]
    # The rest, few if any, is matched nearest first.
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
    """Returns (mask, box, largest difference of a coordinate) of all that are within TOLERANCE."""

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


def find_repeated(paths: pa.Array) -> np.ndarray:
    """Returns the indices, ascending, of values that occur before; `paths` is a binary array."""
    codes = paths.dictionary_encode().indices.to_numpy()
    repeated = np.ones(len(codes), bool)
    repeated[np.unique(codes, return_index=True)[1]] = False
    return np.flatnonzero(repeated)
