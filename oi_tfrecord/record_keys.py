"""Names of record keys, and which of them a dataset has."""

import dataclasses
import enum

from oi_tfrecord.tables import Table

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


class UrlKind(enum.StrEnum):
    """Which of an image's files is taken."""

    ORIGINAL = "original"
    THUMBNAIL = "thumbnail"
