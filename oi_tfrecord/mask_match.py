"""Which box a segmentation mask is of, by the box that its row repeats."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oi_tfrecord.tables import COORDINATES

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


def find_bad_paths(paths: pa.Array) -> np.ndarray:
    """Returns the indices of values of MaskPath (binary) that name no file below the folder of the masks."""
    return np.flatnonzero(pc.match_substring_regex(paths, r"^/|^$|(^|/)\.\.(/|$)").to_numpy(zero_copy_only=False))


def base_names(paths: pa.Array) -> pa.Array:
    """Returns the values of MaskPath (binary) without folders."""
    return pc.replace_substring_regex(paths, r"^.*/", "")
