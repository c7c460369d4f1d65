"""From the parsed columns of a CSV range to the rows of its table that are used: fill, check, filter."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa

from oi_tfrecord.openimages.classes import Vocabulary
from oi_tfrecord.openimages.csv.fill_rows import FilledRows, fill_rows
from oi_tfrecord.openimages.csv.filters import RowFilters
from oi_tfrecord.openimages.csv.find_bad_rows import BadRows, find_bad_rows
from oi_tfrecord.openimages.csv.parse import ParsedRows
from oi_tfrecord.openimages.csv.row_faults import Kind, id_kind
from oi_tfrecord.openimages.image_id import IMAGE_ID, IdForm, id_text
from oi_tfrecord.openimages.schema import (
    ATTRIBUTES,
    BOX_ID,
    COORDINATES,
    FLAGS,
    MASK_COORDINATES,
    MASK_PATH,
    PREDICTED_IOU,
    REQUIRED_COLUMNS,
    Table,
)
from oi_tfrecord.reasons import Drop, Reject

_OPTIONAL_KINDS = {
    "Source": Kind.CATEGORY,
    "Confidence": Kind.OPTIONAL_NUMBER,
    **dict.fromkeys(FLAGS.values(), Kind.FLAG),
}

_WANTED_KINDS = {
    BOX_ID: Kind.TEXT,
    PREDICTED_IOU: Kind.TEXT,
    **dict.fromkeys((column for column, _ in ATTRIBUTES.values()), Kind.CATEGORY),
}
"""Columns of annotations that are read only if records or filters need them."""

_REQUIRED_KINDS = {
    "ImageID": Kind.IMAGE_ID,
    "LabelName": Kind.CATEGORY,
    "Confidence": Kind.NUMBER,
    MASK_PATH: Kind.TEXT,
    **dict.fromkeys((*COORDINATES.values(), *MASK_COORDINATES.values()), Kind.NUMBER),
}


@dataclasses.dataclass(frozen=True)
class RowRules:
    """Which rows of the tables are used.

    Attributes:
        vocabulary: MIDs and their codes; a row of another class is rejected.
        kept_codes: bool array [len(vocabulary)], the classes of the class list.
        filters: what else is left out.
    """

    vocabulary: Vocabulary
    kept_codes: np.ndarray
    filters: RowFilters = dataclasses.field(default_factory=RowFilters)


@dataclasses.dataclass(frozen=True)
class RowFault:
    """A row that is rejected.

    Attributes:
        line: line of the row, from 0 within the range.
        image_id: the ImageID; empty if the row cannot be read.
        reason: why the row is rejected.
        detail: the values at fault, for the list of rejects.
    """

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
        text_columns: raw text columns beside the rows, by column name.
        faults: rejected rows, in file order.
        dropped: number of rows left out by the configuration, by reason.
        class_rows: for annotation tables, usable and dropped rows per vocabulary code.
        rows_read: rows of the range, usable or not.
        line_count: lines of the range.
    """

    rows: np.ndarray
    sources: tuple[str, ...]
    text_columns: Mapping[str, pa.BinaryArray]
    faults: list[RowFault]
    dropped: dict[Drop, int]
    class_rows: np.ndarray
    rows_read: int
    line_count: int


def columns_to_parse(
    table: Table,
    names: Sequence[str],
    text_columns: Collection[str] = (),
    subset: bool = False,
    id_form: IdForm = IdForm.HEX,
) -> dict[str, Kind]:
    """Returns the columns to parse of a file with the header `names`, and how.

    Args:
        table: the file's table.
        names: its header.
        text_columns: free-text columns of the metadata to keep beside the rows, and columns of annotations that only
            some conversions read.
        subset: whether rows are filtered by the Subset column.
        id_form: what the ImageIDs are.
    """
    required = {name: _REQUIRED_KINDS[name] for name in REQUIRED_COLUMNS[table]}
    required[IMAGE_ID] = id_kind(id_form)
    if table is Table.METADATA:
        optional = {name: Kind.TEXT for name in names if name in text_columns}
        if subset and "Subset" in names:
            optional["Subset"] = Kind.CATEGORY
    else:
        wanted = {name: kind for name, kind in _WANTED_KINDS.items() if name in text_columns}
        optional = {name: kind for name, kind in (_OPTIONAL_KINDS | wanted).items() if name in names}
        optional = {name: kind for name, kind in optional.items() if name not in required}
    return required | optional


