"""The keys of records that training and evaluation read or that we write: kind, length, range, reader.

Sources: the Object Detection API's data_decoders/tf_example_decoder.py and metrics/tf_example_parser.py, Model
Garden's official/vision/dataloaders/tf_example_decoder.py.
"""

import dataclasses
import enum

from oi_tfrecord.openimages.schema import Table


class Kind(enum.StrEnum):
    """Kinds of a Feature."""

    BYTES = "bytes"
    FLOAT = "float"
    INT64 = "int64"


class Length(enum.StrEnum):
    """How many values a key has."""

    ONE = "one"
    BOXES = "boxes"
    LABELS = "labels"
    MACHINE_LABELS = "machine_labels"
    ANY = "any"


class Range(enum.StrEnum):
    """What the values may be."""

    ANY = "any"
    FRACTION = "fraction"
    """Within [0, 1]."""
    FLAG = "flag"
    """0 or 1: every reader takes another number, -1 too, for true."""
    POSITIVE = "positive"
    NOT_NEGATIVE = "not_negative"
    """Finite, and at least 0."""


class Reader(enum.StrEnum):
    """Who reads a key."""

    TRAINING = "Object Detection API"
    EVALUATION = "its offline evaluation"
    MODEL_GARDEN = "Model Garden"
    OURS = "ours"
    """A key of oi_tfrecord's own."""


@dataclasses.dataclass(frozen=True)
class KnownKey:
    """What a key of records must hold, and who reads it."""

    kind: Kind
    length: Length
    range: Range = Range.ANY
    readers: tuple[Reader, ...] = ()


_OD, _OFF, _MG, _OURS = Reader.TRAINING, Reader.EVALUATION, Reader.MODEL_GARDEN, Reader.OURS

SIDES = ("ymin", "xmin", "ymax", "xmax")

BBOX_KEYS = tuple(f"image/object/bbox/{side}" for side in SIDES)

LABEL_PAIRS = (
    ("image/object/class/text", "image/object/class/label"),
    ("image/class/text", "image/class/label"),
    ("image/machine_class/text", "image/machine_class/label"),
)
"""Keys of MIDs, each with the key of their ids in the label map."""

