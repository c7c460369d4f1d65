"""Counts the contents of records, to compare them with the manifest."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from oi_tfrecord.records.example_reader import Values, join_absent_labels
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
        records: Records that could be read.
        image_bytes: Bytes of their images.
        boxes: Boxes in the records.
        labels: Human-verified labels in the records.
        machine_labels: Machine-generated labels in the records.
        most_boxes: Boxes of the image with most boxes.
        most_expanded_boxes: Boxes of the image with most boxes after the expansion by the label map's ancestors.
        images_over_100_boxes: Images with more boxes than the Object Detection API reads by default.
        boxes_per_class: Label map id to boxes.
        positive_per_class: Label map id to human-verified labels that say the class is there.
        negative_per_class: Label map id to human-verified labels that say the class is not there.
        sources: Table to source to rows.
        keys: Key to records with the key.
        filled: Key to records with a value of the key.
    """

    records: int = 0
    image_bytes: int = 0
    boxes: int = 0
    labels: int = 0
    machine_labels: int = 0
    most_boxes: int = 0
    most_expanded_boxes: int = 0
    images_over_100_boxes: int = 0
    boxes_per_class: Counter[int] = dataclasses.field(default_factory=Counter)
    positive_per_class: Counter[int] = dataclasses.field(default_factory=Counter)
    negative_per_class: Counter[int] = dataclasses.field(default_factory=Counter)
    sources: dict[str, Counter[str]] = dataclasses.field(default_factory=dict)
    keys: Counter[str] = dataclasses.field(default_factory=Counter)
    filled: Counter[str] = dataclasses.field(default_factory=Counter)

    def add(self, features: Mapping[str, Values], expanded_boxes: Mapping[int, int] = MappingProxyType({})) -> None:
        """Adds a record.

        Args:
            features: Values by key.
            expanded_boxes: Label map id to boxes that an expansion makes of a box (`LabelMap.expanded_boxes`); a class
                without an entry keeps its box.
        """
        self.records += 1
        self.keys.update(list(features))
        self.filled.update([key for key, values in features.items() if values is not None and len(values)])
        encoded = features.get(ENCODED_KEY)
        if isinstance(encoded, list) and encoded:
            self.image_bytes += len(encoded[0])
        self._add_boxes(features, expanded_boxes)
        labelled = join_absent_labels(features)
        self._add_labels(labelled)
        for table, key in SOURCE_KEYS.items():
            if isinstance(sources := labelled.get(key), list):
                names = [source.decode("utf-8", "replace") for source in sources]
                self.sources.setdefault(table, Counter()).update(names)

    def _add_boxes(self, features: Mapping[str, Values], expanded_boxes: Mapping[int, int]) -> None:
        boxes = next((len(values) for key in _BOX_KEYS if (values := features.get(key)) is not None), 0)
        self.boxes += boxes
        self.most_boxes = max(self.most_boxes, boxes)
        self.images_over_100_boxes += boxes > _CROWDED
        classes = _integers(features.get(BOX_LABEL_KEY))
        self.boxes_per_class.update(classes)
        expanded = boxes + sum(expanded_boxes.get(label, 1) - 1 for label in classes)
        self.most_expanded_boxes = max(self.most_expanded_boxes, expanded)

    def _add_labels(self, features: Mapping[str, Values]) -> None:
        labels = _integers(features.get(LABEL_KEY))
        self.labels += len(labels)
        self.machine_labels += len(_integers(features.get(MACHINE_LABEL_KEY)))
        confidence = features.get(LABEL_CONFIDENCE_KEY)
        if isinstance(confidence, np.ndarray) and len(confidence) == len(labels):
            is_present = confidence > 0
            self.positive_per_class.update(itertools.compress(labels, is_present))
            self.negative_per_class.update(itertools.compress(labels, ~is_present))

    def merge(self, other: "RecordCounts") -> None:
        """Adds the counts of other records."""
        for field in dataclasses.fields(self):
            own, added = getattr(self, field.name), getattr(other, field.name)
            if field.name in ("most_boxes", "most_expanded_boxes"):
                setattr(self, field.name, max(own, added))
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
        """Returns the counts of `to_values`, even if they were stored as JSON, which turns ids into text."""
        counts = cls(**values)
        for name in ("boxes_per_class", "positive_per_class", "negative_per_class"):
            setattr(counts, name, Counter({int(label): count for label, count in values[name].items()}))
        counts.sources = {table: Counter(sources) for table, sources in values["sources"].items()}
        counts.keys, counts.filled = Counter(values["keys"]), Counter(values["filled"])
        return counts


def _integers(values: Values) -> list[int]:
    return values.tolist() if isinstance(values, np.ndarray) and values.dtype.kind == "i" else []


def describe_keys(counts: RecordCounts) -> list[dict[str, Any]]:
    """Returns for each key its name, its readers, the records with the key, and those with a value of the key."""
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
