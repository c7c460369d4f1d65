"""Adds a split to what all splits of an output folder share, or takes it out."""

import json
from collections.abc import Mapping
from typing import Any

from oi_tfrecord.dataset.manifest import merge_split
from oi_tfrecord.dataset.manifest_file import read_manifest, write_manifest
from oi_tfrecord.dataset.run_lock import hold_folder
from oi_tfrecord.dataset.tfds_files import write_tfds_files


def publish_split(output_dir: str, split: str, entry: Mapping[str, Any] | None, temporary_folder: str) -> None:
    """Writes the files of TensorFlow Datasets and, last of all, the manifest, with the other splits of the folder.

    Args:
        output_dir: folder of the dataset.
        split: name of the split.
        entry: its entry in the manifest; None takes the split out.
        temporary_folder: see `storage.create`.
    """
    # Another split may end at the same time, and the files must hold both.
    with hold_folder(output_dir):
        data = merge_split(read_manifest(output_dir), split, entry)
        write_tfds_files(output_dir, json.loads(data)["splits"], temporary_folder)
        write_manifest(output_dir, data, temporary_folder)
