"""What the index of a dataset has of each record: its place, boxes and labels."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from oi_tfrecord.openimages.schema import FLAGS
from oi_tfrecord.records.example_reader import (
    Values,
    check_lengths,
    decode,
    find_image_size,
    get_bytes,
    get_classes,
    get_numbers,
    get_strings,
    join_absent_labels,
    parse_example,
)
from oi_tfrecord.records.keys import (
    BOX_SOURCE_KEY,
    FILENAME_KEY,
    LABEL_CONFIDENCE_KEY,
    MASK_KEY,
    MASK_WEIGHT_KEY,
    SOURCE_ID_KEY,
    flag_key,
)

LABEL_KINDS = ("positive", "negative", "machine")

FLAG_NAMES = tuple(FLAGS)

MASK_BIT = 1 << 15
"""Bit of a box that has a mask."""


def flag_bits(flag: str) -> tuple[int, int]:
    """Returns the bit of a box that has a flag, and the bit of a box whose record has the key of the flag."""
    place = FLAG_NAMES.index(flag)
    return 1 << place, 1 << (place + len(FLAG_NAMES))


@dataclasses.dataclass(frozen=True)
class SearchRows:
    """The rows of one shard, by which images are searched.

    Attributes:
        image_ids: of its records, in order.
        places: int64 array [records, 2], byte offset and length of the data.
        sizes: int64 array [records, 2], width and height in pixels.
        box_records: int64 array [boxes], number of the record within the shard.
        box_classes, box_sources: int64 arrays [boxes], indices into `classes` and `sources`.
        box_flags: int64 array [boxes], see `flag_bits` and MASK_BIT.
        labels: for each of LABEL_KINDS, int64 array [labels, 2] of record and class.
        classes: MIDs, or `id N` for classes without one.
        sources: of boxes; an empty text is an unknown source.
    """

    image_ids: list[bytes]
    places: np.ndarray
    sizes: np.ndarray
    box_records: np.ndarray
    box_classes: np.ndarray
    box_sources: np.ndarray
    box_flags: np.ndarray
    labels: dict[str, np.ndarray]
    classes: list[str]
    sources: list[str]


def make_search_rows(records: Iterable[tuple[int, bytes]], mid_of: Mapping[int, str]) -> SearchRows:
    """Makes the rows of a shard.

    Args:
        records: (byte offset of the data, serialised Example) of each record.
        mid_of: MID of each label map id, for records that have no `class/text`.

    Raises:
        ExampleError: if a record is not an Example.
        RecordFault: if the lists of an Example do not belong together.
    """
    collected = _Collected()
    for record, (offset, data) in enumerate(records):
        example = parse_example(data)
        collected.image_ids.append(get_bytes(example, SOURCE_ID_KEY) or get_bytes(example, FILENAME_KEY))
        collected.places.append((offset, len(data)))
        collected.sizes.append(find_image_size(example))
        collected.add_boxes(record, example, mid_of)
        collected.add_labels(record, example, mid_of)
    columns = np.array(collected.boxes, np.int64).reshape(-1, 4).T
    return SearchRows(
        image_ids=collected.image_ids,
        places=np.array(collected.places, np.int64).reshape(-1, 2),
        sizes=np.array(collected.sizes, np.int64).reshape(-1, 2),
        box_records=columns[0],
        box_classes=columns[1],
        box_sources=columns[2],
        box_flags=columns[3],
        labels={kind: np.array(pairs, np.int64).reshape(-1, 2) for kind, pairs in collected.labels.items()},
        classes=list(collected.classes),
        sources=list(collected.sources),
    )


def find_masked(example: Mapping[str, Values], count: int) -> frozenset[int]:
    """Returns the places of the boxes, of `count`, with a mask; an empty one in place of a missing mask is none."""
    masks = get_strings(example, MASK_KEY)
    weights = get_numbers(example, MASK_WEIGHT_KEY).tolist() or [1.0] * len(masks)
    return frozenset(place for place in range(min(count, len(masks), len(weights))) if weights[place] > 0)


class _Collected:
    """The rows of the records so far, as lists; classes and sources are numbered as they come."""

    def __init__(self) -> None:
        self.image_ids: list[bytes] = []
        self.places: list[tuple[int, int]] = []
        self.sizes: list[tuple[int, int]] = []
        self.boxes: list[tuple[int, int, int, int]] = []
        self.labels: dict[str, list[tuple[int, int]]] = {kind: [] for kind in LABEL_KINDS}
        self.classes: dict[str, int] = {}
        self.sources: dict[str, int] = {}

    def add_boxes(self, record: int, example: Mapping[str, Values], mid_of: Mapping[int, str]) -> None:
        mids = get_classes(example, "image/object/class", mid_of)
        sources = get_strings(example, BOX_SOURCE_KEY) or [b""] * len(mids)
        sides = get_numbers(example, "image/object/bbox/xmin")
        check_lengths({"xmin": len(sides), "source": len(sources)}, len(mids))
        flags = _pack_flags(example, len(mids))
        flags[sorted(find_masked(example, len(mids)))] |= MASK_BIT
        for mid, source, flag in zip(mids, map(decode, sources), flags.tolist(), strict=True):
            source_number = self.sources.setdefault(source, len(self.sources))
            self.boxes.append((record, self._number_of(mid), source_number, flag))

    def add_labels(self, record: int, example: Mapping[str, Values], mid_of: Mapping[int, str]) -> None:
        example = join_absent_labels(example)
        mids = get_classes(example, "image/class", mid_of)
        has_confidence = LABEL_CONFIDENCE_KEY in example
        confidences = get_numbers(example, LABEL_CONFIDENCE_KEY).tolist() if has_confidence else [1.0] * len(mids)
        check_lengths({"confidence": len(confidences)}, len(mids))
        for mid, confidence in zip(mids, confidences, strict=True):
            self.labels["positive" if confidence > 0 else "negative"].append((record, self._number_of(mid)))
        for mid in get_classes(example, "image/machine_class", mid_of):
            self.labels["machine"].append((record, self._number_of(mid)))

    def _number_of(self, mid: str) -> int:
        return self.classes.setdefault(mid, len(self.classes))


def _pack_flags(example: Mapping[str, Values], boxes: int) -> np.ndarray:
    """Returns the flags of the boxes of a record, int64 array [boxes] of `flag_bits`."""
    packed = np.zeros(boxes, np.int64)
    for flag in FLAG_NAMES:
        if (key := flag_key(flag)) in example:
            values = get_numbers(example, key)
            check_lengths({flag: len(values)}, boxes)
            is_set, is_known = flag_bits(flag)
            packed |= np.where(values == 1, is_set | is_known, is_known)
    return packed
