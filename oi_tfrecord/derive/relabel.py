"""Gives records the ids of another label map: each id is looked up by its MID, all else stays."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.records.example_reader import Values
from oi_tfrecord.records.example_writer import bytes_feature, encode_example, float_feature, int64_feature
from oi_tfrecord.records.keys import LABEL_PAIRS
from oi_tfrecord.records.label_map import LabelMap, reuse_ids_and_append


def merge_label_maps(label_maps: Sequence[LabelMap], given: LabelMap | None = None) -> LabelMap:
    """Returns one label map for several.

    Args:
        label_maps: of the datasets, in order.
        given: a label map to use unchanged.

    Returns:
        `given`; without it, the first map with the classes that it lacks appended, in the order of the maps, under ids
        after its highest. Two classes are related if they are in any of the maps.

    Raises:
        ConfigError: if `given` lacks classes.
    """
    if given is not None:
        _check_has_all(given, label_maps)
        return given
    first = label_maps[0]
    names: dict[str, str] = {}
    for label_map in label_maps:
        for item in label_map.items:
            names.setdefault(item.name, item.display_name)
    merged = reuse_ids_and_append(first, list(names), names)
    # The map of one dataset stays unchanged, even the order of its relatives.
    return merged if merged == first else _join_relatives(merged, label_maps)


def _join_relatives(merged: LabelMap, label_maps: Sequence[LabelMap]) -> LabelMap:
    """Returns a label map whose classes have their relatives in any of the maps."""
    ancestors = _relatives(label_maps, "ancestor_ids")
    descendants = _relatives(label_maps, "descendant_ids")
    ids = merged.id_of
    return LabelMap(
        tuple(
            dataclasses.replace(
                item,
                ancestor_ids=tuple(sorted(ids[name] for name in ancestors.get(item.name, ()))),
                descendant_ids=tuple(sorted(ids[name] for name in descendants.get(item.name, ()))),
            )
            for item in merged.items
        )
    )


def _check_has_all(given: LabelMap, label_maps: Sequence[LabelMap]) -> None:
    mids = dict.fromkeys(item.name for label_map in label_maps for item in label_map.items)
    if missing := [mid for mid in mids if mid not in given.id_of]:
        more = ", ..." if len(missing) > 10 else ""
        raise ConfigError(
            "label_map",
            f"lacks {len(missing)} classes of the inputs: {', '.join(missing[:10])}{more}; give a label map with all "
            "classes, or none",
        )


def _relatives(label_maps: Iterable[LabelMap], field: str) -> dict[str, set[str]]:
    """Returns the MIDs of the relatives of each MID, of all label maps."""
    relatives: dict[str, set[str]] = {}
    for label_map in label_maps:
        name_of = {item.id: item.name for item in label_map.items}
        for item in label_map.items:
            relatives.setdefault(item.name, set()).update(name_of[label_id] for label_id in getattr(item, field))
    return relatives


def relabel(
    features: Mapping[str, Values], label_ids: Mapping[bytes, int], keys: Collection[str] | None = None
) -> dict[str, Values]:
    """Returns a record whose ids are those of its MIDs.

    Args:
        features: what `parse_example` made of it.
        label_ids: MID to id.
        keys: keys that are kept; None keeps all.

    Raises:
        ConfigError: if a MID has no id.
    """
    changed = {key: values for key, values in features.items() if keys is None or key in keys}
    for text_key, label_key in LABEL_PAIRS:
        texts = changed.get(text_key)
        if isinstance(texts, list) and label_key in changed:
            if absent := [text for text in texts if text not in label_ids]:
                raise ConfigError("label_map", f"{text_key} has {absent[0].decode(errors='replace')}, which has no id")
            changed[label_key] = np.array([label_ids[text] for text in texts], np.int64)
    return changed


def is_same(one: Mapping[str, Values], other: Mapping[str, Values]) -> bool:
    """Returns whether two records have the same keys with the same values."""
    if one.keys() != other.keys():
        return False
    for key, values in one.items():
        found = other[key]
        if values is found:
            continue
        if isinstance(values, np.ndarray) and isinstance(found, np.ndarray):
            if values.dtype != found.dtype or not np.array_equal(values, found):
                return False
        elif values != found:
            return False
    return True


def encode_values(features: Mapping[str, Values]) -> bytes:
    """Returns the serialised Example of values that `parse_example` gave, byte for byte as `convert` writes it."""
    return encode_example({key: _feature(values) for key, values in features.items()})


def _feature(values: Values) -> bytes:
    if values is None:
        return b""
    if isinstance(values, list):
        return bytes_feature(values)
    if values.dtype.kind == "f":
        return float_feature(np.ascontiguousarray(values, "<f4").tobytes())
    return int64_feature(values.tolist())
