"""The keys of records: their names, and for each its kind, length, range and readers.

Sources: the Object Detection API's data_decoders/tf_example_decoder.py and metrics/tf_example_parser.py, Model
Garden's official/vision/dataloaders/tf_example_decoder.py.
"""

import dataclasses
import enum

from oi_tfrecord.openimages.schema import ATTRIBUTES, Table

ENCODED_KEY = "image/encoded"

FORMAT_KEY = "image/format"

FILENAME_KEY = "image/filename"

SOURCE_ID_KEY = "image/source_id"

HEIGHT_KEY = "image/height"

WIDTH_KEY = "image/width"

ROTATION_KEY = "image/rotation"

SHA256_KEY = "image/key/sha256"

SIDES = ("ymin", "xmin", "ymax", "xmax")
"""The sides of a box, in the order that the Object Detection API and Model Garden use."""

BBOX_KEYS = tuple(f"image/object/bbox/{side}" for side in SIDES)

BOX_CONFIDENCE_KEY = "image/object/bbox/confidence"

BOX_TEXT_KEY = "image/object/class/text"

BOX_LABEL_KEY = "image/object/class/label"

BOX_SOURCE_KEY = "image/object/source"

AREA_KEY = "image/object/area"

IS_CROWD_KEY = "image/object/is_crowd"

MASK_KEY = "image/object/mask"

MASK_WEIGHT_KEY = "image/object/mask/weight"

MASK_BOX_ID_KEY = "image/object/box_id"

MASK_IOU_KEY = "image/object/predicted_iou"

BOX_FLAGS = ("group_of", "occluded", "truncated", "depiction")
"""Flags of boxes that records have if the box files have their columns; see `flag_key`."""

LABEL_TEXT_KEY = "image/class/text"

LABEL_KEY = "image/class/label"

LABEL_CONFIDENCE_KEY = "image/class/confidence"

LABEL_SOURCE_KEY = "image/class/source"

ABSENT_TEXT_KEY = "image/absent_class/text"

ABSENT_LABEL_KEY = "image/absent_class/label"

ABSENT_SOURCE_KEY = "image/absent_class/source"

MACHINE_TEXT_KEY = "image/machine_class/text"

MACHINE_LABEL_KEY = "image/machine_class/label"

MACHINE_CONFIDENCE_KEY = "image/machine_class/confidence"

PRESENT_TEXT_KEY = "image/present_class/text"

PRESENT_LABEL_KEY = "image/present_class/label"

PRESENT_CONFIDENCE_KEY = "image/present_class/confidence"

LABEL_PAIRS = (
    (BOX_TEXT_KEY, BOX_LABEL_KEY),
    (LABEL_TEXT_KEY, LABEL_KEY),
    (ABSENT_TEXT_KEY, ABSENT_LABEL_KEY),
    (MACHINE_TEXT_KEY, MACHINE_LABEL_KEY),
    (PRESENT_TEXT_KEY, PRESENT_LABEL_KEY),
)
"""Keys of MIDs, each with the key of their ids in the label map."""


def flag_key(flag: str) -> str:
    """Returns the key of a flag of boxes, such as `group_of`."""
    return f"image/object/{flag}"


def attribute_key(attribute: str) -> str:
    """Returns the key of an attribute of boxes, such as `age_presentation`; Model Garden reads keys of this form."""
    return f"image/object/attribute/{attribute}"


def attribution_key(name: str) -> str:
    """Returns the key of a fact about the author, such as `license`."""
    return f"image/attribution/{name}"


class FeatureKind(enum.StrEnum):
    """Kinds of a Feature."""

    BYTES = "bytes"
    FLOAT = "float"
    INT64 = "int64"


class ListLength(enum.StrEnum):
    """How many values a key has."""

    ONE = "one"
    BOXES = "boxes"
    LABELS = "labels"
    ABSENT_LABELS = "absent_labels"
    MACHINE_LABELS = "machine_labels"
    PRESENT_LABELS = "present_labels"
    ANY = "any"


class ValueRange(enum.StrEnum):
    """Which values a key may have."""

    ANY = "any"
    FRACTION = "fraction"
    """Within [0, 1]."""
    FLAG = "flag"
    """0 or 1: readers take any other number, even -1, for true."""
    POSITIVE = "positive"
    NOT_NEGATIVE = "not_negative"
    """Finite, and at least 0."""


class KeyReader(enum.StrEnum):
    """Programs that read a key."""

    TRAINING = "Object Detection API"
    EVALUATION = "its offline evaluation"
    MODEL_GARDEN = "Model Garden"
    OURS = "ours"
    """A key that only oi_tfrecord defines."""


