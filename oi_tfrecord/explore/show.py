"""Shows one record as text, and its picture with its boxes."""

import posixpath
import re
from typing import TextIO

from oi_tfrecord.dataset.label_map import load_label_map, read_label_map
from oi_tfrecord.dataset.splits import find_records, read_record
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.explore.draw_boxes import boxes_of, draw_boxes
from oi_tfrecord.explore.record_text import class_names, describe_record
from oi_tfrecord.records.example_reader import ExampleError, parse_example
from oi_tfrecord.records.keys import ENCODED_KEY
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.tfrecord import FramingError

_NUMBERED = re.compile(r"(?P<path>.+):(?P<number>\d+)", re.DOTALL)

_REMEDY = "oi-tfrecord verify tells more of what is wrong"


def split_place(place: str) -> tuple[str, int]:
    """Returns path and record number of `SHARD` or `SHARD:N`."""
    named = _NUMBERED.fullmatch(place)
    return (named["path"], int(named["number"])) if named else (place, 0)


def show(place: str, label_map: str, png: str, out: TextIO) -> None:
    """Prints a record.

    Args:
        place: `SHARD` or `SHARD:N`.
        label_map: path of a label map; empty takes the one beside the shard, if there is one.
        png: local file for the picture; empty for none.
        out: where to print.

    Raises:
        ConfigError, InputError: naming what to mend.
    """
    path, number = split_place(place)
    try:
        places = find_records(path)
    except FramingError as error:
        raise InputError(path, str(error), _REMEDY) from error
    if number >= len(places):
        last = f"it has {len(places)} records, the last is {len(places) - 1}" if len(places) else "it has no record"
        raise ConfigError("SHARD:N", f"{path} has no record {number}: {last}")
    offset, length = places[number].tolist()
    try:
        features = parse_example(read_record(path, offset, length))
    except ExampleError as error:
        raise InputError(path, f"record {number} is {error}", _REMEDY) from error
    classes = _label_map(path, label_map)
    print(f"{path}: record {number} of {len(places)}, {length:,} bytes from byte {offset}", file=out)
    items = classes.items if classes else ()
    names, mid_of = {item.name: item.display_name for item in items}, {item.id: item.name for item in items}
    for line in describe_record(features, names, mid_of):
        print(line, file=out)
    if png:
        encoded = features.get(ENCODED_KEY)
        if not isinstance(encoded, list) or len(encoded) != 1:
            raise InputError(path, f"record {number} has no image to draw on", _REMEDY)
        try:
            drawn = draw_boxes(encoded[0], boxes_of(features, class_names(features, classes)))
        except OSError as error:
            raise InputError(path, f"the image of record {number} does not decode: {error}", _REMEDY) from error
        with open(png, "wb") as file:
            file.write(drawn)


def _label_map(shard: str, path: str) -> LabelMap | None:
    return load_label_map(path) if path else read_label_map(posixpath.dirname(shard) or ".")
