"""The tables of an export (images, boxes, image labels, classes), and their rows from the records of one shard."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from oi_tfrecord.openimages.image_id import HEX_ID
from oi_tfrecord.openimages.schema import ATTRIBUTION, FLAGS
from oi_tfrecord.records.example_reader import ExampleError, open_example
from oi_tfrecord.records.keys import (
    BOX_CONFIDENCE_KEY,
    BOX_SOURCE_KEY,
    ENCODED_KEY,
    FILENAME_KEY,
    HEIGHT_KEY,
    SHA256_KEY,
    SOURCE_ID_KEY,
    WIDTH_KEY,
    FeatureKind,
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

_PRESENT, _ABSENT = "image/class", "image/absent_class"

_LABELS = {_PRESENT: True, _ABSENT: True, "image/machine_class": False}
"""Prefix of the keys of image-level labels to whether people verified them."""

_COMPUTED = ("split", "image_id", "number", "shard", "record")
"""Columns whose values follow from the place of a record."""

_LISTS = {FeatureKind.BYTES: "bytes_list", FeatureKind.FLOAT: "float_list", FeatureKind.INT64: "int64_list"}

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
    split: str,
    shard: str,
    records: Iterable[bytes],
    label_map: LabelMap | None,
    *,
    any_ids: bool = False,
    names: Collection[str] = SCHEMAS,
) -> ShardTables:
    """Makes the rows of one shard.

    Args:
        split: name of the split.
        shard: name of the file.
        records: its serialised Examples; keys that they lack become nulls.
        label_map: gives the MIDs of boxes and labels that have an id only.
        any_ids: whether we wrote the records, with ImageIDs of any form.
        names: the tables to make; records are not searched for the values of other tables.

    Returns:
        Rows in the order of the records. The `image_id` is the ImageID in `image/filename` (a source id may be
        numeric), or else `image/source_id`, or else the whole `image/filename`, or else `<shard>:<record>`.

    Raises:
        RecordError: if a record is not an Example, has a value of the wrong kind or lists of unequal length.
    """
    classes = _Classes(label_map)
    readers = {"images": _image, "boxes": classes.read_boxes, "image_labels": classes.read_labels}
    columns: dict[str, dict[str, list[Any]]] = {
        name: {column: [] for column in SCHEMAS[name].names if column not in _COMPUTED} for name in names
    }
    counts: dict[str, list[int]] = {name: [] for name in names}
    image_ids: list[str] = []
    for number, data in enumerate(records):
        record = _Record(number, data)
        image_ids.append(_image_id(record, any_ids) or f"{shard}:{number}")
        for name in names:
            values = readers[name](record)
            for column, found in columns[name].items():
                found.extend(values[column])
            counts[name].append(len(next(iter(values.values()))))
    tables = {
        name: _make_table(SCHEMAS[name], columns[name], split, shard, image_ids, np.array(counts[name], np.int64))
        for name in names
    }
    return ShardTables(tables, classes.found)


def _make_table(
    schema: pa.Schema,
    columns: Mapping[str, list[Any]],
    split: str,
    shard: str,
    image_ids: Sequence[str],
    counts: np.ndarray,
) -> pa.Table:
    """Returns a table, given the values of its columns.

    Args:
        schema: of the table.
        columns: all but those of _COMPUTED.
        split: name of the split.
        shard: name of the file.
        image_ids: of each record.
        counts: int64 array [records], rows of each record.
    """
    rows = int(counts.sum())
    records = np.repeat(np.arange(len(counts)), counts)
    computed = {
        "split": pa.repeat(pa.scalar(split, pa.string()), rows),
        "image_id": pa.array(image_ids, pa.string()).take(pa.array(records)),
        "number": (np.arange(rows) - np.repeat(np.cumsum(counts) - counts, counts)).astype(np.int32),
        "shard": pa.repeat(pa.scalar(shard, pa.string()), rows),
        "record": records,
    }
    return pa.table([columns.get(name, computed.get(name)) for name in schema.names], schema=schema)


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
            self._features = open_example(data)
        except ExampleError as error:
            raise RecordError(number, str(error)) from error

    def values(self, key: str, kind: FeatureKind) -> Sequence[Any]:
        """Returns the values of a key, none where it is absent."""
        feature = self._features.get(key)
        name = None if feature is None else feature.WhichOneof("kind")
        if name is None or not (values := list(getattr(feature, name).value)):
            return ()
        if name != _LISTS[kind]:
            raise RecordError(self.number, f"{key} is {name.removesuffix('_list')} instead of {kind}")
        if kind is FeatureKind.INT64 and not -_MAX_INT32 <= min(values) <= max(values) <= _MAX_INT32:
            raise RecordError(self.number, f"{key} has a value beyond 32 bits")
        return values

    def column(self, key: str, kind: FeatureKind, count: int) -> Sequence[Any]:
        """Returns the `count` values of a key, nulls where it is absent or empty."""
        found = self.values(key, kind)
        if found and len(found) != count:
            raise RecordError(self.number, f"{key} has {len(found)} values instead of {count}")
        return found or [None] * count

    def texts(self, key: str, count: int) -> list[str | None]:
        return [None if value is None else _decode(value) for value in self.column(key, FeatureKind.BYTES, count)]

    def text(self, key: str) -> str | None:
        found = self.values(key, FeatureKind.BYTES)
        return _decode(found[0]) if found else None

    def integer(self, key: str) -> int | None:
        found = self.values(key, FeatureKind.INT64)
        return int(found[0]) if found else None

    def count(self, prefix: str) -> int:
        """Returns the number of labels whose classes are in the keys that begin with `prefix`."""
        return len(self.values(f"{prefix}/text", FeatureKind.BYTES)) or len(
            self.values(f"{prefix}/label", FeatureKind.INT64)
        )


class _Classes:
    """Reads the boxes and labels of records, and collects their classes."""

    def __init__(self, label_map: LabelMap | None):
        self._mids = {} if label_map is None else {item.id: item.name for item in label_map.items}
        self._known: dict[tuple[bytes | None, int | None], str | None] = {}
        self.found: dict[str, int | None] = {}

    def read_boxes(self, record: _Record) -> dict[str, Sequence[Any]]:
        """Returns the columns of BOXES of a record."""
        keys = {column: f"image/object/bbox/{side}" for column, side in _SIDES.items()}
        sides = {column: record.values(key, FeatureKind.FLOAT) for column, key in keys.items()}
        count = max(map(len, sides.values()))
        for column, values in sides.items():
            if len(values) != count:
                raise RecordError(record.number, f"{keys[column]} has {len(values)} values instead of {count}")
        flags = {name: record.column(flag_key(name), FeatureKind.INT64, count) for name in FLAGS}
        return {
            **sides,
            **{name: [None if value is None else value > 0 for value in values] for name, values in flags.items()},
            "mid": self._find_mids(record, "image/object/class", count),
            "confidence": record.column(BOX_CONFIDENCE_KEY, FeatureKind.FLOAT, count),
            "source": record.texts(BOX_SOURCE_KEY, count),
        }

    def read_labels(self, record: _Record) -> dict[str, Sequence[Any]]:
        """Returns the columns of IMAGE_LABELS of a record; absent classes may have keys of their own."""
        values: dict[str, list[Any]] = {"mid": [], "verified": [], "confidence": [], "source": []}
        absent = record.count(_ABSENT)
        for prefix, verified in _LABELS.items():
            count = absent if prefix == _ABSENT else record.count(prefix)
            confidences = record.column(f"{prefix}/confidence", FeatureKind.FLOAT, count)
            if prefix == _ABSENT:
                confidences = [0.0] * count
            elif prefix == _PRESENT and absent and count and confidences[0] is None:
                confidences = [1.0] * count
            values["mid"] += self._find_mids(record, prefix, count)
            values["verified"] += [verified] * count
            values["confidence"] += confidences
            values["source"] += record.texts(f"{prefix}/source", count)
        return dict(values)

    def _find_mids(self, record: _Record, prefix: str, count: int) -> list[str | None]:
        """Returns the MID of each box or label: its text, or the MID of its id, or the id as text."""
        texts = record.column(f"{prefix}/text", FeatureKind.BYTES, count)
        ids = record.column(f"{prefix}/label", FeatureKind.INT64, count)
        known = self._known
        return [known[pair] if pair in known else self._add(*pair) for pair in zip(texts, ids, strict=True)]

    def _add(self, text: bytes | None, class_id: int | None) -> str | None:
        """Returns the MID of a class that no record had before."""
        mid = _decode(text) if text else None if class_id is None else self._mids.get(class_id, str(class_id))
        if mid is not None and self.found.get(mid) is None:
            self.found[mid] = class_id
        self._known[text, class_id] = mid
        return mid


def _image_id(record: _Record, any_ids: bool) -> str | None:
    name = record.text(FILENAME_KEY) or ""
    stem = name.removesuffix(".jpg")
    return stem if any_ids or HEX_ID.fullmatch(stem.encode()) else record.text(SOURCE_ID_KEY) or name or None


def _image(record: _Record) -> dict[str, Sequence[Any]]:
    """Returns the columns of IMAGES of a record."""
    encoded = record.values(ENCODED_KEY, FeatureKind.BYTES)
    values = {
        "width": record.integer(WIDTH_KEY),
        "height": record.integer(HEIGHT_KEY),
        "bytes": len(encoded[0]) if encoded else 0,
        "sha256": record.text(SHA256_KEY),
        **{name: record.text(attribution_key(name)) for name in ATTRIBUTION},
    }
    return {name: [value] for name, value in values.items()}


def _decode(value: bytes) -> str:
    return value.decode("utf-8", "replace")
