"""What the manifest says of filters: a count for each filter that is set, and a warning for each name without a row."""

import base64
import dataclasses
import zlib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from oi_tfrecord.dataset.accounts import AccountSum
from oi_tfrecord.errors import nearest
from oi_tfrecord.openimages.csv.filters import VALUE_FILTERS
from oi_tfrecord.openimages.schema import CSV_TABLES, Table
from oi_tfrecord.reasons import Drop, Reject
from oi_tfrecord.settings.convert_config import ConvertConfig

_ANNOTATIONS = tuple(table for table in CSV_TABLES if table is not Table.METADATA)

_OF_IMAGES = tuple(Table)

_FILTERS: dict[str, tuple[Drop, tuple[Table, ...]]] = {
    "image_ids": (Drop.NOT_IN_IMAGE_LIST, _OF_IMAGES),
    "sample": (Drop.NOT_SAMPLED, _OF_IMAGES),
    "subset": (Drop.OTHER_SUBSET, (*CSV_TABLES, Table.IMAGE_FILES)),
    "classes": (Drop.CLASS_NOT_CHOSEN, _ANNOTATIONS),
    "min_confidence": (Drop.LOW_CONFIDENCE, (Table.BOXES, Table.MACHINE_LABELS)),
    "box_sources": (Drop.BOX_SOURCE, (Table.BOXES,)),
    "exclude_flags": (Drop.EXCLUDED_FLAG, (Table.BOXES,)),
    "min_box_side": (Drop.SMALL_BOX, (Table.BOXES,)),
    "min_predicted_iou": (Drop.LOW_PREDICTED_IOU, (Table.MASKS,)),
    "box_ids": (Drop.NOT_IN_BOX_ID_LIST, (Table.MASKS,)),
    "max_images": (Drop.OVER_MAX_IMAGES, _OF_IMAGES),
    "missing_images": (Drop.IMAGE_NOT_THERE, _OF_IMAGES),
}
"""Field of the configuration to the reason of the rows that its filter leaves out, and the tables that it filters."""

_FLAG_OF: dict[str, str] = {
    **{str(reason): field for field, (reason, _) in _FILTERS.items()},
    Drop.IMAGE_NOT_SELECTED: "select",
    Drop.CLASS_NOT_IN_LABEL_MAP: "class_list",
    Drop.NO_MASK: "boxes_without_mask",
}

_MOST_VALUES = 50

_NAMED_VALUES = 20

_NAMED_CLASSES = 10

_NAMED_REASONS = 3


def given_reasons(config: Mapping[str, Any], table: str) -> list[str]:
    """Returns the reasons for which the filters of a configuration leave out rows of a table, if any row has them.

    Args:
        config: Fields of the configuration; an absent field has its default.
        table: A table or listing.
    """
    default = ConvertConfig()
    return [
        str(reason)
        for field, (reason, tables) in _FILTERS.items()
        if table in tables and config.get(field) and config[field] != getattr(default, field)
    ]


def count_values(values: Sequence[str], codes: np.ndarray, named: Collection[str]) -> dict[str, int]:
    """Counts the values of the column of a value filter.

    Args:
        values: The values that occur.
        codes: int array [rows], for each row an index into `values`.
        named: The values that the filter names.

    Returns:
        Rows of each value that the filter names, and of the 50 most frequent other values: a column may hold any text.
    """
    counts = Counter(dict(zip(values, np.bincount(codes, minlength=len(values)).tolist(), strict=True)))
    unnamed = Counter({value: count for value, count in counts.items() if value not in named})
    of_named = {value: count for value, count in counts.items() if value in named}
    return of_named | dict(unnamed.most_common(_MOST_VALUES))


def pack_found(image_ids: np.ndarray, listed: np.ndarray) -> str:
    """Packs which ImageIDs of a list occur into text: a few bytes for each that occurs, however long the list.

    Args:
        image_ids: uint64 array [n], ImageIDs of rows in file order.
        listed: uint64 array [m], the list, sorted.
    """
    found = np.zeros(len(listed), bool)
    if len(listed):
        # The rows of an image lie together.
        distinct = image_ids[np.flatnonzero(np.diff(image_ids, prepend=~image_ids[:1]))]
        places = np.minimum(np.searchsorted(listed, distinct), len(listed) - 1)
        found[places[listed[places] == distinct]] = True
    return base64.b64encode(zlib.compress(np.packbits(found).tobytes(), 1)).decode() if found.any() else ""


