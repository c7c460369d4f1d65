"""Checks the label map of a dataset: whether it can be read, and against the manifest and its own CSV."""

import posixpath
from collections.abc import Mapping
from typing import Any

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import LABEL_MAP_CSV, LABEL_MAP_FILE
from oi_tfrecord.dataset.label_map import load_label_map
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.label_map_file import format_csv
from oi_tfrecord.verification.faults import DatasetFault, FaultKind, fault_of_file


def check_label_map(path: str, is_needed: bool) -> tuple[LabelMap | None, list[DatasetFault]]:
    """Reads a label map.

    Args:
        path: of the pbtxt.
        is_needed: whether it is a fault if there is none.

    Returns:
        The label map, None if it cannot be read, and its faults.
    """
    file = posixpath.basename(path)
    if not storage.exists(path):
        missing = fault_of_file("", file, FaultKind.LABEL_MAP, "there is no such file")
        return None, [missing] if is_needed else []
    try:
        return load_label_map(path), []
    except InputError as error:
        return None, [fault_of_file("", file, FaultKind.LABEL_MAP, str(error))]


def compare_classes(split: str, manifest: Mapping[str, Any], label_map: LabelMap) -> list[DatasetFault]:
    """Compares the label map with the classes of a manifest.

    Args:
        split: name of the split.
        manifest: its entry.
        label_map: of `label_map.pbtxt`.
    """
    stated = [(item.get("id"), item.get("mid"), item.get("name")) for item in manifest.get("classes", ())]
    found = [(item.id, item.name, item.display_name) for item in label_map.items]
    if stated == found:
        return []
    first = next((pair for pair in zip(stated, found, strict=False) if pair[0] != pair[1]), None)
    detail = f"{len(found)} classes, and the manifest has {len(stated)}"
    if first:
        detail = f"class {first[1]}, and the manifest has {first[0]}"
    return [fault_of_file(split, LABEL_MAP_FILE, FaultKind.LABEL_MAP, detail)]


def compare_label_map_csv(split: str, label_map: LabelMap | None, text: str | None) -> list[DatasetFault]:
    """Compares the label map with `label_map.csv`, which Model Garden reads.

    Args:
        split: name of the split.
        label_map: of `label_map.pbtxt`; None where it cannot be read, which is a fault of its own.
        text: of `label_map.csv`; None where there is no such file.
    """
    if text is None:
        return [fault_of_file(split, LABEL_MAP_CSV, FaultKind.LABEL_MAP, "there is no such file")]
    if label_map is not None and text != format_csv(label_map):
        detail = f"its classes are not those of {LABEL_MAP_FILE}"
        return [fault_of_file(split, LABEL_MAP_CSV, FaultKind.LABEL_MAP, detail)]
    return []
