"""Checks kind, number and range of the values of each known key of a record."""

import math
from collections.abc import Iterator, Mapping, Sequence

from oi_tfrecord.records.example_reader import Values
from oi_tfrecord.records.keys import BBOX_KEYS, KNOWN_KEYS, FeatureKind, KnownKey, ListLength, ValueRange
from oi_tfrecord.verification.faults import FaultKind, Finding

_KINDS = {"f": FeatureKind.FLOAT, "i": FeatureKind.INT64}
"""Kind of a NumPy array, by the kind of its dtype."""

_PARALLEL = (
    ListLength.BOXES,
    ListLength.LABELS,
    ListLength.ABSENT_LABELS,
    ListLength.MACHINE_LABELS,
    ListLength.PRESENT_LABELS,
)
"""Lengths that all keys of a record have in common."""


def check_values(features: Mapping[str, Values]) -> tuple[dict[str, list], list[Finding]]:
    """Checks the values of each known key.

    Args:
        features: what `parse_example` made of the record.

    Returns:
        The values, as lists, of the keys whose kind and length are right; and the faults of the keys.
    """
    lists: dict[str, list] = {}
    findings: list[Finding] = []
    for key, values in features.items():
        known = KNOWN_KEYS.get(key)
        if known is None or values is None:
            continue
        kind = FeatureKind.BYTES if isinstance(values, list) else _KINDS[values.dtype.kind]
        if kind is not known.kind:
            findings.append(Finding(FaultKind.KEY_KIND, key, f"{kind} instead of {known.kind}"))
        elif known.length is ListLength.ONE and len(values) != 1:
            findings.append(Finding(FaultKind.KEY_LENGTH, key, f"{len(values)} values instead of one"))
        else:
            lists[key] = values if isinstance(values, list) else values.tolist()
            findings += _check_range(key, known, lists[key])
    for length in _PARALLEL:
        lengths = {key: len(values) for key, values in lists.items() if KNOWN_KEYS[key].length is length}
        if len(set(lengths.values())) > 1:
            findings.append(_name_other_length(lengths))
            lists = {key: values for key, values in lists.items() if key not in lengths}
    return lists, findings


def find_missing_keys(features: Mapping[str, Values], required: Sequence[str]) -> Iterator[Finding]:
    """Yields the required keys that a record lacks."""
    for key in required:
        if features.get(key) is None:
            yield Finding(FaultKind.KEY_MISSING, key, "every record must have this key")


def _check_range(key: str, known: KnownKey, values: Sequence) -> Iterator[Finding]:
    if not (bad := _find_out_of_range(values, known.range)):
        return
    kind = FaultKind.BAD_BOX if key in BBOX_KEYS else FaultKind.BAD_VALUE
    kind = FaultKind.BAD_LABEL if key.endswith("class/label") else kind
    problem = {
        ValueRange.FRACTION: "not within [0, 1]",
        ValueRange.FLAG: "not 0 or 1",
        ValueRange.POSITIVE: "below 1",
        ValueRange.NOT_NEGATIVE: "negative or not finite",
    }[known.range]
    more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
    yield Finding(kind, key, f"value {bad[0]} is {values[bad[0]]!r}, {problem}{more}")


def _find_out_of_range(values: Sequence, allowed: ValueRange) -> list[int]:
    """Returns the indices of the values outside a range; NaN is outside of each, as no comparison holds for NaN."""
    match allowed:
        case ValueRange.FRACTION:
            return [index for index, value in enumerate(values) if not 0 <= value <= 1]
        case ValueRange.FLAG:
            return [index for index, value in enumerate(values) if value not in (0, 1)]
        case ValueRange.POSITIVE:
            return [index for index, value in enumerate(values) if value < 1]
        case ValueRange.NOT_NEGATIVE:
            return [index for index, value in enumerate(values) if not 0 <= value < math.inf]
    return []


def _name_other_length(lengths: Mapping[str, int]) -> Finding:
    """Names the first key whose length differs from the most frequent length."""
    counts = list(lengths.values())
    usual = max(counts, key=counts.count)
    key = next(key for key, length in lengths.items() if length != usual)
    other = next(name for name, length in lengths.items() if length == usual)
    return Finding(FaultKind.KEY_LENGTH, key, f"{lengths[key]} values, and {other} has {usual}")