def count_found(packed: Iterable[str], listed: int) -> int:
    """Returns how many of the `listed` ImageIDs occur in any range, given the `pack_found` of each range."""
    found = np.zeros((listed + 7) // 8, np.uint8)
    for text in packed:
        if text:
            found |= np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    return int(np.unpackbits(found).sum())


@dataclasses.dataclass(frozen=True)
class FilterNames:
    """The values, classes and ImageIDs that filters name; a name that no row has gives a warning.

    Attributes:
        values: Table to the values that its filter of VALUE_FILTERS names.
        classes: MID to name of the classes of `classes`; empty without that filter.
        counted: The table whose rows of each class are counted.
        listed: Number of ImageIDs in the list of `image_ids`; 0 without a list.
    """

    values: Mapping[Table, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    classes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    counted: Table = Table.BOXES
    listed: int = 0


def warn_of_filters(names: FilterNames, sums: AccountSum, split: Mapping[str, Any]) -> list[str]:
    """Returns a warning for names in filters that no row has, and for a conversion without any record.

    Args:
        names: What the filters name.
        sums: The sum of the accounts of all ranges and shards.
        split: Manifest of the split.
    """
    return [
        *(
            warning
            for table, named in names.values.items()
            if table in split["tables"]
            for warning in _warn_of_values(table, named, sums)
        ),
        *(_warn_of_classes(names, sums, split) if names.counted in split["tables"] else ()),
        *_warn_of_image_ids(names, sums),
        *warn_of_hierarchy(split),
        *_warn_of_no_record(split),
    ]


def _warn_of_values(table: Table, named: Sequence[str], sums: AccountSum) -> list[str]:
    field, column = VALUE_FILTERS[table]
    counts: Counter[str] = Counter()
    for account in sums.ranges:
        if account.table == table:
            counts.update(account.values)
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    frequent = ", ".join(f"{value!r} ({counts[value]:,} rows)" for value in ordered[:_NAMED_VALUES])
    frequent += ", ..." if len(ordered) > _NAMED_VALUES else ""
    return [
        f"--{field}={value}: no row of {table} has it as {column}{nearest(value, ordered) or '.'} "
        f"{f'There are {frequent}' if frequent else 'The table has no row that can be read'}"
        for value in named
        if value not in counts
    ]


def _warn_of_classes(names: FilterNames, sums: AccountSum, split: Mapping[str, Any]) -> list[str]:
    columns = ("boxes",) if names.counted is Table.BOXES else ("positive_labels", "negative_labels")
    # The class hierarchy can add boxes or labels to a class without a row.
    written = {item["mid"] for item in split["classes"] if any(item[column] for column in columns)}
    without = [mid for mid in names.classes if mid not in written and not sums.class_rows[mid]]
    if not without:
        return []
    named = ", ".join(f"{names.classes[mid]} ({mid})" for mid in without[:_NAMED_CLASSES])
    more = ", ..." if len(without) > _NAMED_CLASSES else ""
    return [
        f"--classes: no row of {names.counted} is of {len(without):,} of the {len(names.classes):,} classes: "
        f"{named}{more}"
    ]


def _warn_of_image_ids(names: FilterNames, sums: AccountSum) -> list[str]:
    missing = names.listed - count_found((account.found_ids for account in sums.ranges), names.listed)
    return [f"--image_ids: {missing:,} of {names.listed:,} ImageIDs are in no table"] if missing else []


def warn_of_hierarchy(split: Mapping[str, Any]) -> list[str]:
    """Returns a warning if a hierarchy was given by which no box and no label was added to the records of a split."""
    added = [table["added_by_hierarchy"] for table in split["tables"].values() if "added_by_hierarchy" in table]
    if not added or any(added) or not split["images"]["records"]:
        return []
    return [
        "--hierarchy added no box and no label: no class of the records has an ancestor or descendant in the label map "
        "that is not there already; give the hierarchy of the same classes"
    ]


def _warn_of_no_record(split: Mapping[str, Any]) -> list[str]:
    read = sum(table["rows_read"] for table in split["tables"].values())
    if split["images"]["records"] or not read:
        return []
    counts = [
        ("images", reason, count)
        for reason, count in (split["images"]["rejected"] | split["images"].get("skipped", {})).items()
    ]
    for name, table in split["tables"].items():
        by_reason = table["rejected"] | table["dropped"]
        counts += [(name, reason, n) for reason, n in by_reason.items() if n and reason != Reject.IMAGE_REJECTED]
    counts.sort(key=lambda item: (-item[2], item[0], item[1]))
    reasons = ", ".join(
        f"{reason} {count:,} of {name}{f' (--{_FLAG_OF[reason]})' if reason in _FLAG_OF else ''}"
        for name, reason, count in counts[:_NAMED_REASONS]
    )
    return [f"not one record, though {read:,} rows were read; most of them, by reason: {reasons or 'none'}"]