KNOWN_KEYS: dict[str, KnownKey] = {
    "image/encoded": KnownKey(Kind.BYTES, Length.ONE, readers=(_OD, _MG)),
    "image/format": KnownKey(Kind.BYTES, Length.ONE, readers=(_OD,)),
    "image/filename": KnownKey(Kind.BYTES, Length.ONE, readers=(_OD,)),
    "image/source_id": KnownKey(Kind.BYTES, Length.ONE, readers=(_OD, _OFF, _MG)),
    "image/height": KnownKey(Kind.INT64, Length.ONE, Range.POSITIVE, (_OD, _MG)),
    "image/width": KnownKey(Kind.INT64, Length.ONE, Range.POSITIVE, (_OD, _MG)),
    "image/rotation": KnownKey(Kind.INT64, Length.ANY, Range.NOT_NEGATIVE, (_OURS,)),
    "image/key/sha256": KnownKey(Kind.BYTES, Length.ONE, readers=(_OD,)),
    **{key: KnownKey(Kind.FLOAT, Length.BOXES, Range.FRACTION, (_OD, _OFF, _MG)) for key in BBOX_KEYS},
    "image/object/class/text": KnownKey(Kind.BYTES, Length.BOXES, readers=(_OD, _MG)),
    "image/object/class/label": KnownKey(Kind.INT64, Length.BOXES, Range.POSITIVE, (_OD, _OFF, _MG)),
    "image/object/group_of": KnownKey(Kind.INT64, Length.BOXES, Range.FLAG, (_OD, _OFF)),
    "image/object/is_crowd": KnownKey(Kind.INT64, Length.BOXES, Range.FLAG, (_OD, _MG)),
    "image/object/difficult": KnownKey(Kind.INT64, Length.BOXES, Range.FLAG, (_OD, _OFF)),
    "image/object/occluded": KnownKey(Kind.INT64, Length.BOXES, Range.FLAG),
    "image/object/truncated": KnownKey(Kind.INT64, Length.BOXES, Range.FLAG),
    "image/object/depiction": KnownKey(Kind.INT64, Length.BOXES, Range.FLAG),
    "image/object/area": KnownKey(Kind.FLOAT, Length.BOXES, Range.NOT_NEGATIVE, (_OD, _MG)),
    "image/object/weight": KnownKey(Kind.FLOAT, Length.BOXES, Range.NOT_NEGATIVE, (_OD,)),
    "image/object/mask": KnownKey(Kind.BYTES, Length.BOXES, readers=(_OD, _MG)),
    "image/object/mask/weight": KnownKey(Kind.FLOAT, Length.BOXES, Range.FRACTION, (_OD,)),
    "image/object/bbox/confidence": KnownKey(Kind.FLOAT, Length.BOXES, Range.FRACTION, (_OURS,)),
    "image/object/source": KnownKey(Kind.BYTES, Length.BOXES, readers=(_OURS,)),
    "image/object/inside": KnownKey(Kind.INT64, Length.BOXES, Range.FLAG, (_OURS,)),
    "image/class/text": KnownKey(Kind.BYTES, Length.LABELS, readers=(_OD,)),
    "image/class/label": KnownKey(Kind.INT64, Length.LABELS, Range.POSITIVE, (_OD, _OFF)),
    "image/class/confidence": KnownKey(Kind.FLOAT, Length.LABELS, Range.FRACTION, (_OD,)),
    "image/class/source": KnownKey(Kind.BYTES, Length.LABELS, readers=(_OURS,)),
    "image/neg_category_ids": KnownKey(Kind.INT64, Length.ANY, Range.POSITIVE, (_OD,)),
    "image/not_exhaustive_category_ids": KnownKey(Kind.INT64, Length.ANY, Range.POSITIVE, (_OD,)),
    "image/machine_class/text": KnownKey(Kind.BYTES, Length.MACHINE_LABELS, readers=(_OURS,)),
    "image/machine_class/label": KnownKey(Kind.INT64, Length.MACHINE_LABELS, Range.POSITIVE, (_OURS,)),
    "image/machine_class/confidence": KnownKey(Kind.FLOAT, Length.MACHINE_LABELS, Range.FRACTION, (_OURS,)),
    **{
        f"image/attribution/{name}": KnownKey(Kind.BYTES, Length.ONE, readers=(_OURS,))
        for name in ("license", "author", "profile_url", "title", "landing_url")
    },
}

ALWAYS_WRITTEN = (
    "image/encoded",
    "image/filename",
    "image/format",
    "image/height",
    "image/key/sha256",
    "image/source_id",
    "image/width",
    *BBOX_KEYS,
    "image/object/area",
    "image/object/class/label",
    "image/object/class/text",
)
"""Keys of every record of ours, whatever its configuration."""

RECORD_FORMAT = 1
"""Raised whenever the same input and configuration would give other bytes."""

ENCODED_KEY = "image/encoded"

IS_CROWD_KEY = "image/object/is_crowd"

MASK_KEY = "image/object/mask"

MASK_WEIGHT_KEY = "image/object/mask/weight"

READER_FLAGS = ("occluded", "truncated", "group_of", "depiction")


class ExtraKeys(enum.StrEnum):
    """Groups of keys of our own, off by default as they cost bytes."""

    BOX_SOURCE = "box_source"
    BOX_CONFIDENCE = "box_confidence"
    INSIDE = "inside"
    LABEL_SOURCE = "label_source"
    MACHINE_LABELS = "machine_labels"
    ATTRIBUTION = "attribution"
    MASKS = "masks"
    ROTATION = "rotation"


@dataclasses.dataclass(frozen=True)
class RecordLayout:
    """Which keys every record of a dataset has.

    Attributes:
        tables: tables of the dataset; image-level keys are there only if their table is.
        flags: fields of BOX_ROW whose column the box files have.
        extra_keys: groups of keys to add.
        has_boxes: whether there are the keys of boxes, if only empty.
    """

    tables: frozenset[Table]
    flags: frozenset[str]
    extra_keys: frozenset[ExtraKeys] = frozenset()
    has_boxes: bool = True
