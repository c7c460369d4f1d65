"""Updates the files that all splits of an output folder share: adds the entry of a split, or removes the entry."""

import contextlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import MANIFEST_FILE
from oi_tfrecord.dataset.manifest import merge_split
from oi_tfrecord.dataset.manifest_file import read_manifest, write_manifest
from oi_tfrecord.dataset.run_lock import hold_folder
from oi_tfrecord.dataset.tfds_files import write_tfds_files
from oi_tfrecord.storage.object_versions import (
    UnsupportedError,
    create_object,
    read_object,
    replace_object,
)
from oi_tfrecord.storage.paths import is_object


def ignore_splits(splits: Mapping[str, Any]) -> None:
    """Writes nothing beside the manifest, given the entries of all splits."""


def update_manifest(
    output_dir: str,
    split: str,
    entry: Mapping[str, Any] | None,
    temporary_folder: str,
    write_others: Callable[[Mapping[str, Any]], None] = ignore_splits,
) -> None:
    """Replaces the entry of a split in the manifest of a folder; entries that other runs write meanwhile stay.

    Args:
        output_dir: folder of the dataset.
        split: name of the split.
        entry: its entry; None removes the entry.
        temporary_folder: see `storage.create`.
        write_others: writes the files beside the manifest; called first, with the entries of all splits.
    """
    # Another split may finish at the same time, and the files must hold both.
    with hold_folder(output_dir):
        if is_object(output_dir):
            with contextlib.suppress(UnsupportedError):
                while not _replace_object(storage.join(output_dir, MANIFEST_FILE), split, entry, write_others):
                    pass
                return
        data = merge_split(read_manifest(output_dir), split, entry)
        write_others(json.loads(data)["splits"])
        write_manifest(output_dir, data, temporary_folder)


def _replace_object(
    path: str, split: str, entry: Mapping[str, Any] | None, write_others: Callable[[Mapping[str, Any]], None]
) -> bool:
    """Replaces the entry of a split; returns whether no other process wrote the manifest meanwhile."""
    # The lock of the folder may expire while this process is stopped, so the write itself depends on what was read.
    found = read_object(path)
    data = merge_split(found.data if found else None, split, entry)
    write_others(json.loads(data)["splits"])
    return (replace_object(path, data, found) if found else create_object(path, data)) is not None


def publish_split(output_dir: str, split: str, entry: Mapping[str, Any] | None, temporary_folder: str) -> None:
    """Writes the files of TensorFlow Datasets and, last of all, the manifest, with the other splits of the folder.

    Args:
        output_dir: folder of the dataset.
        split: name of the split.
        entry: its entry in the manifest; None takes the split out.
        temporary_folder: see `storage.create`.
    """

    def write_others(splits: Mapping[str, Any]) -> None:
        write_tfds_files(output_dir, splits, temporary_folder)

    update_manifest(output_dir, split, entry, temporary_folder, write_others)
