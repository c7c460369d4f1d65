"""The values of a record that a training loop gets from `load` and from `RecordDataset`."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from oi_tfrecord.records.example_reader import Values, find_image_size, join_absent_labels
from oi_tfrecord.records.keys import (
    BBOX_KEYS,
    BOX_FLAGS,
    BOX_LABEL_KEY,
    LABEL_CONFIDENCE_KEY,
    LABEL_KEY,
    SOURCE_ID_KEY,
    flag_key,
)


class ValueSpec(NamedTuple):
    """The dtype and the shape of a value; None is a dimension as long as the record has boxes or labels."""

    dtype: str
    shape: tuple[int | None, ...]


VALUE_SPECS: Mapping[str, ValueSpec] = {
    "image_id": ValueSpec("string", ()),
    "height": ValueSpec("int64", ()),
    "width": ValueSpec("int64", ()),
    "boxes": ValueSpec("float32", (None, 4)),
    "labels": ValueSpec("int64", (None,)),
    **dict.fromkeys(BOX_FLAGS, ValueSpec("int64", (None,))),
    "image_labels": ValueSpec("int64", (None,)),
    "image_confidences": ValueSpec("float32", (None,)),
}
"""The values beside `image`.

`height` and `width` are those of the encoded image, in pixels; `boxes` are (ymin, xmin, ymax, xmax), normalised to
[0, 1] with the origin at the top left; `labels` and `image_labels` are ids of the label map; flags are 0 where the
records have none.
"""


def training_values(example: Mapping[str, Values]) -> dict[str, Any]:
    """Returns the values of a record without its image; see `VALUE_SPECS`.

    Args:
        example: A record as `parse_example` returns it.

    Raises:
        KeyError: If the record has no `image/source_id`.
    """
    example = join_absent_labels(example)
    width, height = find_image_size(example)
    # An empty list may have come from a writer that gives it no kind.
    boxes = [_numbers(example, key).astype(np.float32) for key in BBOX_KEYS]
    labels = _numbers(example, BOX_LABEL_KEY)
    image_labels = _numbers(example, LABEL_KEY)
    source_id = example[SOURCE_ID_KEY]
    # Third-party records have no flags and no confidences: there, each label means that its class is present.
    absent, present = np.zeros(len(labels), np.int64), np.ones(len(image_labels), np.float32)
    return {
        "image_id": source_id[0] if source_id else b"",
        "height": np.int64(height),
        "width": np.int64(width),
        "boxes": np.stack(boxes, axis=-1),
        "labels": labels,
        **{flag: _numbers_or(example, flag_key(flag), absent) for flag in BOX_FLAGS},
        "image_labels": image_labels,
        "image_confidences": _numbers_or(example, LABEL_CONFIDENCE_KEY, present),
    }


def _numbers(example: Mapping[str, Values], key: str) -> np.ndarray:
    values = example.get(key)
    return values if isinstance(values, np.ndarray) else np.zeros(0, np.int64)


def _numbers_or(example: Mapping[str, Values], key: str, default: np.ndarray) -> np.ndarray:
    """Returns the values of a key; the default if the record has not as many values as the default."""
    values = _numbers(example, key)
    # An empty list may have lost its dtype.
    return values if len(values) == len(default) > 0 else default
