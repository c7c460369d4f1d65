"""Shows one record as text, and draws its boxes on its image."""

import dataclasses
import posixpath
import re
from collections.abc import Mapping

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import list_dataset_files
from oi_tfrecord.dataset.label_map import load_label_map, read_label_map
from oi_tfrecord.dataset.splits import find_records, read_record
from oi_tfrecord.engine.dataflow_flags import accept_beam_arguments
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.explore.draw_boxes import boxes_of, draw_boxes
from oi_tfrecord.explore.record_text import class_names, describe_record
from oi_tfrecord.records.example_reader import ExampleError, Values, parse_example
from oi_tfrecord.records.keys import ENCODED_KEY
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.tfrecord import FramingError
from oi_tfrecord.settings.options import REQUIRED, Group, check_values, option

_NUMBERED = re.compile(r"(?P<path>.+):(?P<number>\d+)", re.DOTALL)

_REMEDY = "`oi-tfrecord verify` lists all faults of the records"


def split_place(place: str) -> tuple[str, int]:
    """Returns path and record number of `SHARD` or `SHARD:N`."""
    named = _NUMBERED.fullmatch(place)
    return (named["path"], int(named["number"])) if named else (place, 0)


@dataclasses.dataclass(frozen=True)
class ShowOptions:
    """Which record `show` shows: the flags of the command."""

    place: str = option(
        REQUIRED,
        "A shard, the path of a split (records/train) or a pattern of shards, and the number of the record, from 0.",
        Group.INPUTS,
        positional="SHARD[:N]",
    )
    png: str = option("", "File for the image with its boxes and masks, coloured by class.", Group.OUTPUT)
    label_map: str = option("", "Label map; label_map.pbtxt beside the shard by default.", Group.CLASSES)
    beam_arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_values(self)


@dataclasses.dataclass(frozen=True)
class RecordText:
    """A record as text.

    Attributes:
        path: its shard.
        number: its number in the shard, from 0.
        records: number of records in the shard.
        offset, length: byte offset of its data in the shard, and bytes of its data.
        lines: a line for each key, see `describe_record`.
    """

    path: str
    number: int
    records: int
    offset: int
    length: int
    lines: tuple[str, ...]

    def __str__(self) -> str:
        place = f"record {self.number} of {self.records}, {self.length:,} bytes from byte {self.offset}"
        return "\n".join([f"{self.path}: {place}", *self.lines])


def show(options: ShowOptions) -> RecordText:
    """Returns a record as text, and draws its boxes on its image if a file for that is given.

    Args:
        options: which record.

    Raises:
        ConfigError, InputError: naming the option or file that is to be corrected.
    """
    accept_beam_arguments(options.beam_arguments)
    given, wanted = split_place(options.place)
    path, number, places = _find_place(given, wanted)
    if options.png:
        folder = posixpath.dirname(path) or "."
        storage.refuse_inputs("png", options.png, [path, options.label_map, *list_dataset_files(folder)])
    offset, length = places[number].tolist()
    try:
        features = parse_example(read_record(path, offset, length, number))
    except FramingError as error:
        raise InputError(path, str(error), _REMEDY) from error
    except ExampleError as error:
        raise InputError(path, f"record {number} is {error}", _REMEDY) from error
    label_map = (
        load_label_map(options.label_map) if options.label_map else read_label_map(posixpath.dirname(path) or ".")
    )
    items = label_map.items if label_map else ()
    names, mid_of = {item.name: item.display_name for item in items}, {item.id: item.name for item in items}
    lines = tuple(describe_record(features, names, mid_of))
    if options.png:
        storage.write_output("png", options.png, _draw(path, number, features, label_map))
    return RecordText(path, number, len(places), offset, length, lines)


def find_shards(given: str) -> list[str]:
    """Returns the shards that a path names, in the order of their names.

    Args:
        given: path of a shard, folder and name of a split, or a pattern with `*`.

    Raises:
        ConfigError: if the path names no shard.
    """
    if storage.exists(given):
        return [given]
    patterns = [given] if "*" in given else [f"{storage.escape(given)}.{kind}-*" for kind in ("tfrecord", "record")]
    found = sorted(info.path for pattern in patterns for info in storage.match(pattern))
    if not found:
        raise ConfigError("SHARD:N", f"{given} is no shard, no split and no pattern of shards")
    return found


def _find_place(given: str, wanted: int) -> tuple[str, int, np.ndarray]:
    """Returns the shard of a record, its number in the shard, and the places of the shard's records."""
    first = 0
    for path in find_shards(given):
        places = _find_records(path)
        if wanted < first + len(places):
            return path, wanted - first, places
        first += len(places)
    last = f"it has {first} records, the last is {first - 1}" if first else "it has no record"
    raise ConfigError("SHARD:N", f"{given} has no record {wanted}: {last}")


def _find_records(path: str) -> np.ndarray:
    try:
        return find_records(path)
    except FramingError as error:
        raise InputError(path, str(error), _REMEDY) from error


def _draw(path: str, number: int, features: Mapping[str, Values], label_map: LabelMap | None) -> bytes:
    """Returns the image of a record with its boxes, as PNG."""
    encoded = features.get(ENCODED_KEY)
    if not isinstance(encoded, list) or len(encoded) != 1:
        raise InputError(path, f"record {number} has no image to draw on", _REMEDY)
    try:
        return draw_boxes(encoded[0], boxes_of(features, class_names(features, label_map)))
    except OSError as error:
        raise InputError(path, f"the image of record {number} does not decode: {error}", _REMEDY) from error