def make_rows(table: Table, parsed: ParsedRows, rules: RowRules) -> TableRows:
    """Checks the rows of one range and lays them out for the join.

    Args:
        table: the range's table.
        parsed: its columns, as `columns_to_parse` names them.
        rules: which rows are used.

    Returns:
        The usable rows. First come the checks of the data, then the filters of the configuration,
        so that a fault is never hidden by a filter.
    """
    filled = fill_rows(table, parsed, rules.vocabulary, rules.filters.subsets)
    usable, faults = _reject(filled, find_bad_rows(table, filled, parsed.columns))
    keep_mask, dropped = _filter(table, filled, usable, rules)
    rows, columns = filled.rows, filled.text_columns
    if not keep_mask.all():
        rows, columns = (
            rows.take(np.flatnonzero(keep_mask)),
            {name: column.filter(pa.array(keep_mask)) for name, column in columns.items()},
        )
    if parsed.repeated_headers:
        dropped[Drop.REPEATED_HEADER] = parsed.repeated_headers
    unreadable = [RowFault(item.line, "", item.reason, item.detail) for item in parsed.rejects]
    return TableRows(
        rows=rows,
        sources=filled.sources,
        text_columns=columns,
        faults=sorted(unreadable + faults, key=lambda fault: fault.line),
        dropped=dropped,
        class_rows=_count_classes(table, filled, usable, rules),
        rows_read=parsed.rows_read,
        line_count=parsed.line_count,
    )


def _reject(filled: FilledRows, bad: Sequence[BadRows]) -> tuple[np.ndarray, list[RowFault]]:
    """Returns (bool array [n], the usable rows; the faults of the rest)."""
    rows = filled.rows
    usable = np.ones(len(rows), bool)
    faults = []
    for failed in bad:
        for index in failed.indices[usable[failed.indices]].tolist():
            image_id = id_text(int(rows["image_id"][index]), filled.text_columns, index)
            faults.append(RowFault(int(rows["line"][index]), image_id, failed.reason, failed.describe(index)))
        usable[failed.indices] = False
    return usable, faults


def _filter(
    table: Table, filled: FilledRows, usable: np.ndarray, rules: RowRules
) -> tuple[np.ndarray, dict[Drop, int]]:
    """Returns (bool array [n], the usable rows that are kept; number of rows that are left out, by reason)."""
    keep_mask = usable.copy()
    dropped = {}
    if table is not Table.METADATA:
        keep_mask &= rules.filters.find_of_classes(table, filled.rows, rules.kept_codes)
        dropped[Drop.CLASS_NOT_IN_LABEL_MAP] = int(np.count_nonzero(usable) - np.count_nonzero(keep_mask))
    for reason, indices in rules.filters.find_dropped(table, filled.rows, filled.sources, filled.text_columns):
        dropped[reason] = int(np.count_nonzero(keep_mask[indices]))
        keep_mask[indices] = False
    return keep_mask, {reason: count for reason, count in dropped.items() if count}


def _count_classes(table: Table, filled: FilledRows, usable: np.ndarray, rules: RowRules) -> np.ndarray:
    """Returns the number of usable rows of each vocabulary code; empty for metadata, which has no classes."""
    if table is Table.METADATA:
        return np.zeros(0, np.int64)
    return np.bincount(filled.codes[usable], minlength=len(rules.kept_codes))
