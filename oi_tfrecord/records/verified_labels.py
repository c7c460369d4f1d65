"""The image labels that people verified, present and absent, of records of either task.

Records for detection have both under `image/class`, told apart by their confidence, as the Object Detection API reads
them. Records for classification have the absent classes apart, as Model Garden takes each id there for a present class
(official/vision/dataloaders/classification_input.py).
"""

from collections.abc import Mapping

import numpy as np

from oi_tfrecord.records.example_reader import Values
from oi_tfrecord.records.keys import (
    ABSENT_LABEL_KEY,
    ABSENT_SOURCE_KEY,
    ABSENT_TEXT_KEY,
    LABEL_CONFIDENCE_KEY,
    LABEL_KEY,
    LABEL_SOURCE_KEY,
    LABEL_TEXT_KEY,
)

_JOINED = ((LABEL_TEXT_KEY, ABSENT_TEXT_KEY), (LABEL_KEY, ABSENT_LABEL_KEY), (LABEL_SOURCE_KEY, ABSENT_SOURCE_KEY))


def join_absent_labels(features: Mapping[str, Values]) -> Mapping[str, Values]:
    """Returns a record that has the absent classes under `image/class`, too, with the confidence 0.

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
