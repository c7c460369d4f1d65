"""What records hold, counted, for comparison with the manifest."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from oi_tfrecord.records.example_reader import Values
from oi_tfrecord.records.keys import (
    BBOX_KEYS,
    BOX_LABEL_KEY,
    BOX_SOURCE_KEY,
    BOX_TEXT_KEY,
    ENCODED_KEY,
    KNOWN_KEYS,
    LABEL_CONFIDENCE_KEY,
    LABEL_KEY,
    LABEL_SOURCE_KEY,
    MACHINE_LABEL_KEY,
    ListLength,
)

SOURCE_KEYS = {"boxes": BOX_SOURCE_KEY, "human_labels": LABEL_SOURCE_KEY}
"""Table to the key of the sources of its rows."""

_BOX_KEYS = (BBOX_KEYS[0], BOX_LABEL_KEY, BOX_TEXT_KEY)

_CROWDED = 100


@dataclasses.dataclass
class RecordCounts:
    """Counts of the records of a shard or a split.

    Attributes:
        records: records that could be read.
        image_bytes: bytes of their images.
        boxes, labels, machine_labels: in them.
        most_boxes: boxes of the image that has most.
        images_over_100_boxes: images with more boxes than the Object Detection API reads by default.
        boxes_per_class, positive_per_class, negative_per_class: label map id to number.
        sources: table to source to rows.
        keys: key to records that have it.
        filled: key to records that have a value of it.
    """

    records: int = 0
    image_bytes: int = 0
    boxes: int = 0
    labels: int = 0
    machine_labels: int = 0
    most_boxes: int = 0
    images_over_100_boxes: int = 0
    boxes_per_class: Counter[int] = dataclasses.field(default_factory=Counter)
    positive_per_class: Counter[int] = dataclasses.field(default_factory=Counter)
    negative_per_class: Counter[int] = dataclasses.field(default_factory=Counter)
    sources: dict[str, Counter[str]] = dataclasses.field(default_factory=dict)
    keys: Counter[str] = dataclasses.field(default_factory=Counter)
    filled: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, features: Mapping[str, Values]) -> None:
        """Adds a record."""
        self.records += 1
        self.keys.update(list(features))
        self.filled.update([key for key, values in features.items() if values is not None and len(values)])
        encoded = features.get(ENCODED_KEY)
        if isinstance(encoded, list) and encoded:
            self.image_bytes += len(encoded[0])
        boxes = next((len(values) for key in _BOX_KEYS if (values := features.get(key)) is not None), 0)
        self.boxes += boxes
        self.most_boxes = max(self.most_boxes, boxes)
        self.images_over_100_boxes += boxes > _CROWDED
        self.boxes_per_class.update(_integers(features.get(BOX_LABEL_KEY)))
        labels = _integers(features.get(LABEL_KEY))
        self.labels += len(labels)
        self.machine_labels += len(_integers(features.get(MACHINE_LABEL_KEY)))
        confidence = features.get(LABEL_CONFIDENCE_KEY)
        if isinstance(confidence, np.ndarray) and len(confidence) == len(labels):
            for label, value in zip(labels, confidence.tolist(), strict=True):
                (self.positive_per_class if value > 0 else self.negative_per_class)[label] += 1
        for table, key in SOURCE_KEYS.items():
            if isinstance(sources := features.get(key), list):
                names = [source.decode("utf-8", "replace") for source in sources]
                self.sources.setdefault(table, Counter()).update(names)

    def merge(self, other: "RecordCounts") -> None:
        """Adds the counts of other records."""
        for field in dataclasses.fields(self):
            own, added = getattr(self, field.name), getattr(other, field.name)
            if field.name == "most_boxes":
                self.most_boxes = max(own, added)
            elif field.name == "sources":
                for table, sources in added.items():
                    own.setdefault(table, Counter()).update(sources)
            elif isinstance(own, Counter):
                own.update(added)
            else:
                setattr(self, field.name, own + added)

    def to_values(self) -> dict[str, Any]:
        """Returns the counts as values of JSON."""
        return dict(vars(self))

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "RecordCounts":
        """Returns the counts that `to_values` gave, also after a way through JSON, which has text keys only."""
        counts = cls(**values)
        for name in ("boxes_per_class", "positive_per_class", "negative_per_class"):
            setattr(counts, name, Counter({int(label): count for label, count in values[name].items()}))
        counts.sources = {table: Counter(sources) for table, sources in values["sources"].items()}
        counts.keys, counts.filled = Counter(values["keys"]), Counter(values["filled"])
        return counts


def _integers(values: Values) -> list[int]:
    return values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind == "i" else []


def describe_keys(counts: RecordCounts) -> list[dict[str, Any]]:
    """Returns a row for each key: name, who reads it, records with it, records with a value of it."""
    names: Iterable[str] = sorted(counts.keys.keys() | KNOWN_KEYS.keys())
    return [
        {
            "key": name,
            "readers": [str(reader) for reader in KNOWN_KEYS[name].readers] if name in KNOWN_KEYS else [],
            "known": name in KNOWN_KEYS,
            "list_of": str(KNOWN_KEYS[name].length) if name in KNOWN_KEYS else str(ListLength.ANY),
            "records": counts.keys.get(name, 0),
            "filled": counts.filled.get(name, 0),
        }
        for name in names
    ]
