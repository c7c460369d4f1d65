"""The tables of an export (images, boxes, image labels, classes), and their rows from the records of one shard."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from oi_tfrecord.openimages.image_id import HEX_ID
from oi_tfrecord.openimages.schema import ATTRIBUTION, FLAGS
from oi_tfrecord.records.example_reader import ExampleError, join_absent_labels, parse_example
from oi_tfrecord.records.keys import (
    BOX_CONFIDENCE_KEY,
    BOX_SOURCE_KEY,
    ENCODED_KEY,
    FILENAME_KEY,
    HEIGHT_KEY,
    SHA256_KEY,
    SOURCE_ID_KEY,
    WIDTH_KEY,
    attribution_key,
    flag_key,
)
from oi_tfrecord.records.label_map import LabelMap

# PostgreSQL has columns xmin and xmax of its own in every table.
_SIDES = {"x_min": "xmin", "x_max": "xmax", "y_min": "ymin", "y_max": "ymax"}
"""Column of BOXES to the key of the record, `image/object/bbox/...`; in the order of the CSV."""

_KEY = [pa.field("split", pa.string(), False), pa.field("image_id", pa.string(), False)]

_PART = [*_KEY, pa.field("number", pa.int32(), False), pa.field("mid", pa.string())]

IMAGES = pa.schema(
    [
        *_KEY,
        pa.field("width", pa.int32()),
        pa.field("height", pa.int32()),
        pa.field("bytes", pa.int64(), False),
        pa.field("sha256", pa.string()),
        *(pa.field(name, pa.string()) for name in ATTRIBUTION),
        pa.field("shard", pa.string(), False),
        pa.field("record", pa.int64(), False),
    ]
)
"""A row per record: `bytes` is the size of the encoded image, `record` counts from 0 within the file `shard`."""

BOXES = pa.schema(
    [
        *_PART,
        *(pa.field(name, pa.float32(), False) for name in _SIDES),
        *(pa.field(name, pa.bool_()) for name in FLAGS),
        pa.field("confidence", pa.float32()),
        pa.field("source", pa.string()),
    ]
)
"""`number` counts the boxes of an image from 0; coordinates are fractions of the image's sides."""

IMAGE_LABELS = pa.schema(
    [
        *_PART,
        pa.field("verified", pa.bool_(), False),
        pa.field("confidence", pa.float32()),
        pa.field("source", pa.string()),
    ]
)
"""`verified`: people verified the label (confidence 1 present, 0 absent); else a machine generated it."""

CLASSES = pa.schema(
    [pa.field("mid", pa.string(), False), pa.field("class_id", pa.int32()), pa.field("name", pa.string())]
)
"""The classes of the label map, and those that only records have; the latter have no `name`."""

SCHEMAS: Mapping[str, pa.Schema] = {"images": IMAGES, "boxes": BOXES, "image_labels": IMAGE_LABELS}
"""The tables whose rows belong to a split; images come first, as the other tables refer to them."""

_LABELS = {"image/class": True, "image/machine_class": False}
"""Prefix of the keys of image-level labels to whether people verified them."""

_MAX_INT32 = (1 << 31) - 1


class RecordError(ValueError):
    """A record whose keys contradict each other."""

    def __init__(self, record: int, problem: str):
        """Names the record and its problem.

        Args:
            record: number of the record in the shard, from 0.
            problem: which keys contradict each other, and how.
        """
        super().__init__(record, problem)
        self.record = record
        self.problem = problem


@dataclasses.dataclass(frozen=True)
class ShardTables:
    """The rows of one shard.

    Attributes:
        tables: by name, with the schemas of SCHEMAS.
        classes: MID of every class in them to its label map id, None where the records have no id.
    """

    tables: Mapping[str, pa.Table]
    classes: Mapping[str, int | None]


def make_tables(
    split: str, shard: str, records: Iterable[bytes], label_map: LabelMap | None, *, any_ids: bool = False
) -> ShardTables:
    """Makes the rows of one shard.

    Args:
        split: name of the split.
        shard: name of the file.
        records: its serialised Examples; keys that they lack become nulls.
        label_map: gives the MIDs of boxes and labels that have an id only.
        any_ids: whether we wrote the records, with ImageIDs of any form.

    Returns:
        Rows in the order of the records. The `image_id` is the ImageID in `image/filename` (a source id may be
        numeric), or else `image/source_id`, or else the whole `image/filename`, or else `<shard>:<record>`.

    Raises:
        RecordError: if a record is not an Example, has a value of the wrong kind or lists of unequal length.
    """
    columns: dict[str, dict[str, list[Any]]] = {
        table: {name: [] for name in schema.names} for table, schema in SCHEMAS.items()
    }
    classes = _Classes(label_map)
    for number, data in enumerate(records):
        record = _Record(number, data)
        image_id = _image_id(record, any_ids) or f"{shard}:{number}"
        of_image = {
            "images": _image(record) | {"shard": [shard], "record": [number]},
            "boxes": _boxes(record, classes),
            "image_labels": _labels(record, classes),
        }
        for table, values in of_image.items():
            count = len(next(iter(values.values())))
            keys = {"split": [split] * count, "image_id": [image_id] * count, "number": range(count)}
            for name, column in columns[table].items():
                column.extend(values[name] if name in values else keys[name])
    tables = {table: pa.table(columns[table], schema=schema) for table, schema in SCHEMAS.items()}
    return ShardTables(tables, classes.found)


