"""Label maps: which id each class has in the records."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.openimages.hierarchy import Hierarchy

LABEL_ORDERS = ("list", "mid", "frequency")
"""In which order classes get their ids: as listed, by MID in code-point order, or by descending number of rows."""

_MAX_ID = 2**31 - 1

_NAMED_IN_ERRORS = 20


@dataclass(frozen=True)
class LabelMapItem:
    """A class in a label map.

    Args:
        id: The number in `image/object/class/label`, from 1 to 2**31 - 1; 0 for the item `background` alone.
        name: The MID, as in `image/object/class/text`.
        display_name: The description for people.
        ancestor_ids: Ids of all ancestors in the class hierarchy, not of the parents alone.
        descendant_ids: Ids of all descendants in the class hierarchy, not of the children alone.
        unused: The fields that no reader of Open Images uses (keypoints, frequency, instance_count), as a serialised
            StringIntLabelMapItem.
    """

    id: int
    name: str
    display_name: str
    ancestor_ids: tuple[int, ...] = ()
    descendant_ids: tuple[int, ...] = ()
    unused: bytes = b""


@dataclass(frozen=True)
class LabelMap:
    """The classes of a data set, in the order of the file; ids may have gaps.

    Raises:
        ConfigError: If an id is out of range, an id or a name occurs twice, or a relative is no item.
    """

    items: tuple[LabelMapItem, ...]

    def __post_init__(self) -> None:
        if fault := find_fault(self.items):
            raise ConfigError("label_map", fault.problem)

    @functools.cached_property
    def id_of(self) -> dict[str, int]:
        """MID -> id."""
        return {item.name: item.id for item in self.items}

    @functools.cached_property
    def expanded_boxes(self) -> dict[int, int]:
        """Id -> boxes that the Object Detection API's input reader makes of a box of the class.

        With `expand_labels_hierarchy` the reader adds a box for each ancestor that the label map names. Source:
        `get_label_map_hierarchy_lut` in utils/label_map_util.py.
        """
        return {item.id: len({item.id, *item.ancestor_ids}) for item in self.items}


class ItemFault(NamedTuple):
    """The first item that makes a label map invalid: its place among the items, from 0, and the problem."""

    item: int
    problem: str


def find_fault(items: Sequence[LabelMapItem]) -> ItemFault | None:
    """Returns the first fault of the items of a label map; None if they make a valid one."""
    ids = {item.id for item in items}
    name_of: dict[int, str] = {}
    id_of: dict[str, int] = {}
    for index, item in enumerate(items):
        dangling = [id for id in (*item.ancestor_ids, *item.descendant_ids) if id not in ids]
        if not item.name:
            return ItemFault(index, f"the item with id {item.id} has no name")
        if not 1 <= item.id <= _MAX_ID and not is_background(item):
            return ItemFault(index, f"{item.name} has the id {item.id}, and ids go from 1 to {_MAX_ID}")
        if item.id in name_of:
            return ItemFault(
                index, f"{item.name} and {name_of[item.id]} have the same id {item.id}, so records could not name both"
            )
        if item.name in id_of:
            return ItemFault(index, f"{item.name} has two ids, {id_of[item.name]} and {item.id}")
        if dangling:
            return ItemFault(index, f"{item.name} has the relative {dangling[0]}, which is no id in the label map")
        name_of[item.id], id_of[item.name] = item.name, item.id
    return None


def is_background(item: LabelMapItem) -> bool:
    """Returns whether an item is the background, the only item that the API allows to have the id 0.

    Source: `_validate_label_map` of the Object Detection API (utils/label_map_util.py).
    """
    return item.id == 0 and "background" in (item.name, item.display_name)


def number_classes(mids: Sequence[str], descriptions: Mapping[str, str], first_id: int = 1) -> LabelMap:
    """Gives classes ids in the order in which they are listed.

    Args:
        mids: The class list, each MID once.
        descriptions: MID -> display name; a class without one gets its MID.
        first_id: The id of the first class.

    Returns:
        The label map, its items in the order of their ids.

    Raises:
        ConfigError: If a MID occurs twice.
    """
    return LabelMap(
        tuple(LabelMapItem(id, mid, descriptions.get(mid) or mid) for id, mid in enumerate(mids, start=first_id))
    )


def sort_by_frequency(mids: Sequence[str], rows: Mapping[str, int]) -> list[str]:
    """Sorts classes by descending number of boxes or labels, classes of equal number by MID.

    Args:
        mids: The class list.
        rows: MID -> number of boxes or labels; a class without an entry has none.
    """
    return sorted(mids, key=lambda mid: (-rows.get(mid, 0), mid))


def reuse_ids(existing: LabelMap, mids: Sequence[str], descriptions: Mapping[str, str]) -> LabelMap:
    """Restricts a label map to a class list, so that ids stay as they are across releases.

    Args:
        existing: The label map to reuse. Its classes outside the list are left out, and their ids stay unused.
        mids: The class list; all of them in the existing map.
        descriptions: MID -> display name; a class without one keeps that of the existing map.

    Returns:
        The label map, its items in the order of their ids; relatives outside the list are left out.

    Raises:
        ConfigError: If classes of the list are not in the existing map.
    """
    missing = [mid for mid in mids if mid not in existing.id_of]
    if missing:
        raise ConfigError(
            "label_map",
            f"{len(missing)} classes of the class list are not in the label map to reuse: {_enumerate(missing)}; "
            "remove them from the list, or append them with new ids (--append_classes)",
        )
    return _restrict(existing, mids, descriptions)


def reuse_ids_and_append(existing: LabelMap, mids: Sequence[str], descriptions: Mapping[str, str]) -> LabelMap:
    """Appends the classes that an existing label map lacks, under the ids after its highest, in list order.

    Args:
        existing: The label map; all its items stay, also those of classes outside the list.
        mids: The class list.
        descriptions: MID -> display name; a class without one keeps that of the existing map.

    Returns:
        The label map, its items in the order of their ids.
    """
    first_id = max(existing.id_of.values(), default=0) + 1
    missing = [mid for mid in mids if mid not in existing.id_of]
    appended = number_classes(missing, descriptions, first_id)
    return LabelMap(_restrict(existing, [*existing.id_of, *mids], descriptions).items + appended.items)


def with_relatives(label_map: LabelMap, hierarchy: Hierarchy) -> LabelMap:
    """Returns a label map whose items name their ancestors and descendants that are in the label map.

    The Object Detection API's input reader expands labels by them with `expand_labels_hierarchy`.

    Args:
        label_map: The classes of the data set.
        hierarchy: The classes' hierarchy.
    """
    id_of = label_map.id_of

    def ids(mids: frozenset[str]) -> tuple[int, ...]:
        return tuple(sorted(id_of[mid] for mid in mids if mid in id_of))

    return LabelMap(
        tuple(
            replace(
                item,
                ancestor_ids=ids(hierarchy.ancestors.get(item.name, frozenset())),
                descendant_ids=ids(hierarchy.descendants.get(item.name, frozenset())),
            )
            for item in label_map.items
        )
    )


def without_relatives(label_map: LabelMap) -> LabelMap:
    """Returns a label map that names no relatives, for records that are expanded already."""
    return LabelMap(tuple(replace(item, ancestor_ids=(), descendant_ids=()) for item in label_map.items))


def has_relatives(label_map: LabelMap) -> bool:
    """Returns whether a label map names relatives, by which a reader can expand the records."""
    return any(item.ancestor_ids or item.descendant_ids for item in label_map.items)


def _restrict(existing: LabelMap, mids: Sequence[str], descriptions: Mapping[str, str]) -> LabelMap:
    listed = set(mids)
    kept = sorted((item for item in existing.items if item.name in listed), key=lambda item: item.id)
    kept_ids = {item.id for item in kept}
    return LabelMap(
        tuple(
            replace(
                item,
                display_name=descriptions.get(item.name) or item.display_name,
                ancestor_ids=tuple(id for id in item.ancestor_ids if id in kept_ids),
                descendant_ids=tuple(id for id in item.descendant_ids if id in kept_ids),
            )
            for item in kept
        )
    )


def _enumerate(mids: Sequence[str]) -> str:
    more = len(mids) - _NAMED_IN_ERRORS
    return ", ".join(mids[:_NAMED_IN_ERRORS]) + (f" and {more} more" if more > 0 else "")
