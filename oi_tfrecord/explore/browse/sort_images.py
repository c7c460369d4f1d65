"""The orders in which the images that a query finds are shown."""

import numpy as np

from oi_tfrecord.explore.browse.index import BrowseIndex
from oi_tfrecord.openimages.image_id import hash_ids, id_keys, image_ids

ORDERS = ("records", "boxes", "size", "hash", "random", "worst")
"""As the records are stored; most boxes first; most pixels first; by the hash of the ImageID, by which `resample` and
`--max_images` choose; by chance; or most missed boxes and false detections first, where there are detections."""


def sort_images(index: BrowseIndex, found: np.ndarray, order: str, seed: int) -> np.ndarray:
    """Returns records in another order; equal ones keep the order of the records.

    Args:
        index: of the dataset.
        found: int64 array of record numbers, ascending.
        order: one of ORDERS.
        seed: of the random order; the same seed gives the same order of all images.
    """
    if order == "boxes":
        return found[np.argsort(-index.arrays["boxes"][found].astype(np.int64), kind="stable")]
    if order == "size":
        pixels = index.arrays["width"][found].astype(np.int64) * index.arrays["height"][found]
        return found[np.argsort(-pixels, kind="stable")]
    if order == "hash":
        return found[np.argsort(hash_ids(_read_keys(index.arrays["image_id"][found])), kind="stable")]
    if order == "random":
        return found[
            np.argsort(hash_ids(hash_ids(np.array([seed], np.uint64)) + found.astype(np.uint64)), kind="stable")
        ]
    return found


def _read_keys(names: np.ndarray) -> np.ndarray:
    """Returns the keys of ImageIDs (bytes [n]), uint64 array [n]."""
    if names.dtype.itemsize == HEX_DIGITS:
        keys = image_ids(np.ascontiguousarray(names).view(np.uint8))
        if keys is not None:
            return keys
    return id_keys(names.tolist())


HEX_DIGITS = 16
"""Length of a published ImageID."""
