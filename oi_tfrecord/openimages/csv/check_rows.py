"""From the parsed columns of a CSV range to checked rows of its table."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from oi_tfrecord.openimages.classes import Vocabulary
from oi_tfrecord.openimages.csv import check_boxes as boxes
from oi_tfrecord.openimages.csv.filters import RowFilters
from oi_tfrecord.openimages.csv.parse import Category, Rows
from oi_tfrecord.openimages.csv.row_faults import Kind
from oi_tfrecord.openimages.image_id import format_id
from oi_tfrecord.openimages.schema import (
    COORDINATES,
    FLAGS,
    MACHINE_SOURCE,
    MASK_COORDINATES,
    MASK_PATH,
    NO_COLUMN,
    REQUIRED_COLUMNS,
    ROW_TYPES,
    Table,
)
from oi_tfrecord.reasons import Drop, Reject

_OPTIONAL_KINDS = {
    "Source": Kind.CATEGORY,
    "Confidence": Kind.NUMBER,
    **dict.fromkeys(FLAGS.values(), Kind.INTEGER),
}

_REQUIRED_KINDS = {
    "ImageID": Kind.IMAGE_ID,
    "LabelName": Kind.CATEGORY,
    "Confidence": Kind.NUMBER,
    MASK_PATH: Kind.TEXT,
    **dict.fromkeys((*COORDINATES.values(), *MASK_COORDINATES.values()), Kind.NUMBER),
}

_COORDINATES_OF = {Table.BOXES: COORDINATES, Table.MASKS: MASK_COORDINATES}


@dataclasses.dataclass(frozen=True)
class RowFault:
    """A row that is rejected: `line` counts from 0 within the range."""

    line: int
    image_id: str
    reason: Reject
    detail: str


@dataclasses.dataclass(frozen=True)
class TableRows:
    """The usable rows of one range.

    Attributes:
        rows: array of the table's ROW_TYPES dtype, in file order.
        sources: names that the rows' `source` field indexes.
        texts: raw text columns beside the rows, by column name.
        faults: rejected rows, in file order.
        dropped: rows left out by the configuration.
        class_rows: for annotation tables, usable and dropped rows per vocabulary code.
        rows_read: rows of the range, usable or not.
        line_count: lines of the range.
    """

    rows: np.ndarray
    sources: tuple[str, ...]
    texts: Mapping[str, pa.BinaryArray]
    faults: list[RowFault]
    dropped: dict[Drop, int]
    class_rows: np.ndarray
    rows_read: int
    line_count: int


def wanted_columns(
    table: Table, names: Sequence[str], texts: Collection[str] = (), subset: bool = False
) -> dict[str, Kind]:
    """Returns the columns to parse of a file with the header `names`, and how.

    Args:
        table: the file's table.
        names: its header.
        texts: free-text columns to keep beside the rows.
        subset: whether the Subset column is filtered by.
    """
    required = {name: _REQUIRED_KINDS[name] for name in REQUIRED_COLUMNS[table]}
    if table is Table.METADATA:
        optional = {name: Kind.TEXT for name in names if name in texts}
        if subset and "Subset" in names:
            optional["Subset"] = Kind.CATEGORY
    else:
        optional = {name: kind for name, kind in _OPTIONAL_KINDS.items() if name in names and name not in required}
    return required | optional


def make_rows(
    table: Table,
    parsed: Rows,
    vocabulary: Vocabulary,
    kept_codes: np.ndarray,
    filters: RowFilters | None = None,
) -> TableRows:
    """Checks the rows of one range and lays them out for the join.

    Args:
        table: the range's table.
        parsed: its columns, as `wanted_columns` asked.
        vocabulary: MIDs and their codes.
        kept_codes: bool array [len(vocabulary)]: the classes of the class list.
        filters: what else is left out.

    Returns:
        The usable rows. First come the checks of the data, then the filters of the configuration,
        so that a fault is never hidden by a filter.
    """
    columns = parsed.columns
    rows = np.zeros(len(parsed.lines), ROW_TYPES[table])
    rows["image_id"] = columns["ImageID"]
    rows["line"] = parsed.lines
    faults = [RowFault(item.line, "", item.reason, item.detail) for item in parsed.rejects]
    texts = {name: column for name, column in columns.items() if isinstance(column, pa.Array)}
    filters = filters or RowFilters()
    if table is Table.METADATA:
        if filters.subsets and isinstance(subset := columns.get("Subset"), Category):
            kept_subset = np.array([value in filters.subsets for value in subset.values], bool)
            rows["excluded"] = ~kept_subset[subset.codes] if len(rows) else False
            # The join has to know the image, or its annotations would be of no image; it needs no more of it.
            excluded = pa.array(rows["excluded"] != 0)
            texts = {name: pc.if_else(excluded, pa.scalar(b"", column.type), column) for name, column in texts.items()}
        kept, dropped = _filter(table, rows, np.ones(len(rows), bool), (), filters, {})
        if not kept.all():
            rows = rows[kept]
            texts = {name: column.filter(pa.array(kept)) for name, column in texts.items()}
        return TableRows(rows, (), texts, faults, dropped, np.zeros(0, np.int64), parsed.rows_read, parsed.line_count)

    label_names = columns["LabelName"]
    codes = vocabulary.codes(label_names.values)[label_names.codes] if len(rows) else np.zeros(0, np.int32)
    rows["label"] = np.maximum(codes, 0)
    sources = _fill_source(rows, columns.get("Source")) if table is not Table.MASKS else ()
    # A value beyond float32 becomes infinite, which the checks find.
    with np.errstate(over="ignore"):
        if table is not Table.MASKS:
            rows["confidence"] = columns.get("Confidence", 1.0)
        for field, column in _COORDINATES_OF.get(table, {}).items():
            rows[field] = columns[column]
    if table is Table.BOXES:
        for field, column in FLAGS.items():
            if column not in columns:
                rows[field] = NO_COLUMN
                continue
            # A wild value stays wrong: it may neither wrap into a valid one nor pass for an absent column.
            flags = np.clip(columns[column], -128, 127)
            flags[flags == NO_COLUMN] = NO_COLUMN - 1
            rows[field] = flags

    usable = codes >= 0
    for index in np.flatnonzero(~usable):
        faults.append(_fault(rows[index], Reject.UNKNOWN_CLASS, label_names.values[label_names.codes[index]]))
    if table is Table.MASKS:
        checks = [(Reject.BAD_MASK_PATH, find_bad_paths(texts[MASK_PATH]))]
    else:
        # V1 has both kinds of label in one file, which is read as both tables.
        is_human = np.array([name != MACHINE_SOURCE for name in sources or ("",)])[rows["source"]]
        verified = is_human if table is Table.HUMAN_LABELS else False
        checks = [(Reject.BAD_CONFIDENCE, find_bad_confidence(rows, verified))]
    if table is Table.BOXES:
        checks += boxes.find_bad_boxes(rows)
    for reason, indices in checks:
        for index in indices[usable[indices]]:
            if reason is Reject.BAD_MASK_PATH:
                detail = f"{MASK_PATH}={texts[MASK_PATH][index].as_py()!r}"
            else:
                detail = _describe(rows[index], reason, columns, int(index))
            faults.append(_fault(rows[index], reason, detail))
        usable[indices] = False
    faults.sort(key=lambda fault: fault.line)

    class_rows = np.bincount(codes[usable], minlength=len(kept_codes))
    kept = usable & kept_codes[rows["label"]]
    outside = int(np.count_nonzero(usable) - np.count_nonzero(kept))
    kept, dropped = _filter(
        table, rows, kept, sources, filters, {Drop.CLASS_NOT_IN_LABEL_MAP: outside} if outside else {}
    )
    if not kept.all():
        rows, texts = rows[kept], {name: column.filter(pa.array(kept)) for name, column in texts.items()}
    return TableRows(rows, sources, texts, faults, dropped, class_rows, parsed.rows_read, parsed.line_count)


def _filter(
    table: Table,
    rows: np.ndarray,
    kept: np.ndarray,
    sources: tuple[str, ...],
    filters: RowFilters,
    dropped: dict[Drop, int],
) -> tuple[np.ndarray, dict[Drop, int]]:
    kept, dropped = kept.copy(), dict(dropped)
    for reason, indices in filters.find_dropped(table, rows, sources):
        if count := int(np.count_nonzero(kept[indices])):
            dropped[reason] = count
        kept[indices] = False
    return kept, dropped


def _fill_source(rows: np.ndarray, source: Category | None) -> tuple[str, ...]:
    if source is None or not len(rows):
        return ("",)
    # A column with hundreds of sources is not a Source column; the field holds one byte.
    names = tuple(source.values[:255]) + ("other",) * (len(source.values) > 255)
    rows["source"] = np.minimum(source.codes, 255)
    return names


def _describe(row: np.void, reason: Reject, columns: Mapping[str, Any], index: int) -> str:
    if reason is Reject.BAD_CONFIDENCE:
        return f"Confidence={row['confidence']!s}"
    if reason is Reject.BAD_FLAG:
        # The row holds them in a byte each, so a wild one is not as the file has it.
        return boxes.describe_flags({name: int(columns[name][index]) for name in FLAGS.values() if name in columns})
    return boxes.describe(row)


def _fault(row: np.void, reason: Reject, detail: str) -> RowFault:
    return RowFault(int(row["line"]), format_id(int(row["image_id"])), reason, detail)


def find_bad_confidence(rows: np.ndarray, verified: np.ndarray | bool = False) -> np.ndarray:
    """Finds rows whose confidence no reader could use.

    Args:
        rows: LABEL_ROW or BOX_ROW array [n].
        verified: bool array [n] or one bool: which rows are human labels. Those have 0 (verified absent) or 1
            (openimages/dataset READMEV3.md, "Image-level labels"); others have anything from 0.0 to 1.0. A human
            label in between is neither present nor absent: the API's tool for CSVs
            (oid_hierarchical_labels_expansion.py) stops at it, and its decoder expands only exact 0 and 1.

    Returns:
        Indices of the rows.
    """
    confidence = rows["confidence"]
    exact = (confidence == 0) | (confidence == 1)
    return np.flatnonzero(~(exact | ~np.asarray(verified) & (confidence >= 0) & (confidence <= 1)))


def find_bad_paths(paths: pa.Array) -> np.ndarray:
    """Returns the indices of values of MaskPath (binary) that name no file below the folder of the masks."""
    return np.flatnonzero(pc.match_substring_regex(paths, r"^/|^$|(^|/)\.\.(/|$)").to_numpy(zero_copy_only=False))


def base_names(paths: pa.Array) -> pa.Array:
    """Returns the values of MaskPath (binary) without folders."""
    return pc.replace_substring_regex(paths, r"^.*/", "")
