"""The values of a record that `load` and `RecordDataset` give a training loop, and their form for torchvision."""

import itertools
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from oi_tfrecord.errors import ConfigError, nearest
from oi_tfrecord.records.example_reader import Values, find_image_size, join_absent_labels
from oi_tfrecord.records.keys import (
    BBOX_KEYS,
    BOX_FLAGS,
    BOX_LABEL_KEY,
    KNOWN_KEYS,
    LABEL_CONFIDENCE_KEY,
    LABEL_KEY,
    SOURCE_ID_KEY,
    FeatureKind,
    ListLength,
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


def read_image_size(image_size: Sequence[int]) -> tuple[int, int]:
    """Returns the (height, width) that pixels are resized to, of any sequence of whole numbers.

    Raises:
        ConfigError: If it is not two whole numbers above 0.
    """
    try:
        height, width = map(operator.index, image_size)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise ConfigError("image_size", f"must be (height, width), two whole numbers above 0, not {image_size!r}")
    return height, width


def check_keys(keys: Sequence[str]) -> None:
    """Checks the names of further keys.

    Raises:
        ConfigError: If oi_tfrecord knows no such key of records.
    """
    names = [keys] if isinstance(keys, str) else keys
    for key in names:
        if key not in KNOWN_KEYS:
            raise ConfigError("keys", f"there is no key {key!r} of records{nearest(key, KNOWN_KEYS)}")
    if isinstance(keys, str):
        raise ConfigError("keys", f"must be a list of keys, such as [{keys!r}]")


def further_values(example: Mapping[str, Values], keys: Iterable[str]) -> dict[str, Any]:
    """Returns the values of further keys by the names of the keys.

    Args:
        example: A record as `parse_example` returns it.
        keys: Keys of KNOWN_KEYS. A key with one value gives that value; any other a list of bytes or an array.

    Raises:
        ConfigError: If the record lacks a key that has one value.
    """
    return {key: _further_value(example, key) for key in keys}


def _further_value(example: Mapping[str, Values], key: str) -> Any:
    known, values = KNOWN_KEYS[key], example.get(key)
    if known.length is ListLength.ONE:
        if values is None or len(values) != 1:
            raise ConfigError("keys", f"the records have no {key}")
        return values[0]
    if values is not None and len(values):
        return values
    if known.kind is FeatureKind.BYTES:
        return []
    return np.zeros(0, np.float32 if known.kind is FeatureKind.FLOAT else np.int64)


def torchvision_values(values: Mapping[str, Any], keys: Iterable[str] = ()) -> tuple[np.ndarray, dict[str, Any]]:
    """Returns a record as the detectors of torchvision take it (torchvision/models/detection/generalized_rcnn.py).

    A detector stops at a box without area, so that boxes that have none in float32 pixels are left out, with all that
    belongs to them.

    Args:
        values: A record with decoded pixels.
        keys: Further keys that the target has.

    Returns:
        float32 [3, height, width] image, RGB from 0 to 1, that can be written to; and its target: `boxes`, float32
        [n, 4], (xmin, ymin, xmax, ymax) in pixels of the image; `labels`, int64 [n], ids of the label map from 1 on;
        `area`, float32 [n]; `iscrowd`, int64 [n], 1 for a box around a group; `image_id`, a string; and `masks`, uint8
        [n, height, width], where the record has them.
    """
    pixels = values["image"]
    height, width = pixels.shape[:2]
    image = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32) / np.float32(255)
    boxes = values["boxes"][:, [1, 0, 3, 2]] * np.array([width, height, width, height], np.float32)
    sides = boxes[:, 2:] - boxes[:, :2]
    kept = (sides > 0).all(axis=1)
    target = {
        "boxes": boxes[kept],
        "labels": values["labels"][kept],
        "area": sides[kept].prod(axis=1),
        "iscrowd": values["group_of"][kept],
        "image_id": values["image_id"].decode("utf-8", "replace"),
        **{
            key: _select(values[key], kept) if KNOWN_KEYS[key].length is ListLength.BOXES else values[key]
            for key in keys
        },
    }
    if "masks" in values:
        if len(values["masks"]) != len(kept):
            raise ConfigError(
                "masks", f"must be False: an image has {len(kept)} boxes and {len(values['masks'])} masks"
            )
        target["masks"] = values["masks"][kept]
    return image, target


def _select(values: Any, kept: np.ndarray) -> Any:
    """Returns the values of the boxes that are kept, of a list or an array; an empty one stays empty."""
    if isinstance(values, list):
        return list(itertools.compress(values, kept))
    return values[kept] if len(values) else values


def collate(batch: Sequence[tuple[Any, Mapping[str, Any]]]) -> tuple[list[Any], list[dict[str, Any]]]:
    """Returns a batch as the detectors of torchvision take it; `DataLoader` takes this function as its `collate_fn`.

    Args:
        batch: Items of a `RecordDataset` with `target="torchvision"`.

    Returns:
        A tensor for each image, and a dict for each target, whose arrays are tensors, too.

    Raises:
        ConfigError: If the items have another form.
    """
    import torch  # type: ignore[import-not-found]

    if not all(isinstance(item, tuple) and len(item) == 2 for item in batch):
        raise ConfigError("target", 'must be "torchvision" in the RecordDataset whose items are collated')
    images = [torch.as_tensor(image) for image, _ in batch]
    targets = [
        {name: torch.as_tensor(value) if isinstance(value, np.ndarray) else value for name, value in target.items()}
        for _, target in batch
    ]
    return images, targets


def _numbers(example: Mapping[str, Values], key: str) -> np.ndarray:
    values = example.get(key)
    return values if isinstance(values, np.ndarray) else np.zeros(0, np.int64)


def _numbers_or(example: Mapping[str, Values], key: str, default: np.ndarray) -> np.ndarray:
    """Returns the values of a key; the default if the record has not as many values as the default."""
    values = _numbers(example, key)
    # An empty list may have lost its dtype.
    return values if len(values) == len(default) > 0 else default
