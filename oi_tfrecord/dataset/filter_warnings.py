"""What the manifest tells of the filters: a count for each that is given, and a warning of what no row had."""

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
from oi_tfrecord.openimages.schema import Listing, Table
from oi_tfrecord.reasons import Drop, Reject
from oi_tfrecord.settings.convert_config import ConvertConfig

_ANNOTATIONS = tuple(table for table in Table if table is not Table.METADATA)

_OF_IMAGES = (*Table, *Listing)

_FILTERS: dict[str, tuple[Drop, tuple[Table | Listing, ...]]] = {
    "image_ids": (Drop.NOT_IN_IMAGE_LIST, _OF_IMAGES),
    "sample": (Drop.NOT_SAMPLED, _OF_IMAGES),
    "subset": (Drop.OTHER_SUBSET, (*Table, Listing.IMAGE_FILES)),
    "classes": (Drop.CLASS_NOT_CHOSEN, _ANNOTATIONS),
    "min_confidence": (Drop.LOW_CONFIDENCE, (Table.BOXES, Table.MACHINE_LABELS)),
    "box_sources": (Drop.BOX_SOURCE, (Table.BOXES,)),
    "exclude_flags": (Drop.EXCLUDED_FLAG, (Table.BOXES,)),
    "min_box_side": (Drop.SMALL_BOX, (Table.BOXES,)),
    "max_images": (Drop.OVER_MAX_IMAGES, _OF_IMAGES),
}
"""Field of the configuration to the reason that its filter leaves a row out for, and the tables that it is for."""

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
    """Returns the reasons that the filters of a configuration leave rows of a table out for, occurring or not.

    Args:
        config: fields of the configuration; one that is absent is not given.
        table: a table or listing.
    """
    default = ConvertConfig()
    return [
        str(reason)
        for field, (reason, tables) in _FILTERS.items()
        if table in tables and config.get(field) and config[field] != getattr(default, field)
    ]


def count_values(values: Sequence[str], codes: np.ndarray, named: Collection[str]) -> dict[str, int]:
    """Counts the values of a column that a filter names values of.

    Args:
        values: those that occur.
        codes: int array, for each row an index into `values`.
        named: those that the filter names.

    Returns:
        Rows of each value: of those that are named, and of the 50 most frequent others, as a column may hold any text.
    """
    counts = Counter(dict(zip(values, np.bincount(codes, minlength=len(values)).tolist(), strict=True)))
    others = Counter({value: count for value, count in counts.items() if value not in named})
    return {value: count for value, count in counts.items() if value in named} | dict(others.most_common(_MOST_VALUES))


def pack_found(image_ids: np.ndarray, listed: np.ndarray) -> str:
    """Returns which ImageIDs of a list occur, as text: some bytes for each that does, however long the list.

    Args:
        image_ids: uint64 array [n], of rows in file order.
        listed: uint64 array [m], sorted.
    """
    found = np.zeros(len(listed), bool)
    if len(listed):
        # The rows of an image lie together.
        distinct = image_ids[np.flatnonzero(np.diff(image_ids, prepend=~image_ids[:1]))]
        places = np.minimum(np.searchsorted(listed, distinct), len(listed) - 1)
        found[places[listed[places] == distinct]] = True
    return base64.b64encode(zlib.compress(np.packbits(found).tobytes(), 1)).decode() if found.any() else ""


def count_found(packed: Iterable[str], listed: int) -> int:
    """Returns how many of `listed` ImageIDs occur anywhere, by what `pack_found` gave of each range."""
    found = np.zeros((listed + 7) // 8, np.uint8)
    for text in packed:
        if text:
            found |= np.frombuffer(zlib.decompress(base64.b64decode(text)), np.uint8)
    return int(np.unpackbits(found).sum())


@dataclasses.dataclass(frozen=True)
class AskedFor:
    """What filters name, of which a user is to be told if there is none.

    Attributes:
        values: table to the values that its filter of VALUE_FILTERS names.
        classes: MID to name of the classes of `classes`; empty if that is not given.
        counted: the table whose rows of each class are counted.
        listed: number of ImageIDs in the list of `image_ids`; 0 if that is not given.
    """

    values: Mapping[Table, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    classes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    counted: Table = Table.BOXES
    listed: int = 0


def warn_of_filters(asked: AskedFor, totals: AccountSum, split: Mapping[str, Any]) -> list[str]:
    """Returns what a user should know of filters that named what is not there, and of a conversion that left nothing.

    Args:
        asked: what the filters name.
        totals: results of all ranges and shards.
        split: manifest of the split.
    """
    warnings = []
    for table, named in asked.values.items():
        if table in split["tables"]:
            warnings += _warn_of_values(table, named, totals)
    if asked.classes and asked.counted in split["tables"]:
        warnings += _warn_of_classes(asked, totals, split)
    if asked.listed:
        missing = asked.listed - count_found((result.found_ids for result in totals.ranges), asked.listed)
        if missing:
            warnings.append(f"--image_ids: {missing:,} of {asked.listed:,} ImageIDs are in no table")
    return warnings + _warn_of_nothing(split)


def _warn_of_values(table: Table, named: Sequence[str], totals: AccountSum) -> list[str]:
    field, column = VALUE_FILTERS[table]
    counts: Counter[str] = Counter()
    for result in totals.ranges:
        if result.table == table:
            counts.update(result.values)
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    there = ", ".join(f"{value!r} ({counts[value]:,} rows)" for value in ordered[:_NAMED_VALUES])
    there += ", ..." if len(ordered) > _NAMED_VALUES else ""
    return [
        f"--{field}={value}: no row of {table} has it as {column}{nearest(value, ordered) or '.'} "
        f"{f'There are {there}' if there else 'The table has no row that can be read'}"
        for value in named
        if value not in counts
    ]


def _warn_of_classes(asked: AskedFor, totals: AccountSum, split: Mapping[str, Any]) -> list[str]:
    columns = ("boxes",) if asked.counted is Table.BOXES else ("positive_labels", "negative_labels")
    # By the hierarchy, a class may have what no row of the table is of.
    written = {item["mid"] for item in split["classes"] if any(item[column] for column in columns)}
    without = [mid for mid in asked.classes if mid not in written and not totals.class_rows[mid]]
    if not without:
        return []
    named = ", ".join(f"{asked.classes[mid]} ({mid})" for mid in without[:_NAMED_CLASSES])
    more = ", ..." if len(without) > _NAMED_CLASSES else ""
    return [
        f"--classes: no row of {asked.counted} is of {len(without):,} of the {len(asked.classes):,} classes: "
        f"{named}{more}"
    ]


def _warn_of_nothing(split: Mapping[str, Any]) -> list[str]:
    read = sum(table["rows_read"] for table in split["tables"].values())
    if split["images"]["records"] or not read:
        return []
    counts = [("images", reason, count) for reason, count in split["images"]["rejected"].items()]
    for name, table in split["tables"].items():
        by_reason = table["rejected"] | table["dropped"]
        counts += [(name, reason, n) for reason, n in by_reason.items() if n and reason != Reject.IMAGE_REJECTED]
    counts.sort(key=lambda item: (-item[2], item[0], item[1]))
    reasons = ", ".join(
        f"{reason} {count:,} of {name}{f' (--{_FLAG_OF[reason]})' if reason in _FLAG_OF else ''}"
        for name, reason, count in counts[:_NAMED_REASONS]
    )
    return [f"not one record, though {read:,} rows were read; most of them, by reason: {reasons or 'none'}"]
