"""What the index of a dataset holds of each record: where it is, its boxes and its labels."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from oi_tfrecord.openimages.schema import FLAGS
from oi_tfrecord.records.example_reader import (
    check_lengths,
    decode,
    get_bytes,
    get_classes,
    get_integer,
    get_numbers,
    get_strings,
    parse_example,
)
from oi_tfrecord.records.keys import (
    BOX_SOURCE_KEY,
    FILENAME_KEY,
    HEIGHT_KEY,
    LABEL_CONFIDENCE_KEY,
    SOURCE_ID_KEY,
    WIDTH_KEY,
    flag_key,
)

LABEL_KINDS = ("positive", "negative", "machine")

FLAG_NAMES = tuple(FLAGS)


def flag_bits(flag: str) -> tuple[int, int]:
    """Returns the bit of a box that has a flag, and that of a box whose record tells of the flag."""
    place = FLAG_NAMES.index(flag)
    return 1 << place, 1 << (place + len(FLAG_NAMES))


@dataclasses.dataclass
class ShardRows:
    """The rows of one shard.

    Attributes:
        image_ids: of its records, in order.
        places: int64 array [records, 2], byte offset and length of the data.
        sizes: int64 array [records, 2], width and height in pixels.
        box_records: int64 array [boxes], number of the record within the shard.
        box_classes, box_sources: int64 arrays [boxes], places in `classes` and `sources`.
        box_flags: int64 array [boxes], see `flag_bits`.
        labels: of each of LABEL_KINDS, int64 array [labels, 2] of record and class.
        classes: MIDs, or what stands for them.
        sources: of boxes; the empty one is unknown.
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


def make_rows(records: Iterable[tuple[int, bytes]], mid_of: Mapping[int, str]) -> ShardRows:
    """Makes the rows of a shard.

    Args:
        records: (byte offset of the data, serialised Example) of each record.
        mid_of: MID of each label map id, for records that have no `class/text`.

    Raises:
        ExampleError: for bytes that are no Example.
        RecordFault: for an Example whose lists do not fit together.
    """
    image_ids: list[bytes] = []
    places: list[tuple[int, int]] = []
    sizes: list[tuple[int, int]] = []
    boxes: list[tuple[int, int, int, int]] = []
    labels: dict[str, list[tuple[int, int]]] = {kind: [] for kind in LABEL_KINDS}
    classes: dict[str, int] = {}
    sources: dict[str, int] = {}
    for record, (offset, data) in enumerate(records):
        example = parse_example(data)
        image_ids.append(get_bytes(example, SOURCE_ID_KEY) or get_bytes(example, FILENAME_KEY))
        places.append((offset, len(data)))
        sizes.append((get_integer(example, WIDTH_KEY), get_integer(example, HEIGHT_KEY)))
        mids = get_classes(example, "image/object/class", mid_of)
        held = get_strings(example, BOX_SOURCE_KEY) or [b""] * len(mids)
        check_lengths({"xmin": len(get_numbers(example, "image/object/bbox/xmin")), "source": len(held)}, len(mids))
        flags = np.zeros(len(mids), np.int64)
        for name in FLAG_NAMES:
            if (key := flag_key(name)) in example:
                values = get_numbers(example, key)
                check_lengths({name: len(values)}, len(mids))
                is_set, is_known = flag_bits(name)
                flags |= np.where(values == 1, is_set | is_known, is_known)
        boxes += [
            (record, classes.setdefault(mid, len(classes)), sources.setdefault(decode(source), len(sources)), flag)
            for mid, source, flag in zip(mids, held, flags.tolist(), strict=True)
        ]
        mids = get_classes(example, "image/class", mid_of)
        key = LABEL_CONFIDENCE_KEY
        confidences = get_numbers(example, key).tolist() if key in example else [1.0] * len(mids)
        check_lengths({"confidence": len(confidences)}, len(mids))
        for mid, confidence in zip(mids, confidences, strict=True):
            labels["positive" if confidence > 0 else "negative"].append((record, classes.setdefault(mid, len(classes))))
        for mid in get_classes(example, "image/machine_class", mid_of):
            labels["machine"].append((record, classes.setdefault(mid, len(classes))))
    columns = np.array(boxes, np.int64).reshape(-1, 4).T
    return ShardRows(
        image_ids=image_ids,
        places=np.array(places, np.int64).reshape(-1, 2),
        sizes=np.array(sizes, np.int64).reshape(-1, 2),
        box_records=columns[0],
        box_classes=columns[1],
        box_sources=columns[2],
        box_flags=columns[3],
        labels={kind: np.array(pairs, np.int64).reshape(-1, 2) for kind, pairs in labels.items()},
        classes=list(classes),
        sources=list(sources),
    )
