"""A record as text: every key with its kind, the number of its values, and the values, long ones shortened."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oi_tfrecord.records.example_reader import Values
from oi_tfrecord.records.keys import BOX_LABEL_KEY, BOX_TEXT_KEY, LABEL_PAIRS, FeatureKind
from oi_tfrecord.records.label_map import LabelMap

MAX_VALUES = 20

MAX_TEXT = 100

_KINDS = {"f": FeatureKind.FLOAT, "i": FeatureKind.INT64}

_LABEL_KEYS = frozenset(key for pair in LABEL_PAIRS for key in pair)


def describe_record(
    features: Mapping[str, Values],
    names: Mapping[str, str],
    mid_of: Mapping[int, str],
    max_values: int | None = MAX_VALUES,
) -> Iterator[str]:
    """Yields a line for each key, in their order.

    Args:
        features: what `parse_example` made of the record.
        names: display name of each MID.
        mid_of: MID of each label map id.
        max_values: how many values of a key are listed; all for None.
    """
    width = max(map(len, features), default=0)
    for key, values in sorted(features.items()):
        if values is None:
            yield f"{key:<{width}}  no kind"
            continue
        kind = FeatureKind.BYTES if isinstance(values, list) else _KINDS[values.dtype.kind]
        # As float32 scalars: str of a float32 has the fewest digits that identify it, str of a float has up to 17.
        listed: Sequence = values[:max_values] if isinstance(values, list) else list(values[:max_values])
        named = [_name(value, names, mid_of) if key in _LABEL_KEYS else None for value in listed]
        shown = ", ".join(map(_value, listed, named))
        more = f", ... {len(values) - len(listed):,} more" if len(values) > len(listed) else ""
        yield f"{key:<{width}}  {kind:<5} {len(values):>3}  {shown}{more}".rstrip()


def class_names(features: Mapping[str, Values], label_map: LabelMap | None) -> list[str]:
    """Returns the name of each box's class: the display name of the label map, else the text or id of the record."""
    texts, labels = features.get(BOX_TEXT_KEY), features.get(BOX_LABEL_KEY)
    by_mid = {} if label_map is None else {item.name: item.display_name for item in label_map.items}
    by_id = {} if label_map is None else {item.id: item.display_name for item in label_map.items}
    if isinstance(texts, list) and texts:
        decoded = [text.decode("utf-8", "replace") for text in texts]
        return [by_mid.get(text, text) for text in decoded]
    return [] if labels is None else [by_id.get(int(label), str(label)) for label in labels]


def _name(value: Any, names: Mapping[str, str], mid_of: Mapping[int, str]) -> str | None:
    return names.get(value.decode("utf-8", "replace") if isinstance(value, bytes) else mid_of.get(int(value), ""))


def _value(value: object, name: str | None) -> str:
    named = f" ({name})" if name else ""
    if not isinstance(value, bytes):
        return str(value) + named
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return f"{len(value):,} bytes {value[:8].hex(' ')} ..." if len(value) > 8 else repr(value)
    shown = text[:MAX_TEXT]
    # Line breaks and control characters of terminals are escaped.
    shown = shown if shown and shown.isprintable() else repr(shown)
    return (f"{shown}... ({len(value):,} bytes)" if len(text) > MAX_TEXT else shown) + named