@dataclasses.dataclass(frozen=True)
class KnownKey:
    """What a key of records must hold, and which programs read it."""

    kind: FeatureKind
    length: ListLength
    range: ValueRange = ValueRange.ANY
    readers: tuple[KeyReader, ...] = ()


_OD, _OFF, _MG, _OURS = KeyReader.TRAINING, KeyReader.EVALUATION, KeyReader.MODEL_GARDEN, KeyReader.OURS

KNOWN_KEYS: dict[str, KnownKey] = {
    ENCODED_KEY: KnownKey(FeatureKind.BYTES, ListLength.ONE, readers=(_OD, _MG)),
    FORMAT_KEY: KnownKey(FeatureKind.BYTES, ListLength.ONE, readers=(_OD,)),
    FILENAME_KEY: KnownKey(FeatureKind.BYTES, ListLength.ONE, readers=(_OD,)),
    SOURCE_ID_KEY: KnownKey(FeatureKind.BYTES, ListLength.ONE, readers=(_OD, _OFF, _MG)),
    HEIGHT_KEY: KnownKey(FeatureKind.INT64, ListLength.ONE, ValueRange.POSITIVE, (_OD, _MG)),
    WIDTH_KEY: KnownKey(FeatureKind.INT64, ListLength.ONE, ValueRange.POSITIVE, (_OD, _MG)),
    ROTATION_KEY: KnownKey(FeatureKind.INT64, ListLength.ANY, ValueRange.NOT_NEGATIVE, (_OURS,)),
    SHA256_KEY: KnownKey(FeatureKind.BYTES, ListLength.ONE, readers=(_OD,)),
    **{key: KnownKey(FeatureKind.FLOAT, ListLength.BOXES, ValueRange.FRACTION, (_OD, _OFF, _MG)) for key in BBOX_KEYS},
    BOX_TEXT_KEY: KnownKey(FeatureKind.BYTES, ListLength.BOXES, readers=(_OD, _MG)),
    BOX_LABEL_KEY: KnownKey(FeatureKind.INT64, ListLength.BOXES, ValueRange.POSITIVE, (_OD, _OFF, _MG)),
    flag_key("group_of"): KnownKey(FeatureKind.INT64, ListLength.BOXES, ValueRange.FLAG, (_OD, _OFF)),
    IS_CROWD_KEY: KnownKey(FeatureKind.INT64, ListLength.BOXES, ValueRange.FLAG, (_OD, _MG)),
    flag_key("difficult"): KnownKey(FeatureKind.INT64, ListLength.BOXES, ValueRange.FLAG, (_OD, _OFF)),
    flag_key("occluded"): KnownKey(FeatureKind.INT64, ListLength.BOXES, ValueRange.FLAG),
    flag_key("truncated"): KnownKey(FeatureKind.INT64, ListLength.BOXES, ValueRange.FLAG),
    flag_key("depiction"): KnownKey(FeatureKind.INT64, ListLength.BOXES, ValueRange.FLAG),
    AREA_KEY: KnownKey(FeatureKind.FLOAT, ListLength.BOXES, ValueRange.NOT_NEGATIVE, (_OD, _MG)),
    "image/object/weight": KnownKey(FeatureKind.FLOAT, ListLength.BOXES, ValueRange.NOT_NEGATIVE, (_OD,)),
    MASK_KEY: KnownKey(FeatureKind.BYTES, ListLength.BOXES, readers=(_OD, _MG)),
    MASK_WEIGHT_KEY: KnownKey(FeatureKind.FLOAT, ListLength.BOXES, ValueRange.FRACTION, (_OD,)),
    MASK_BOX_ID_KEY: KnownKey(FeatureKind.BYTES, ListLength.BOXES, readers=(_OURS,)),
    MASK_IOU_KEY: KnownKey(FeatureKind.FLOAT, ListLength.BOXES, readers=(_OURS,)),
    **{
        attribute_key(name): KnownKey(FeatureKind.INT64, ListLength.BOXES, ValueRange.NOT_NEGATIVE, (_MG,))
        for name in ATTRIBUTES
    },
    BOX_CONFIDENCE_KEY: KnownKey(FeatureKind.FLOAT, ListLength.BOXES, ValueRange.FRACTION, (_OURS,)),
    BOX_SOURCE_KEY: KnownKey(FeatureKind.BYTES, ListLength.BOXES, readers=(_OURS,)),
    flag_key("inside"): KnownKey(FeatureKind.INT64, ListLength.BOXES, ValueRange.FLAG, (_OURS,)),
    LABEL_TEXT_KEY: KnownKey(FeatureKind.BYTES, ListLength.LABELS, readers=(_OD,)),
    LABEL_KEY: KnownKey(FeatureKind.INT64, ListLength.LABELS, ValueRange.POSITIVE, (_OD, _OFF, _MG)),
    LABEL_CONFIDENCE_KEY: KnownKey(FeatureKind.FLOAT, ListLength.LABELS, ValueRange.FRACTION, (_OD,)),
    LABEL_SOURCE_KEY: KnownKey(FeatureKind.BYTES, ListLength.LABELS, readers=(_OURS,)),
    "image/neg_category_ids": KnownKey(FeatureKind.INT64, ListLength.ANY, ValueRange.POSITIVE, (_OD,)),
    "image/not_exhaustive_category_ids": KnownKey(FeatureKind.INT64, ListLength.ANY, ValueRange.POSITIVE, (_OD,)),
    ABSENT_TEXT_KEY: KnownKey(FeatureKind.BYTES, ListLength.ABSENT_LABELS, readers=(_OURS,)),
    ABSENT_LABEL_KEY: KnownKey(FeatureKind.INT64, ListLength.ABSENT_LABELS, ValueRange.POSITIVE, (_OURS,)),
    ABSENT_SOURCE_KEY: KnownKey(FeatureKind.BYTES, ListLength.ABSENT_LABELS, readers=(_OURS,)),
    MACHINE_TEXT_KEY: KnownKey(FeatureKind.BYTES, ListLength.MACHINE_LABELS, readers=(_OURS,)),
    MACHINE_LABEL_KEY: KnownKey(FeatureKind.INT64, ListLength.MACHINE_LABELS, ValueRange.POSITIVE, (_OURS,)),
    MACHINE_CONFIDENCE_KEY: KnownKey(FeatureKind.FLOAT, ListLength.MACHINE_LABELS, ValueRange.FRACTION, (_OURS,)),
    PRESENT_TEXT_KEY: KnownKey(FeatureKind.BYTES, ListLength.PRESENT_LABELS, readers=(_OURS,)),
    PRESENT_LABEL_KEY: KnownKey(FeatureKind.INT64, ListLength.PRESENT_LABELS, ValueRange.POSITIVE, (_MG,)),
    PRESENT_CONFIDENCE_KEY: KnownKey(FeatureKind.FLOAT, ListLength.PRESENT_LABELS, ValueRange.FRACTION, (_OURS,)),
    **{
        attribution_key(name): KnownKey(FeatureKind.BYTES, ListLength.ONE, readers=(_OURS,))
        for name in ("license", "author", "profile_url", "title", "landing_url")
    },
}

