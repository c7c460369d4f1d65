"""The checks of the rows of a CSV range: each finds the rows that fail it."""

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oi_tfrecord.openimages.csv.check_boxes import describe_box, describe_flags, find_bad_boxes
from oi_tfrecord.openimages.csv.columns import Category, Columns
from oi_tfrecord.openimages.csv.fill_rows import FilledRows
from oi_tfrecord.openimages.schema import (
    ATTRIBUTES,
    BAD_ATTRIBUTE,
    FLAGS,
    MACHINE_SOURCE,
    MASK_PATH,
    PREDICTED_IOU,
    UNKNOWN_IOU,
    Table,
)
from oi_tfrecord.reasons import Reject


@dataclasses.dataclass(frozen=True)
class BadRows:
    """Rows that fail one check.

    Attributes:
        reason: the fault.
        indices: int array, ascending, the rows.
        describe: returns the values at fault of the row at an index.
    """

    reason: Reject
    indices: np.ndarray
    describe: Callable[[int], str]


def find_bad_rows(table: Table, filled: FilledRows, columns: Columns) -> list[BadRows]:
    """Finds the rows of a table that no reader could use.

    Args:
        table: the table.
        filled: its rows.
        columns: the parsed columns from which the rows were filled.

    Returns:
        The rows that fail each check, in the order of the checks; of several faults of a row the first counts.
    """
    match table:
        case Table.METADATA:
            return []
        case Table.MASKS:
            return [_find_unknown_classes(filled, columns), _find_bad_paths(filled), _find_bad_iou(filled, columns)]
        case Table.BOXES:
            confidence = _find_bad_confidence(filled, np.zeros(len(filled.rows), bool))
            boxes, attributes = _find_bad_boxes(filled, columns), _find_bad_attributes(filled, columns)
            return [_find_unknown_classes(filled, columns), confidence, *boxes, *attributes]
        case Table.HUMAN_LABELS:
            return [_find_unknown_classes(filled, columns), _find_bad_confidence(filled, _is_human(filled))]
        case _:
            confidence = _find_bad_confidence(filled, np.zeros(len(filled.rows), bool))
            return [_find_unknown_classes(filled, columns), confidence]


def _find_unknown_classes(filled: FilledRows, columns: Columns) -> BadRows:
    labels = columns.categories["LabelName"]
    unknown = np.flatnonzero(filled.codes < 0)
    return BadRows(Reject.UNKNOWN_CLASS, unknown, lambda index: labels.values[labels.codes[index]])


def _find_bad_confidence(filled: FilledRows, is_verified: np.ndarray) -> BadRows:
    bad = find_bad_confidence(filled.rows, is_verified)
    return BadRows(Reject.BAD_CONFIDENCE, bad, lambda index: f"Confidence={filled.rows['confidence'][index]!s}")


def _find_bad_paths(filled: FilledRows) -> BadRows:
    paths = filled.text_columns[MASK_PATH]
    return BadRows(Reject.BAD_MASK_PATH, find_bad_paths(paths), lambda index: f"{MASK_PATH}={paths[index].as_py()!r}")


def _find_bad_iou(filled: FilledRows, columns: Columns) -> BadRows:
    iou = filled.rows["predicted_iou"]
    bad = np.flatnonzero(~((iou == UNKNOWN_IOU) | (iou >= 0) & (iou <= 1)))
    return BadRows(
        Reject.BAD_PREDICTED_IOU, bad, lambda index: f"{PREDICTED_IOU}={columns.texts[PREDICTED_IOU][index].as_py()!r}"
    )


def _find_bad_attributes(filled: FilledRows, columns: Columns) -> list[BadRows]:
    return [
        BadRows(
            Reject.BAD_ATTRIBUTE,
            np.flatnonzero(filled.rows[field] == BAD_ATTRIBUTE),
            functools.partial(_describe_category, column, columns.categories[column]),
        )
        for field, (column, _) in ATTRIBUTES.items()
        if column in columns.categories
    ]


def _describe_category(column: str, category: Category, index: int) -> str:
    return f"{column}={category.values[category.codes[index]]!r}"


def _find_bad_boxes(filled: FilledRows, columns: Columns) -> list[BadRows]:
    # A row holds a flag in one byte, so only the columns have a wild value as the file has it.
    flags = {name: columns.numbers[name] for name in FLAGS.values() if name in columns.numbers}
    return [
        BadRows(reason, indices, lambda index: describe_flags({name: int(flags[name][index]) for name in flags}))
        if reason is Reject.BAD_FLAG
        else BadRows(reason, indices, lambda index: describe_box(filled.rows[index]))
        for reason, indices in find_bad_boxes(filled.rows)
    ]


def _is_human(filled: FilledRows) -> np.ndarray:
    """Returns which labels are no machine labels, bool [n]: V1 has both in one file, which is read as both tables."""
    return np.array([name != MACHINE_SOURCE for name in filled.sources], bool)[filled.rows["source"]]


def find_bad_confidence(rows: np.ndarray, is_verified: np.ndarray) -> np.ndarray:
    """Finds rows whose confidence no reader could use.

    Args:
        rows: LABEL_ROW or BOX_ROW array [n].
        is_verified: bool array [n], which rows are human labels. Those have 0 (verified absent) or 1
            (openimages/dataset READMEV3.md, "Image-level labels"); other rows have anything from 0.0 to 1.0. A human
            label in between is neither present nor absent: the API's tool for CSVs
            (oid_hierarchical_labels_expansion.py) stops at it, and its decoder expands only exact 0 and 1.

    Returns:
        Indices of the rows.
    """
    confidence = rows["confidence"]
    exact = (confidence == 0) | (confidence == 1)
    return np.flatnonzero(~(exact | ~is_verified & (confidence >= 0) & (confidence <= 1)))


def find_bad_paths(paths: pa.Array) -> np.ndarray:
    """Returns the indices of values of MaskPath (binary) that name no file below the folder of the masks."""
    return np.flatnonzero(pc.match_substring_regex(paths, r"^/|^$|(^|/)\.\.(/|$)").to_numpy(zero_copy_only=False))
