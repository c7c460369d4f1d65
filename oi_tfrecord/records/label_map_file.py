"""The two files of a label map: protobuf text for the Object Detection API, and a CSV for Model Garden.

Formats: `StringIntLabelMap` of the Object Detection API (protos/string_int_label_map.proto) as protobuf text, and the
`id,name` CSV of Model Garden (official/vision/dataloaders/tf_example_label_map_decoder.py).
"""

import csv
import io
import re
from typing import Any

from google.protobuf import text_format

from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.classes import decode_text
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem, find_fault
from oi_tfrecord.records.message_types import StringIntLabelMap

_TOKEN = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|\#.*|\w+|[{}<>]""")
"""A string, a comment, a word or a bracket of protobuf text."""


_USED_FIELDS = ("name", "id", "display_name", "ancestor_ids", "descendant_ids")


def format_pbtxt(label_map: LabelMap) -> str:
    """Writes a label map as protobuf text, in the layout of the published maps.

    Args:
        label_map: The label map.

    Returns:
        The text of `label_map.pbtxt`, with LF line ends, to be stored as UTF-8.
    """
    message = StringIntLabelMap()
    for item in label_map.items:
        added = message.item.add(
            name=item.name,
            id=item.id,
            display_name=item.display_name,
            ancestor_ids=item.ancestor_ids,
            descendant_ids=item.descendant_ids,
        )
        added.MergeFromString(item.unused)
    text = text_format.MessageToString(message, as_utf8=True)
    # text_format also escapes an apostrophe, which strings in double quotes need not.
    return re.sub(r"\\(.)", lambda escape: "'" if escape[1] == "'" else escape[0], text)


def format_csv(label_map: LabelMap) -> str:
    """Writes a label map as the `id,name` CSV of Model Garden's `label_map_decoder`.

    `TfExampleDecoderLabelMap` takes int(column 1) as the id and column 2 as the value of
    `image/object/class/text`, and refuses a header, a blank row, a third column, and a file not named `*.csv`.

    Args:
        label_map: The label map.

    Returns:
        The text of the CSV, without header, with LF line ends.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows((item.id, item.name) for item in label_map.items)
    return text.getvalue()


def parse_pbtxt(data: bytes, path: str) -> LabelMap:
    """Reads a label map from protobuf text, written by us or by any other program.

    Args:
        data: Protobuf text in UTF-8, with or without a byte order mark; unknown fields are skipped.
        path: Name of the file, for errors.

    Returns:
        The label map, its items in the order of the text. An item without display_name gets its name.

    Raises:
        InputError: If the text is not UTF-8, no protobuf text, or no valid label map; the error names the line.
    """
    text = decode_text(data, path)
    messages = parse_text_proto(text, StringIntLabelMap(), path).item
    if not messages:
        raise InputError(path, "no item in the label map", "Give a label map of 'item { name: ... id: ... }' entries")
    for index, message in enumerate(messages):
        if not message.HasField("name") or not message.HasField("id"):
            missing = "id" if message.HasField("name") else "name"
            line = _line_of_item(text, index)
            raise InputError(path, f"the item has no {missing}", "Give each item a name and an id", line)
    items = tuple(map(_to_item, messages))
    if fault := find_fault(items):
        line = _line_of_item(text, fault.item)
        remedy = "Give each class one item with its own id, from 1; only the item `background` may have the id 0"
        raise InputError(path, fault.problem, remedy, line)
    return LabelMap(items)


def parse_text_proto(text: str, message: Any, path: str) -> Any:
    """Returns a message with the fields of protobuf text; unknown fields are skipped.

    Args:
        text: Protobuf text.
        message: Message to fill.
        path: Name of the file, for errors.

    Raises:
        InputError: If the text is no protobuf text; the error names the line.
    """
    remedy = "Correct the protobuf text there"
    try:
        return text_format.Parse(text, message, allow_unknown_field=True)
    except RecursionError as error:
        raise InputError(path, "too many values are nested in each other", remedy) from error
    except text_format.ParseError as error:
        line, column = error.GetLine(), error.GetColumn()
        if line is None:
            raise InputError(path, str(error), remedy) from error
        # text_format writes "line:column : 'the whole line': problem", and a map may be one long line.
        quoted = text.split("\n")[line - 1]
        problem = str(error).removeprefix(f"{line}:{column} : ").removeprefix(f"'{quoted}': ").rstrip(".")
        raise InputError(path, f"{problem} (column {column})", remedy, line) from error


def _line_of_item(text: str, index: int) -> int:
    """Returns the line, from 1, on which item `index` of valid protobuf text opens; text_format keeps no lines."""
    depth, field = 0, ""
    for token in _TOKEN.finditer(text):
        if token[0] in "{<":
            if depth == 0 and field == "item":
                if index == 0:
                    return text.count("\n", 0, token.start()) + 1
                index -= 1
            depth += 1
        elif token[0] in "}>":
            depth -= 1
        elif depth == 0:
            field = token[0] if token[0].isidentifier() else field
    raise IndexError(index)


def _to_item(message: Any) -> LabelMapItem:
    unused = type(message)()
    unused.CopyFrom(message)
    for field in _USED_FIELDS:
        unused.ClearField(field)
    return LabelMapItem(
        id=message.id,
        name=message.name,
        display_name=message.display_name if message.HasField("display_name") else message.name,
        ancestor_ids=tuple(message.ancestor_ids),
        descendant_ids=tuple(message.descendant_ids),
        unused=unused.SerializeToString(deterministic=True),
    )
