"""Label maps: which id a class has in the records, as the Object Detection API and Model Garden read it.

Format: `StringIntLabelMap` of the Object Detection API (protos/string_int_label_map.proto) as protobuf text,
and the `id,name` CSV of Model Garden (official/vision/dataloaders/tf_example_label_map_decoder.py).
"""

import csv
import dataclasses
import functools
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

from oi_tfrecord.errors import ConfigError, InputError, nearest
from oi_tfrecord.openimages.classes import decode_text
from oi_tfrecord.openimages.hierarchy import Hierarchy
from oi_tfrecord.records.label_map_text import SYNTAX_REMEDY, Field, escape, parse_text_format, to_int, to_text


@dataclass(frozen=True)
class LabelMapItem:
    """A class in a label map.

    Args:
        id: the number in `image/object/class/label`, from 1 (0 is the background) to 2**31 - 1.
        name: the MID, as in `image/object/class/text`.
        display_name: the description for people.
        ancestor_ids, descendant_ids: ids of the transitive ancestors and descendants in the class hierarchy.
    """

    id: int
    name: str
    display_name: str
    ancestor_ids: tuple[int, ...] = ()
    descendant_ids: tuple[int, ...] = ()


@dataclass(frozen=True)
class LabelMap:
    """The classes of a data set, in the order of the file; ids may have gaps.

    Raises:
        ConfigError: if an id is out of range, an id or a name occurs twice, or a relative is no item.
    """

    items: tuple[LabelMapItem, ...]

    def __post_init__(self) -> None:
        fault = _first_fault(self.items)
        if fault:
            raise ConfigError("label_map", fault[1])

    @functools.cached_property
    def id_of(self) -> dict[str, int]:
        """MID -> id."""
        return {item.name: item.id for item in self.items}


def with_relatives(label_map: LabelMap, hierarchy: Hierarchy) -> LabelMap:
    """Returns a label map whose items name their relatives that are in it, for expansion when reading.

    The Object Detection API's input reader expands by them with `expand_labels_hierarchy`.

    Args:
        label_map: the classes of the data set.
        hierarchy: relatives that are not in the label map are left out.
    """
    id_of = label_map.id_of

    def ids(mids: frozenset[str]) -> tuple[int, ...]:
        return tuple(sorted(id_of[mid] for mid in mids if mid in id_of))

    def add(item: LabelMapItem) -> LabelMapItem:
        return dataclasses.replace(
            item,
            ancestor_ids=ids(hierarchy.ancestors.get(item.name, frozenset())),
            descendant_ids=ids(hierarchy.descendants.get(item.name, frozenset())),
        )

    return LabelMap(tuple(map(add, label_map.items)))


Order = Literal["list", "mid", "frequency"]

_MAX_ID = 2**31 - 1

_NAMED_IN_ERRORS = 20


def build(
    mids: Sequence[str],
    descriptions: Mapping[str, str],
    order: Order = "list",
    counts: Mapping[str, int] | None = None,
) -> LabelMap:
    """Gives the classes of a list ids from 1.

    Args:
        mids: the class list, each MID once.
        descriptions: MID -> display name; a class without one gets its MID.
        order: of the ids: as listed, by MID in code-point order, or by descending count, equal ones by MID.
        counts: MID -> number of boxes or labels, for order `frequency`; a class that is not in it counts 0.

    Returns:
        The label map, its items in the order of their ids.

    Raises:
        ConfigError: if a MID occurs twice, the order is unknown, or counts lack for order `frequency`.
    """
    match order:
        case "list":
            ordered = list(mids)
        case "mid":
            ordered = sorted(mids)
        case "frequency":
            if counts is None:
                raise ConfigError("label_map_order", "'frequency' needs the number of boxes or labels per class")
            frequency = counts
            ordered = sorted(mids, key=lambda mid: (-frequency.get(mid, 0), mid))
        case _:
            raise ConfigError("label_map_order", f"no such order {order!r}{nearest(str(order), get_args(Order))}")
    return LabelMap(
        tuple(LabelMapItem(id, mid, descriptions.get(mid) or mid) for id, mid in enumerate(ordered, start=1))
    )


def reuse(
    existing: LabelMap, mids: Sequence[str], descriptions: Mapping[str, str], *, append: bool = False
) -> LabelMap:
    """Restricts a label map to a class list, so that ids stay as they are across releases.

    Args:
        existing: the label map to reuse. Its classes outside the list are left out, and their ids stay unused.
        mids: the class list.
        descriptions: MID -> display name; a class without one keeps that of the existing map.
        append: whether classes that the existing map lacks get the ids after its highest, in list order.

    Returns:
        The label map, its items in the order of their ids; relatives outside the list are left out.

    Raises:
        ConfigError: if classes of the list are not in the existing map and append is false.
    """
    absent = [mid for mid in mids if mid not in existing.id_of]
    if absent and not append:
        raise ConfigError(
            "label_map",
            f"{len(absent)} classes of the class list are not in the label map to reuse: {_enumerate(absent)}; "
            "leave them out of the list, or have them appended with new ids",
        )
    listed = set(mids)
    kept = sorted((item for item in existing.items if item.name in listed), key=lambda item: item.id)
    kept_ids = {item.id for item in kept}
    first_new = max(existing.id_of.values(), default=0) + 1
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
        + tuple(LabelMapItem(id, mid, descriptions.get(mid) or mid) for id, mid in enumerate(absent, start=first_new))
    )