def make_classes(label_map: LabelMap | None, found: Mapping[str, int | None]) -> pa.Table:
    """Returns the table of classes.

    Args:
        label_map: of the dataset.
        found: MID to label map id of the classes in the records.

    Returns:
        Rows by MID.
    """
    rows: dict[str, tuple[str, int | None, str | None]] = {
        mid: (mid, class_id, None) for mid, class_id in found.items()
    }
    rows |= {item.name: (item.name, item.id, item.display_name) for item in (label_map.items if label_map else ())}
    ordered = [rows[mid] for mid in sorted(rows)]
    return pa.table([list(column) for column in zip(*ordered, strict=True)] or [[]] * 3, schema=CLASSES)


class _Record:
    """The values of one Example, their kinds and lengths checked."""

    def __init__(self, number: int, data: bytes):
        self.number = number
        try:
            self._features = join_absent_labels(parse_example(data))
        except ExampleError as error:
            raise RecordError(number, str(error)) from error

    def values(self, key: str, kind: str) -> Sequence[Any]:
        """Returns the values of a key, none where it is absent; `kind` is bytes, float or int64."""
        found = self._features.get(key)
        if found is None or not len(found):
            return ()
        found_kind = "bytes" if isinstance(found, list) else "float" if found.dtype == np.float32 else "int64"
        if found_kind != kind:
            raise RecordError(self.number, f"{key} is {found_kind} instead of {kind}")
        if isinstance(found, list):
            return found
        if kind == "int64" and not -_MAX_INT32 <= found.min() <= found.max() <= _MAX_INT32:
            raise RecordError(self.number, f"{key} has a value beyond 32 bits")
        return list(found.tolist())

    def column(self, key: str, kind: str, count: int) -> Sequence[Any]:
        """Returns the `count` values of a key, nulls where it is absent or empty."""
        found = self.values(key, kind)
        if found and len(found) != count:
            raise RecordError(self.number, f"{key} has {len(found)} values instead of {count}")
        return found or [None] * count

    def texts(self, key: str, count: int) -> list[str | None]:
        return [None if value is None else _decode(value) for value in self.column(key, "bytes", count)]

    def text(self, key: str) -> str | None:
        found = self.values(key, "bytes")
        return _decode(found[0]) if found else None

    def integer(self, key: str) -> int | None:
        found = self.values(key, "int64")
        return int(found[0]) if found else None


class _Classes:
    """Finds the MIDs of boxes and labels, and collects the classes."""

    def __init__(self, label_map: LabelMap | None):
        self._mids = {} if label_map is None else {item.id: item.name for item in label_map.items}
        self.found: dict[str, int | None] = {}

    def find_mids(self, record: _Record, prefix: str, count: int) -> list[str | None]:
        """Returns the MID of each box or label: its text, or the MID of its id, or the id as text."""
        mids = []
        ids = record.column(f"{prefix}/label", "int64", count)
        for text, class_id in zip(record.texts(f"{prefix}/text", count), ids, strict=True):
            mid = text or (None if class_id is None else self._mids.get(class_id, str(class_id)))
            if mid is not None and self.found.get(mid) is None:
                self.found[mid] = class_id
            mids.append(mid)
        return mids


def _image_id(record: _Record, any_ids: bool) -> str | None:
    name = record.text(FILENAME_KEY) or ""
    stem = name.removesuffix(".jpg")
    return stem if any_ids or HEX_ID.fullmatch(stem.encode()) else record.text(SOURCE_ID_KEY) or name or None


def _image(record: _Record) -> dict[str, Sequence[Any]]:
    encoded = record.values(ENCODED_KEY, "bytes")
    values = {
        "width": record.integer(WIDTH_KEY),
        "height": record.integer(HEIGHT_KEY),
        "bytes": len(encoded[0]) if encoded else 0,
        "sha256": record.text(SHA256_KEY),
        **{name: record.text(attribution_key(name)) for name in ATTRIBUTION},
    }
    return {name: [value] for name, value in values.items()}


def _boxes(record: _Record, classes: _Classes) -> dict[str, Sequence[Any]]:
    keys = {column: f"image/object/bbox/{side}" for column, side in _SIDES.items()}
    count = max(len(record.values(key, "float")) for key in keys.values())
    for key in keys.values():
        if not record.values(key, "float") and count:
            raise RecordError(record.number, f"{key} has 0 values instead of {count}")
    flags = {name: record.column(flag_key(name), "int64", count) for name in FLAGS}
    return {
        **{column: record.column(key, "float", count) for column, key in keys.items()},
        **{name: [None if value is None else value > 0 for value in values] for name, values in flags.items()},
        "mid": classes.find_mids(record, "image/object/class", count),
        "confidence": record.column(BOX_CONFIDENCE_KEY, "float", count),
        "source": record.texts(BOX_SOURCE_KEY, count),
    }


def _labels(record: _Record, classes: _Classes) -> dict[str, Sequence[Any]]:
    values: dict[str, list[Any]] = {"mid": [], "verified": [], "confidence": [], "source": []}
    for prefix, verified in _LABELS.items():
        count = len(record.values(f"{prefix}/text", "bytes")) or len(record.values(f"{prefix}/label", "int64"))
        values["mid"] += classes.find_mids(record, prefix, count)
        values["verified"] += [verified] * count
        values["confidence"] += record.column(f"{prefix}/confidence", "float", count)
        values["source"] += record.texts(f"{prefix}/source", count)
    return dict(values)


def _decode(value: bytes) -> str:
    return value.decode("utf-8", "replace")
