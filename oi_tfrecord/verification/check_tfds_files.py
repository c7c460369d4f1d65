"""Checks the files by which TensorFlow Datasets reads a folder, against the manifest and the records."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import FEATURES_FILE, INFO_FILE
from oi_tfrecord.dataset.tfds_files import describe_features, describe_info, read_keys
from oi_tfrecord.verification.faults import DatasetFault, FaultKind, fault_of_file


def check_tfds_files(output_dir: str, splits: Mapping[str, Mapping[str, Any]]) -> list[DatasetFault]:
    """Finds what `features.json` and `dataset_info.json` say wrong.

    Args:
        output_dir: folder of the dataset.
        splits: the entries of all splits of the manifest, by name.

    Returns:
        The faults; none if both files are absent, as earlier versions wrote none.
    """
    texts = {name: _read(storage.join(output_dir, name)) for name in (FEATURES_FILE, INFO_FILE)}
    if not splits or not any(texts.values()):
        return []
    keys = [_read_keys(output_dir, entry) for entry in splits.values() if entry["totals"]["records"]]
    # The keys of a damaged or missing record are unknown; other checks report that record.
    expected = {FEATURES_FILE: describe_features(keys) if all(keys) else None, INFO_FILE: describe_info(splits)}
    compare = {FEATURES_FILE: _compare_features, INFO_FILE: _compare_info}
    faults = []
    for name, text in texts.items():
        try:
            found = json.loads(text) if text else None
            stated = expected[name]
            details = ["there is no such file"] if found is None else [*compare[name](found, stated)] if stated else []
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            details = [f"is not as convert writes it: {error!r}"]
        faults += [fault_of_file("", name, FaultKind.TFDS, detail) for detail in details]
    return faults


def _read_keys(output_dir: str, entry: Mapping[str, Any]) -> frozenset[str]:
    """Returns the keys of a split; none for a shard that cannot be read, which other checks report."""
    try:
        return read_keys(output_dir, entry)
    except OSError:
        return frozenset()


def _read(path: str) -> str:
    return storage.read(path).decode(errors="replace") if storage.exists(path) else ""


def _compare_features(found: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    stated, needed = found["featuresDict"]["features"], expected["featuresDict"]["features"]
    for key in sorted(stated.keys() | needed.keys()):
        if key not in stated:
            yield f"it lacks the key {key}, which the records have"
        elif key not in needed:
            yield f"it has the key {key}, which the records lack"
        elif stated[key] != needed[key]:
            yield f"its feature of {key} is not that of the records"


def _compare_info(found: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[str]:
    if found["fileFormat"] != expected["fileFormat"]:
        yield f"its fileFormat is {found['fileFormat']!r}, and shards are {expected['fileFormat']!r}"
    stated, needed = ({split["name"]: split for split in info["splits"]} for info in (found, expected))
    for name in sorted(stated.keys() | needed.keys()):
        if name not in stated:
            yield f"it lacks the split {name!r}, which the manifest has"
        elif name not in needed:
            yield f"it has the split {name!r}, which the manifest lacks"
        else:
            for key, value in needed[name].items():
                if stated[name].get(key) != value:
                    yield f"the split {name!r} has {key} {stated[name].get(key)}, and the manifest has {value}"
