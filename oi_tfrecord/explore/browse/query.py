"""What is looked for in a dataset, and which images it is."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.explore.browse.index import BrowseIndex
from oi_tfrecord.explore.browse.shard_rows import FLAG_NAMES, LABEL_KINDS, flag_bits

KINDS = ("boxes", *LABEL_KINDS)


@dataclasses.dataclass(frozen=True)
class Query:
    """Conditions, all of which an image must meet.

    Those on class, flags and source are of one and the same box: an image is found if it has such a box. With a
    `kind` of labels the class is that of an image-level label, and the box may be of any class.

    Attributes:
        classes: MIDs, of which one is enough.
        kind: one of KINDS, what the class is of.
        image_id: what the ImageID begins with.
        split: name.
        flags: by flag, whether the box has it; a box whose record does not tell has neither.
        source: of the box.
        min_boxes, max_boxes: number of boxes of the image; -1 is no limit.
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
    """Makes a query of the parameters of a URL; other parameters are not looked at.

    Args:
        values: `class` (MIDs with commas between), `kind`, `id`, `split`, `source`, `min_boxes`, `max_boxes`, and a
            flag's name with `yes` or `no`.

    Raises:
        ConfigError: naming the parameter whose value is none.
    """
    kind = values.get("kind") or "boxes"
    if kind not in KINDS:
        raise ConfigError("kind", f"no kind {kind!r}; there are {', '.join(KINDS)}")
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
        min_boxes=_limit(values, "min_boxes"),
        max_boxes=_limit(values, "max_boxes"),
    )


def find_images(index: BrowseIndex, query: Query) -> np.ndarray:
    """Returns the numbers of the records that meet a query, in order."""
    found = np.ones(index.records, np.bool_)
    if query.split:
        if query.split not in index.splits:
            return np.zeros(0, np.int64)
        place = index.splits.index(query.split)
        found[: index.split_starts[place]] = False
        found[index.split_starts[place + 1] :] = False
    if query.image_id:
        found &= _mark(index, [index.with_id(query.image_id)])
    boxes = index.arrays["boxes"]
    if query.min_boxes >= 0:
        found &= boxes >= query.min_boxes
    if query.max_boxes >= 0:
        found &= boxes <= query.max_boxes
    numbers = [index.classes.index(mid) for mid in query.classes if mid in index.classes]
    if query.classes and query.kind != "boxes":
        starts = index.arrays[f"{query.kind}_start"]
        records = index.arrays[f"{query.kind}_record"]
        found &= _mark(index, [records[starts[number] : starts[number + 1]] for number in numbers])
    of_class = bool(query.classes) and query.kind == "boxes"
    if of_class or query.flags or query.source:
        starts = index.arrays["box_start"]
        slices = [slice(starts[number], starts[number + 1]) for number in numbers] if of_class else [slice(None)]
        found &= _mark(index, [_boxes(index, query, place) for place in slices])
    return np.flatnonzero(found)


def find_classes(index: BrowseIndex, names: Mapping[str, str], text: str, most: int) -> list[dict[str, str | int]]:
    """Returns the classes whose name or MID holds a text, best first.

    Args:
        index: of the dataset.
        names: display name of each MID.
        text: what is looked for, in any case.
        most: how many.

    Returns:
        MID, name, and the numbers of boxes and labels of each. Equal names come before names that begin with the text,
        and those before others; then the most frequent first.
    """
    wanted = text.strip().casefold()
    found = []
    for number, mid in enumerate(index.classes):
        name = names.get(mid, mid)
        folded = name.casefold()
        if wanted in (folded, mid.casefold()):
            rank = 0
        elif folded.startswith(wanted):
            rank = 1
        elif wanted in folded or wanted in mid.casefold():
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


def _mark(index: BrowseIndex, parts: Sequence[np.ndarray]) -> np.ndarray:
    marked = np.zeros(index.records, np.bool_)
    for records in parts:
        marked[records] = True
    return marked


def _boxes(index: BrowseIndex, query: Query, place: slice) -> np.ndarray:
    """Returns the records of the boxes of a slice that have the flags and source of a query."""
    records = index.arrays["box_record"][place]
    if query.source:
        if query.source not in index.sources:
            return records[:0]
        wanted = index.arrays["box_source"][place] == index.sources.index(query.source)
    else:
        wanted = np.ones(len(records), np.bool_)
    for flag, value in query.flags:
        is_set, is_known = flag_bits(flag)
        bits = index.arrays["box_flags"][place] & (is_set | is_known)
        wanted &= bits == (is_set | is_known if value else is_known)
    return records[wanted]


def _limit(values: Mapping[str, str], name: str) -> int:
    value = values.get(name, "")
    if not value:
        return -1
    # Digits of other scripts are decimal too, and more than these fit no number of boxes.
    if not (value.isascii() and value.isdecimal() and len(value) <= 9):
        raise ConfigError(name, f"{value!r} is no number of boxes")
    return int(value)