ALWAYS_WRITTEN = (
    ENCODED_KEY,
    FILENAME_KEY,
    FORMAT_KEY,
    HEIGHT_KEY,
    SHA256_KEY,
    SOURCE_ID_KEY,
    WIDTH_KEY,
    *BBOX_KEYS,
    AREA_KEY,
    BOX_LABEL_KEY,
    BOX_TEXT_KEY,
)
"""Keys of every record of ours, whatever its configuration."""

RECORD_FORMAT = 1
"""Raised whenever the same input and configuration would give other bytes."""


class ExtraKeys(enum.StrEnum):
    """Groups of keys of our own, off by default as they cost bytes."""

    BOX_SOURCE = "box_source"
    BOX_CONFIDENCE = "box_confidence"
    INSIDE = "inside"
    LABEL_SOURCE = "label_source"
    MACHINE_LABELS = "machine_labels"
    PRESENT_LABELS = "present_labels"
    ATTRIBUTION = "attribution"
    MASKS = "masks"
    ROTATION = "rotation"
    BOX_ID = "box_id"
    PREDICTED_IOU = "predicted_iou"
    ATTRIBUTES = "attributes"


@dataclasses.dataclass(frozen=True)
class RecordLayout:
    """Which keys every record of a dataset has.

    Attributes:
        tables: tables of the dataset; image-level keys are there only if their table is.
        flags: fields of BOX_ROW whose column the box files have.
        extra_keys: groups of keys to add.
        has_boxes: whether there are the keys of boxes, if only empty. Records without are for classification, and have
            the classes that were verified absent under keys of their own.
    """

    tables: frozenset[Table]
    flags: frozenset[str]
    extra_keys: frozenset[ExtraKeys] = frozenset()
    has_boxes: bool = True
