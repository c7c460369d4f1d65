"""Finds the rows of an annotation table that repeat an earlier row."""

import numpy as np
import pyarrow as pa

from oi_tfrecord.openimages.image_id import hash_ids

_SHIFT = np.uint64(32)


def find_duplicates(rows: np.ndarray) -> np.ndarray:
    """Finds rows that repeat an earlier row in every column of the file.

    Args:
        rows: LABEL_ROW or BOX_ROW array [n] in file order.

    Returns:
        Indices, ascending, of the rows after the first of each set of equal rows.
    """
    # One 64-bit key per row makes the common case, no duplicate, a single sort; the rows that
    # share a key are then compared whole.
    keys = _row_keys(rows)
    in_order = np.sort(keys)
    is_shared = in_order[1:] == in_order[:-1]
    if not is_shared.any():
        return np.zeros(0, np.int64)
    candidates = np.flatnonzero(np.isin(keys, np.unique(in_order[1:][is_shared])))
    return _find_equal(rows, candidates)


def find_repeated_values(values: pa.Array) -> np.ndarray:
    """Returns the indices, ascending, of values that occur before; `values` is a binary array."""
    codes = values.dictionary_encode().indices.to_numpy()
    return np.delete(np.arange(len(codes)), np.unique(codes, return_index=True)[1])


def _row_keys(rows: np.ndarray) -> np.ndarray:
    """Returns a uint64 hash of all columns of each row; equal rows have equal keys."""
    keys = hash_ids(rows["image_id"])
    names = _compared_columns(rows)
    for first, second in zip(names[::2], [*names[1::2], None], strict=False):
        word = _bits(rows[first]) << _SHIFT
        keys = hash_ids(keys ^ (word | _bits(rows[second]) if second else word))
    return keys


def _find_equal(rows: np.ndarray, candidates: np.ndarray) -> np.ndarray:
    """Returns those of `candidates` (indices, ascending) whose row equals that of an earlier one."""
    names = _compared_columns(rows)
    seen: set[tuple[object, ...]] = set()
    repeated = []
    for index in candidates.tolist():
        row = rows[index]
        values = (int(row["image_id"]), *(row[name].item() for name in names))
        if values in seen:
            repeated.append(index)
        seen.add(values)
    return np.array(repeated, np.int64)


def _compared_columns(rows: np.ndarray) -> list[str]:
    return [name for name in rows.dtype.names or () if name not in ("image_id", "line")]


def _bits(column: np.ndarray) -> np.ndarray:
    if column.dtype.kind == "f":
        column = np.ascontiguousarray(column).view(np.uint32)
    return column.astype(np.uint64) & np.uint64(0xFFFFFFFF)
