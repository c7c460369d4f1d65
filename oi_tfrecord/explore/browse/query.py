"""Queries for images and classes, and their results in the index."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.explore.browse.index import BrowseIndex
from oi_tfrecord.explore.browse.search_rows import FLAG_NAMES, LABEL_KINDS, flag_bits

KINDS = ("boxes", *LABEL_KINDS)


@dataclasses.dataclass(frozen=True)
class Query:
    """Conditions, all of which an image must meet.

    The conditions on class, flags and source apply to one box: an image is found if it has a box that meets all of
    them. With a `kind` of labels, the class is that of an image-level label, and the box may be of any class.

    Attributes:
        classes: MIDs; an image with one of them is enough.
        kind: one of KINDS: whether the class is that of a box or of a label.
        image_id: start of the ImageID.
        split: name of the split.
        flags: by flag, whether the box has it; a box whose record lacks the key of the flag meets neither condition.
        source: of the box.
        min_boxes, max_boxes: limits of the number of boxes of the image; -1 is no limit.
    """

    classes: tuple[str, ...] = ()
    kind: str = "boxes"
    image_id: str = ""
    split: str = ""
    flags: tuple[tuple[str, bool], ...] = ()
    source: str = ""
    min_boxes: int = -1
    max_boxes: int = -1


def parse_query(values: Mapping[str, str]) -> Query:
    """Makes a query from the parameters of a URL; other parameters are ignored.

    Args:
        values: `class` (MIDs with commas between), `kind`, `id`, `split`, `source`, `min_boxes`, `max_boxes`, and a
            flag's name with `yes` or `no`.

    Raises:
        ConfigError: naming the parameter with a bad value.
    """
    kind = values.get("kind") or "boxes"
    if kind not in KINDS:
        raise ConfigError("kind", f"{kind!r} is none of {', '.join(KINDS)}")
    flags = []
    for flag in FLAG_NAMES:
        if value := values.get(flag):
            if value not in ("yes", "no"):
                raise ConfigError(flag, f"{value!r} is neither yes nor no")
            flags.append((flag, value == "yes"))
    return Query(
        classes=tuple(filter(None, values.get("class", "").split(","))),
        kind=kind,
        image_id=values.get("id", ""),
        split=values.get("split", ""),
        flags=tuple(flags),
        source=values.get("source", ""),
        min_boxes=_parse_limit(values, "min_boxes"),
        max_boxes=_parse_limit(values, "max_boxes"),
    )


def find_images(index: BrowseIndex, query: Query) -> np.ndarray:
    """Returns the numbers of the records that meet a query, in order."""
    found = _meet_split(index, query) & _meet_box_count(index, query)
    if query.image_id:
        found &= _mark(index, [index.with_id(query.image_id)])
    if query.classes and query.kind != "boxes":
        found &= _mark(index, _find_labels(index, query))
    if (query.classes and query.kind == "boxes") or query.flags or query.source:
        found &= _mark(index, _find_boxes(index, query))
    return np.flatnonzero(found)


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


def _find_labels(index: BrowseIndex, query: Query) -> list[np.ndarray]:
    """Returns the records that have labels of the classes, for each class."""
    records = index.arrays[f"{query.kind}_record"]
    return [records[place] for place in _class_slices(index, query, query.kind)]


def _find_boxes(index: BrowseIndex, query: Query) -> list[np.ndarray]:
    """Returns the records that have boxes of the classes with the flags and source, for each class."""
    by_class = query.classes and query.kind == "boxes"
    slices = _class_slices(index, query, "box") if by_class else [slice(None)]
    return [_filter_boxes(index, query, place) for place in slices]


def _class_slices(index: BrowseIndex, query: Query, kind: str) -> list[slice]:
    """Returns where the boxes or labels of each known class are in the arrays of a kind."""
    starts = index.arrays[f"{kind}_start"]
    numbers = [index.classes.index(mid) for mid in query.classes if mid in index.classes]
    return [slice(starts[number], starts[number + 1]) for number in numbers]


def _filter_boxes(index: BrowseIndex, query: Query, place: slice) -> np.ndarray:
    """Returns the records of the boxes of a slice that have the flags and source of a query."""
    records = index.arrays["box_record"][place]
    keep_mask = np.ones(len(records), np.bool_)
    if query.source:
        if query.source not in index.sources:
            return records[:0]
        keep_mask &= index.arrays["box_source"][place] == index.sources.index(query.source)
    for flag, value in query.flags:
        is_set, is_known = flag_bits(flag)
        bits = index.arrays["box_flags"][place] & (is_set | is_known)
        keep_mask &= bits == (is_set | is_known if value else is_known)
    return records[keep_mask]


def _mark(index: BrowseIndex, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Returns whether each record is in one of several arrays of record numbers, a bool array [records]."""
    marked = np.zeros(index.records, np.bool_)
    for records in parts:
        marked[records] = True
    return marked


def find_classes(index: BrowseIndex, names: Mapping[str, str], text: str, most: int) -> list[dict[str, str | int]]:
    """Returns the classes whose name or MID contains a text, the best first.

    Args:
        index: of the dataset.
        names: display name of each MID.
        text: part of a name or MID, in upper or lower case.
        most: number of classes that are returned.

    Returns:
        MID, name, and the numbers of boxes and labels of each. Names equal to the text come first, then names that
        begin with the text, then all others; equally good classes come by the number of their boxes and labels.
    """
    folded_text = text.strip().casefold()
    found = []
    for number, mid in enumerate(index.classes):
        name = names.get(mid, mid)
        folded = name.casefold()
        if folded_text in (folded, mid.casefold()):
            rank = 0
        elif folded.startswith(folded_text):
            rank = 1
        elif folded_text in folded or folded_text in mid.casefold():
            rank = 2
        else:
            continue
        boxes, positive = index.count_of("box", number), index.count_of("positive", number)
        found.append((rank, -boxes, -positive, mid, name, number))
    found.sort()
    return [
        {
            "mid": mid,
            "name": name,
            "boxes": -boxes,
            "positive": -positive,
            "negative": index.count_of("negative", number),
            "machine": index.count_of("machine", number),
        }
        for _, boxes, positive, mid, name, number in found[:most]
    ]


def _parse_limit(values: Mapping[str, str], name: str) -> int:
    """Returns the number of boxes that a parameter gives; -1 without the parameter."""
    value = values.get(name, "")
    if not value:
        return -1
    # Python's isdecimal also takes the digits of other scripts. No image has a billion boxes.
    if not (value.isascii() and value.isdecimal() and len(value) <= 9):
        raise ConfigError(name, f"{value!r} is not a number of boxes")
    return int(value)