def format_pbtxt(label_map: LabelMap) -> str:
    """Writes a label map as protobuf text, in the layout of the published maps.

    Args:
        label_map: the label map.

    Returns:
        The text of `label_map.pbtxt`, with LF line ends, to be stored as UTF-8.
    """
    return "".join(
        f'item {{\n  name: "{escape(item.name)}"\n  id: {item.id}\n  display_name: "{escape(item.display_name)}"\n'
        + "".join(f"  ancestor_ids: {id}\n" for id in item.ancestor_ids)
        + "".join(f"  descendant_ids: {id}\n" for id in item.descendant_ids)
        + "}\n"
        for item in label_map.items
    )


def format_csv(label_map: LabelMap) -> str:
    """Writes a label map as the `id,name` CSV of Model Garden's `label_map_decoder`.

    `TfExampleDecoderLabelMap` takes int(column 1) as the id and column 2 as the value of
    `image/object/class/text`, and refuses a header, a blank row, a third column, and a file not named `*.csv`.

    Args:
        label_map: the label map.

    Returns:
        The text of the CSV, without header, with LF line ends.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows((item.id, item.name) for item in label_map.items)
    return text.getvalue()


def parse_pbtxt(text: str, path: str) -> LabelMap:
    """Reads a label map from protobuf text, as this tool or others write it.

    Args:
        text: the text; fields in any order, unknown ones are skipped.
        path: the file's name, for errors.

    Returns:
        The label map, its items in the order of the text. An item without display_name gets its name.

    Raises:
        InputError: naming the line, if the text is no protobuf text or the label map is not a valid one.
    """
    fields = [field for field in parse_text_format(text, path) if field.name == "item"]
    if not fields:
        raise InputError(path, "no item in the label map", "Give a label map of 'item { name: ... id: ... }' entries")
    items = tuple(_to_item(field, path) for field in fields)
    fault = _first_fault(items)
    if fault:
        index, problem = fault
        raise InputError(path, problem, "Give each class one item with an id of its own, from 1", fields[index].line)
    return LabelMap(items)


def decode_pbtxt(data: bytes, path: str) -> LabelMap:
    """Reads a label map from the bytes of its file, which every command does by this.

    Args:
        data: UTF-8, with a byte order mark or without.
        path: the file's name, for errors.

    Raises:
        InputError: naming the line, if the text is not UTF-8, or see `parse_pbtxt`.
    """
    return parse_pbtxt(decode_text(data, path), path)


def _first_fault(items: Sequence[LabelMapItem]) -> tuple[int, str] | None:
    """Returns the place of the first item that makes a label map invalid, and why."""
    ids = {item.id for item in items}
    name_of: dict[int, str] = {}
    id_of: dict[str, int] = {}
    for index, item in enumerate(items):
        dangling = [id for id in (*item.ancestor_ids, *item.descendant_ids) if id not in ids]
        if not item.name:
            return index, f"the item with id {item.id} has no name"
        if not 1 <= item.id <= _MAX_ID:
            return index, f"{item.name} has the id {item.id}, and ids go from 1 to {_MAX_ID}"
        if item.id in name_of:
            return index, f"{item.name} and {name_of[item.id]} have the same id {item.id}"
        if item.name in id_of:
            return index, f"{item.name} has two ids, {id_of[item.name]} and {item.id}"
        if dangling:
            return index, f"{item.name} has the relative {dangling[0]}, which is no id in the label map"
        name_of[item.id], id_of[item.name] = item.name, item.id
    return None


def _to_item(item: Field, path: str) -> LabelMapItem:
    if not isinstance(item.value, list):
        raise InputError(path, "an item is no { ... } entry", SYNTAX_REMEDY, item.line)
    texts: dict[str, str] = {}
    numbers: dict[str, list[int]] = {"id": [], "ancestor_ids": [], "descendant_ids": []}
    for field in item.value:
        if field.name in texts or (field.name == "id" and numbers["id"]):
            raise InputError(path, f"an item has two fields {field.name}", "Close each item with a }", field.line)
        if field.name in ("name", "display_name"):
            texts[field.name] = to_text(field, path)
        elif field.name in numbers:
            numbers[field.name].append(to_int(field, path))
    if "name" not in texts or not numbers["id"]:
        lacking = "id" if "name" in texts else "name"
        raise InputError(path, f"the item has no {lacking}", "Give each item a name and an id", item.line)
    name = texts["name"]
    return LabelMapItem(
        id=numbers["id"][0],
        name=name,
        display_name=texts.get("display_name", name),
        ancestor_ids=tuple(numbers["ancestor_ids"]),
        descendant_ids=tuple(numbers["descendant_ids"]),
    )


def _enumerate(mids: Sequence[str]) -> str:
    more = len(mids) - _NAMED_IN_ERRORS
    return ", ".join(mids[:_NAMED_IN_ERRORS]) + (f" and {more} more" if more > 0 else "")
