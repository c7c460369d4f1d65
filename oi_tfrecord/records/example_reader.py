"""Parses an Example, and gives its values by key in the kind that a caller expects."""

import io
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
from google.protobuf.message import DecodeError

from oi_tfrecord.records.keys import (
    ABSENT_LABEL_KEY,
    ABSENT_SOURCE_KEY,
    ABSENT_TEXT_KEY,
    ENCODED_KEY,
    HEIGHT_KEY,
    LABEL_CONFIDENCE_KEY,
    LABEL_KEY,
    LABEL_SOURCE_KEY,
    LABEL_TEXT_KEY,
    WIDTH_KEY,
)
from oi_tfrecord.records.message_types import Example
from oi_tfrecord.records.record_limits import TooManyValues, check_keys_fit, check_values_fit

Values: TypeAlias = "list[bytes] | np.ndarray | None"
"""The values of a key: a list of bytes, a float32 or int64 array, or None for a Feature without a kind."""


class ExampleError(ValueError):
    """Bytes that are no `tf.train.Example`."""


class RecordFault(ValueError):
    """A record that cannot be used: its lists do not belong together, or a key has the wrong kind."""


def parse_example(data: bytes) -> dict[str, Values]:
    """Parses one Example.

    Args:
        data: The serialised message, as in a TFRecord.

    Returns:
        Key to values, keys in order. The kind of an empty list is kept: `[]`, or an empty float32 or int64 array.

    Raises:
        ExampleError: If the bytes are no Example, or hold more values than fit into memory (`record_limits`).
    """
    features = open_example(data)
    return {key: _values(features[key]) for key in sorted(features)}


def open_example(data: bytes) -> Mapping[str, Any]:
    """Returns the Feature of each key of an Example, whose values are not copied; see `parse_example`."""
    try:
        check_values_fit(data)
        features: Mapping[str, Any] = Example.FromString(data).features.feature
        check_keys_fit(len(features))
    except TooManyValues as error:
        raise ExampleError(f"not an image with annotations: the record {error}") from error
    except DecodeError as error:
        raise ExampleError(f"not a tf.train.Example: {error}") from error
    return features


def _values(feature: Any) -> Values:
    kind = feature.WhichOneof("kind")
    if kind is None:
        return None
    if kind == "bytes_list":
        return list(feature.bytes_list.value)
    return np.array(getattr(feature, kind).value, np.float32 if kind == "float_list" else np.int64)


def get_numbers(example: Mapping[str, Values], key: str) -> np.ndarray:
    """Returns the float32 or int64 values of a key; an empty array for an absent key.

    Raises:
        RecordFault: If the key holds bytes.
    """
    values = example.get(key)
    if values is None:
        return np.zeros(0, np.float32)
    # Some writers store an empty list of bytes where they have no values.
    if isinstance(values, list):
        if values:
            raise RecordFault(f"{key} holds bytes")
        return np.zeros(0, np.float32)
    return values


def get_strings(example: Mapping[str, Values], key: str) -> list[bytes]:
    """Returns the bytes values of a key; an empty list for an absent key.

    Raises:
        RecordFault: If the key holds numbers.
    """
    values = example.get(key)
    if values is None or len(values) == 0:
        return []
    if not isinstance(values, list):
        raise RecordFault(f"{key} holds numbers")
    return values


def get_integer(example: Mapping[str, Values], key: str) -> int:
    """Returns the first number of a key; 0 without a value."""
    values = get_numbers(example, key)
    return int(values[0]) if len(values) else 0


def get_bytes(example: Mapping[str, Values], key: str) -> bytes:
    """Returns the first bytes value of a key; empty bytes without a value."""
    values = get_strings(example, key)
    return values[0] if values else b""


def get_classes(example: Mapping[str, Values], prefix: str, mid_of: Mapping[int, str]) -> list[str]:
    """Returns the MIDs of `<prefix>/text`, or those of the ids of `<prefix>/label` in a record without texts.

    Args:
        example: A parsed Example.
        prefix: `image/object/class`, `image/class` or `image/machine_class`.
        mid_of: MID of each label map id; any other id becomes `id N`.
    """
    if texts := get_strings(example, f"{prefix}/text"):
        return [decode(text) for text in texts]
    ids = get_numbers(example, f"{prefix}/label").astype(int).tolist()
    return [mid_of.get(number, f"id {number}") for number in ids]


def check_lengths(lengths: Mapping[str, int], count: int) -> None:
    """Checks that lists belong to the same boxes or labels.

    Args:
        lengths: Length of each list by the name of its values.
        count: The number of boxes or labels.

    Raises:
        RecordFault: Naming the first list of another length.
    """
    for name, length in lengths.items():
        if length != count:
            raise RecordFault(f"it has {length} values of {name} for {count} boxes or labels")


def decode(value: bytes) -> str:
    """Returns text to show; bytes that are no UTF-8 become a replacement character."""
    return value.decode(errors="replace")


def find_image_size(example: Mapping[str, Values]) -> tuple[int, int]:
    """Returns (width, height) of the image of a record, in pixels.

    Args:
        example: a record as `parse_example` returns it. The Object Detection API's own converter
            (dataset_tools/oid_tfrecord_creation.py) writes no size; then the header of the image says the size, as
            for Model Garden's decoder.

    Returns:
        The size; zeros if no program could know the size.
    """
    width, height = get_integer(example, WIDTH_KEY), get_integer(example, HEIGHT_KEY)
    return (width, height) if width > 0 and height > 0 else _read_size(get_bytes(example, ENCODED_KEY))


def _read_size(encoded: bytes) -> tuple[int, int]:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(encoded)) as picture:
            return picture.size
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return 0, 0


_JOINED = ((LABEL_TEXT_KEY, ABSENT_TEXT_KEY), (LABEL_KEY, ABSENT_LABEL_KEY), (LABEL_SOURCE_KEY, ABSENT_SOURCE_KEY))


def join_absent_labels(features: Mapping[str, Values]) -> Mapping[str, Values]:
    """Returns a record that has the classes verified absent under `image/class`, too, with the confidence 0.

    Records for detection have them there, as the Object Detection API reads them. Records for classification have them
    apart, as Model Garden (vision/dataloaders/classification_input.py) takes each id there for a present class.

    Args:
        features: a record as `parse_example` returns it; one without keys of absent classes is returned as it is.
    """
    absent = max(_count(features, key) for key in (ABSENT_TEXT_KEY, ABSENT_LABEL_KEY))
    if not absent:
        return features
    joined = dict(features)
    for key, absent_key in _JOINED:
        joined[key] = _concatenate(features.get(key), features.get(absent_key))
    present = max(_count(features, key) for key in (LABEL_TEXT_KEY, LABEL_KEY))
    confidences = features.get(LABEL_CONFIDENCE_KEY)
    has_confidences = isinstance(confidences, np.ndarray) and len(confidences) > 0
    given = confidences if has_confidences else np.ones(present, np.float32)
    joined[LABEL_CONFIDENCE_KEY] = _concatenate(given, np.zeros(absent, np.float32))
    return {key: values for key, values in joined.items() if values is not None}


def _count(features: Mapping[str, Values], key: str) -> int:
    values = features.get(key)
    return 0 if values is None else len(values)


def _concatenate(present: Values, absent: Values) -> Values:
    if present is None or not len(present):
        return absent
    if absent is None or not len(absent):
        return present
    if isinstance(present, list) and isinstance(absent, list):
        return [*present, *absent]
    return np.concatenate([present, absent])
