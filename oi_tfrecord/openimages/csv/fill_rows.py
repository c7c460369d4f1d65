"""From the parsed columns of a CSV range to fixed-width rows of its table, not yet checked."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oi_tfrecord.openimages.classes import Vocabulary
from oi_tfrecord.openimages.csv.columns import Category, Columns
from oi_tfrecord.openimages.csv.parse import ParsedRows
from oi_tfrecord.openimages.csv.row_faults import is_number
from oi_tfrecord.openimages.image_id import IMAGE_ID
from oi_tfrecord.openimages.schema import (
    ATTRIBUTES,
    BAD_ATTRIBUTE,
    COORDINATES,
    FLAGS,
    MASK_COORDINATES,
    MASK_PATH,
    NO_COLUMN,
    PREDICTED_IOU,
    ROW_TYPES,
    UNKNOWN_IOU,
    Table,
)

BORDER_TOLERANCE = 1e-7
"""How far a coordinate, a fraction of the image's side, or a confidence may lie beyond 0 or 1: half a unit of float32
at 1."""

MAX_SOURCES = 256
"""Names of sources that the field `source` can number."""

OTHER_SOURCE = "other"
"""Stands for the last of more sources than MAX_SOURCES."""


@dataclasses.dataclass(frozen=True)
class FilledRows:
    """The rows of one range in the layout of their table.

    Attributes:
        rows: array [n] of the table's ROW_TYPES dtype, in file order.
        codes: int array [n], vocabulary code of each row's class, -1 for an unknown one; empty for metadata.
        sources: names that the rows' `source` field indexes.
        text_columns: text columns [n] beside the rows, by column name.
    """

    rows: np.ndarray
    codes: np.ndarray
    sources: tuple[str, ...]
    text_columns: Mapping[str, pa.BinaryArray]


def fill_rows(table: Table, parsed: ParsedRows, vocabulary: Vocabulary, subsets: Collection[str]) -> FilledRows:
    """Lays out the parsed rows of one range.

    Args:
        table: the range's table.
        parsed: its columns, as `check_rows.columns_to_parse` names them.
        vocabulary: MIDs and their codes.
        subsets: values of Subset of the images that are converted; empty for all.
    """
    match table:
        case Table.METADATA:
            return fill_metadata(parsed, subsets)
        case Table.MASKS:
            return fill_masks(parsed, vocabulary)
        case Table.BOXES:
            return fill_boxes(parsed, vocabulary)
        case _:
            return fill_labels(table, parsed, vocabulary)


def fill_metadata(parsed: ParsedRows, subsets: Collection[str]) -> FilledRows:
    """Lays out rows of images; an image of another subset is marked as excluded, and its texts are empty."""
    rows = _new_rows(Table.METADATA, parsed)
    texts: dict[str, pa.BinaryArray] = parsed.columns.texts
    if subsets and (subset := parsed.columns.categories.get("Subset")) is not None:
        is_other = np.array([value not in subsets for value in subset.values], bool)
        rows["excluded"] = is_other[subset.codes] if len(rows) else False
        # Without the row, the join would reject the annotations of the image as those of no image; no step needs its
        # texts.
        excluded = pa.array(rows["excluded"] != 0)
        texts = {
            name: column if name == IMAGE_ID else pc.if_else(excluded, pa.scalar(b"", column.type), column)
            for name, column in texts.items()
        }
    return FilledRows(rows, np.zeros(0, np.int32), (), texts)


def fill_labels(table: Table, parsed: ParsedRows, vocabulary: Vocabulary) -> FilledRows:
    """Lays out rows of image-level labels."""
    rows = _new_rows(table, parsed)
    codes = _class_codes(parsed.columns, vocabulary)
    rows["label"] = np.maximum(codes, 0)
    sources = _fill_source(rows, parsed.columns)
    _fill_confidence(rows, parsed.columns)
    return FilledRows(rows, codes, sources, parsed.columns.texts)


def fill_boxes(parsed: ParsedRows, vocabulary: Vocabulary) -> FilledRows:
    """Lays out rows of boxes: what a label has, coordinates, flags and attributes."""
    filled = fill_labels(Table.BOXES, parsed, vocabulary)
    _fill_coordinates(filled.rows, parsed.columns, COORDINATES)
    for field, column in FLAGS.items():
        filled.rows[field] = _flags(parsed.columns, column)
    for field, (column, values) in ATTRIBUTES.items():
        if (category := parsed.columns.categories.get(column)) is not None and len(category.codes):
            filled.rows[field] = _attribute_codes(category, values)[category.codes]
    return filled


def fill_masks(parsed: ParsedRows, vocabulary: Vocabulary) -> FilledRows:
    """Lays out rows of masks: the class and the coordinates of the box, and the texts that are kept beside them."""
    rows = _new_rows(Table.MASKS, parsed)
    codes = _class_codes(parsed.columns, vocabulary)
    rows["label"] = np.maximum(codes, 0)
    _fill_coordinates(rows, parsed.columns, MASK_COORDINATES)
    texts = dict(parsed.columns.texts)
    texts[MASK_PATH] = _without_blanks(texts[MASK_PATH])
    rows["predicted_iou"] = UNKNOWN_IOU
    if PREDICTED_IOU in texts:
        _fill_float32(rows, "predicted_iou", _clip_to_border(_parse_iou(texts.pop(PREDICTED_IOU))))
    return FilledRows(rows, codes, (), texts)


def _without_blanks(texts: pa.BinaryArray) -> pa.BinaryArray:
    """Returns texts without the blanks around them."""
    return pc.replace_substring_regex(texts, r"^[ \t]+|[ \t]+$", "")


def _parse_iou(texts: pa.BinaryArray) -> np.ndarray:
    """Returns the values of PredictedIoU, float64 [n]: UNKNOWN_IOU for an empty one, NaN for one that is no number."""
    return np.array([_parse_number(text.strip()) for text in texts.to_pylist()], np.float64)


def _parse_number(text: bytes) -> float:
    if not text:
        return UNKNOWN_IOU
    return float(text) if is_number(text) else float("nan")


def _attribute_codes(category: Category, values: Sequence[str]) -> np.ndarray:
    """Returns the code of each value of the column, uint8 array; an empty value is unknown, the first of `values`."""
    known = {"": 0} | {value: code for code, value in enumerate(values)}
    return np.array([known.get(value.strip(), BAD_ATTRIBUTE) for value in category.values], np.uint8)


def _new_rows(table: Table, parsed: ParsedRows) -> np.ndarray:
    rows = np.zeros(len(parsed.lines), ROW_TYPES[table])
    rows["image_id"] = parsed.columns.numbers["ImageID"]
    rows["line"] = parsed.lines
    return rows


def _class_codes(columns: Columns, vocabulary: Vocabulary) -> np.ndarray:
    labels = columns.categories["LabelName"]
    # Without rows there are no values, and an empty array has no place to take from.
    return vocabulary.codes(labels.values)[labels.codes] if len(labels.codes) else np.zeros(0, np.int32)


def _fill_source(rows: np.ndarray, columns: Columns) -> tuple[str, ...]:
    """Fills `source`, and returns the names that it indexes."""
    source = columns.categories.get("Source", Category(np.zeros(0, np.int32), []))
    if not len(source.codes):
        return ("",)
    # A column with hundreds of sources is not a Source column; the field holds one byte.
    sources = limit_sources(source.values)
    if sources == tuple(source.values):
        rows["source"] = source.codes
    else:
        rows["source"] = np.where(source.codes < MAX_SOURCES - 1, source.codes, sources.index(OTHER_SOURCE))
    return sources


def limit_sources(names: Sequence[str]) -> tuple[str, ...]:
    """Returns the names that the field `source` numbers; OTHER_SOURCE is among them if there are too many."""
    if len(names) <= MAX_SOURCES:
        return tuple(names)
    kept = names[: MAX_SOURCES - 1]
    return (*kept,) if OTHER_SOURCE in kept else (*kept, OTHER_SOURCE)


def _fill_confidence(rows: np.ndarray, columns: Columns) -> None:
    rows["confidence"] = 1
    if "Confidence" in columns.numbers:
        values = _clip_to_border(columns.numbers["Confidence"])
        # An empty cell counts as an absent column.
        _fill_float32(rows, "confidence", np.where(np.isnan(values), 1, values))


def _fill_coordinates(rows: np.ndarray, columns: Columns, coordinates: Mapping[str, str]) -> None:
    for field, column in coordinates.items():
        _fill_float32(rows, field, _clip_to_border(columns.numbers[column]))


def _clip_to_border(values: np.ndarray) -> np.ndarray:
    """Returns fractions, float64 [n], where those that miss 0 or 1 by a rounding error lie on it."""
    clipped = np.clip(values, 0, 1)
    return np.where(np.abs(values - clipped) <= BORDER_TOLERANCE, clipped, values)


def _fill_float32(rows: np.ndarray, field: str, values: np.ndarray) -> None:
    # A value beyond float32 becomes infinite, which the checks find.
    with np.errstate(over="ignore"):
        rows[field] = values


def _flags(columns: Columns, column: str) -> np.ndarray:
    """Returns the values of a flag, int [n] within int8; NO_COLUMN where the file has no such column."""
    if column not in columns.numbers:
        return np.full(len(columns.numbers["ImageID"]), NO_COLUMN, np.int8)
    # A wild value stays wrong: it may neither wrap into a valid one nor pass for an absent column.
    flags = np.clip(columns.numbers[column], -128, 127)
    flags[flags == NO_COLUMN] = NO_COLUMN - 1
    return flags
