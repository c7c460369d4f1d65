"""Queries for images, and their results in the index."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.explore.browse.class_list import KINDS, ClassList
from oi_tfrecord.explore.browse.index import BrowseIndex
from oi_tfrecord.explore.browse.predictions import OUTCOMES
from oi_tfrecord.explore.browse.search_rows import FLAG_NAMES, MASK_BIT, flag_bits
from oi_tfrecord.explore.browse.sort_images import ORDERS, sort_images

AUTO = "auto"
"""Kind of a query: each class is searched by what the class has."""

MATCHES = ("any", "all")


@dataclasses.dataclass(frozen=True)
class Query:
    """Conditions, all of which an image must meet, and the order of the images.

    The conditions on class, flags and source apply to one box: an image is found if it has a box that meets all of
    them. Where the class is that of an image-level label, the box may be of any class.

    Attributes:
        classes: MIDs or names.
        match: one of MATCHES: whether an image needs one of the classes, or all of them.
        kind: AUTO, or one of KINDS: whether the class is that of a box, a label, or a box with a mask.
        image_id: start of the ImageID.
        split: name of the split.
        flags: by flag, whether the box has it; a box whose record lacks the key of the flag meets neither condition.
        source: of the box.
        min_boxes, max_boxes: limits of the number of boxes of the image; -1 is no limit.
        order: one of ORDERS.
        seed: of the random order.
        score: least score of the detections that count.
        outcome: images with a box or detection of this outcome, one of OUTCOMES; empty for all images.
    """

    classes: tuple[str, ...] = ()
    match: str = MATCHES[0]
    kind: str = AUTO
    image_id: str = ""
    split: str = ""
    flags: tuple[tuple[str, bool], ...] = ()
    source: str = ""
    min_boxes: int = -1
    max_boxes: int = -1
    order: str = ORDERS[0]
    seed: int = 0
    score: float = 0.5
    outcome: str = ""


def parse_query(values: Mapping[str, str], classes: ClassList) -> Query:
    """Makes a query from the parameters of a URL; other parameters are ignored.

    Args:
        values: `class` (MIDs or names with commas between), `match`, `kind`, `id`, `split`, `source`, `min_boxes`,
            `max_boxes`, `sort`, `seed`, `score`, `outcome`, and a flag's name with `yes` or `no`.
        classes: of the dataset.

    Raises:
        ConfigError: naming the parameter with a bad value.
    """
    flags = []
    for flag in FLAG_NAMES:
        if value := values.get(flag):
            if value not in ("yes", "no"):
                raise ConfigError(flag, f"{value!r} is neither yes nor no")
            flags.append((flag, value == "yes"))
    return Query(
        classes=classes.split(values.get("class", "")),
        match=_parse_choice(values, "match", MATCHES),
        kind=_parse_choice(values, "kind", (AUTO, *KINDS)),
        image_id=values.get("id", ""),
        split=values.get("split", ""),
        flags=tuple(flags),
        source=values.get("source", ""),
        min_boxes=_parse_number(values, "min_boxes", -1),
        max_boxes=_parse_number(values, "max_boxes", -1),
        order=_parse_choice(values, "sort", ORDERS),
        seed=_parse_number(values, "seed", 0),
        score=_parse_score(values),
        outcome=_parse_choice(values, "outcome", ("", *OUTCOMES)),
    )


def find_images(index: BrowseIndex, classes: ClassList, query: Query) -> np.ndarray:
    """Returns the numbers of the records that meet a query, in the order of the query."""
    found = _meet_split(index, query) & _meet_box_count(index, query)
    if query.image_id:
        found &= _mark(index, [index.with_id(query.image_id)])
    if query.classes:
        of_each = [_meet_class(index, classes, query, text) for text in query.classes]
        found &= np.logical_and.reduce(of_each) if query.match == "all" else np.logical_or.reduce(of_each)
    elif query.flags or query.source:
        found &= _meet_box(index, query)
    return sort_images(index, np.flatnonzero(found), query.order, query.seed)


def count_alone(index: BrowseIndex, classes: ClassList, query: Query) -> list[dict[str, Any]]:
    """Returns how many images each condition of a query finds by itself, which explains why all together find none.

    Returns:
        For each condition, the parameter of the URL, its value, and the number of images.
    """
    alone: list[tuple[str, str, Query]] = [
        ("class", text, Query(classes=(text,), kind=query.kind)) for text in query.classes
    ]
    alone += [(flag, "yes" if value else "no", Query(flags=((flag, value),))) for flag, value in query.flags]
    if query.image_id:
        alone.append(("id", query.image_id, Query(image_id=query.image_id)))
    if query.split:
        alone.append(("split", query.split, Query(split=query.split)))
    if query.source:
        alone.append(("source", query.source, Query(source=query.source)))
    if query.min_boxes >= 0:
        alone.append(("min_boxes", str(query.min_boxes), Query(min_boxes=query.min_boxes)))
    if query.max_boxes >= 0:
        alone.append(("max_boxes", str(query.max_boxes), Query(max_boxes=query.max_boxes)))
    return [
        {"name": name, "value": value, "images": len(find_images(index, classes, one))} for name, value, one in alone
    ]


def _meet_class(index: BrowseIndex, classes: ClassList, query: Query, text: str) -> np.ndarray:
    """Returns whether each record has a class by its MID or name, a bool array [records]."""
    found = np.zeros(index.records, np.bool_)
    for number in classes.find(text):
        kind = classes.kind_of(number) if query.kind == AUTO else query.kind
        if kind in ("boxes", "masks"):
            starts = index.arrays["box_start"]
            place = slice(starts[number], starts[number + 1])
            found |= _mark(index, [_filter_boxes(index, query, place, MASK_BIT if kind == "masks" else 0)])
        else:
            starts = index.arrays[f"{kind}_start"]
            labelled = _mark(index, [index.arrays[f"{kind}_record"][starts[number] : starts[number + 1]]])
            found |= labelled & _meet_box(index, query) if query.flags or query.source else labelled
    return found


def _meet_box(index: BrowseIndex, query: Query) -> np.ndarray:
    """Returns whether each record has a box of any class with the flags and source, a bool array [records]."""
    return _mark(index, [_filter_boxes(index, query, slice(None), 0)])


def _meet_split(index: BrowseIndex, query: Query) -> np.ndarray:
    """Returns whether each record is in the split, a bool array [records]."""
    found = np.ones(index.records, np.bool_)
    if query.split:
        place = index.splits.index(query.split) if query.split in index.splits else len(index.splits)
        starts = [*index.split_starts.tolist(), index.records]
        found[: starts[place]] = False
        found[starts[place + 1] :] = False
    return found


def _meet_box_count(index: BrowseIndex, query: Query) -> np.ndarray:
    """Returns whether the number of boxes of each record is within the limits, a bool array [records]."""
    boxes = index.arrays["boxes"]
    found = np.ones(index.records, np.bool_)
    if query.min_boxes >= 0:
        found &= boxes >= query.min_boxes
    if query.max_boxes >= 0:
        found &= boxes <= query.max_boxes
    return found


def _filter_boxes(index: BrowseIndex, query: Query, place: slice, bits: int) -> np.ndarray:
    """Returns the records of the boxes of a slice that have the flags and source of a query, and given bits."""
    records = index.arrays["box_record"][place]
    keep_mask = np.ones(len(records), np.bool_)
    if query.source:
        if query.source not in index.sources:
            return records[:0]
        keep_mask &= index.arrays["box_source"][place] == index.sources.index(query.source)
    if bits:
        keep_mask &= (index.arrays["box_flags"][place] & bits) == bits
    for flag, value in query.flags:
        is_set, is_known = flag_bits(flag)
        own_bits = index.arrays["box_flags"][place] & (is_set | is_known)
        keep_mask &= own_bits == (is_set | is_known if value else is_known)
    return records[keep_mask]


def _mark(index: BrowseIndex, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Returns whether each record is in one of several arrays of record numbers, a bool array [records]."""
    marked = np.zeros(index.records, np.bool_)
    for records in parts:
        marked[records] = True
    return marked


def _parse_choice(values: Mapping[str, str], name: str, allowed: Sequence[str]) -> str:
    """Returns the value of a parameter; the first one that is allowed without the parameter."""
    value = values.get(name) or allowed[0]
    if value not in allowed:
        raise ConfigError(name, f"{value!r} is none of {', '.join(allowed)}")
    return value


def _parse_score(values: Mapping[str, str]) -> float:
    """Returns the least score that the parameter gives."""
    value = values.get("score") or "0.5"
    if not re.fullmatch(r"[01](\.[0-9]{1,9})?|\.[0-9]{1,9}", value):
        raise ConfigError("score", f"{value!r} is no number from 0 to 1")
    return float(value)


def _parse_number(values: Mapping[str, str], name: str, default: int) -> int:
    """Returns the number that a parameter gives."""
    value = values.get(name, "")
    if not value:
        return default
    # Python's isdecimal also takes the digits of other scripts. No image has a billion boxes.
    if not (value.isascii() and value.isdecimal() and len(value) <= 9):
        raise ConfigError(name, f"{value!r} is no number below a billion")
    return int(value)
