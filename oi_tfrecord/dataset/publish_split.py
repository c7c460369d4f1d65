"""Adds a split to what all splits of an output folder share, or takes it out."""

from collections.abc import Mapping
from typing import Any

from oi_tfrecord.dataset.manifest_file import update_manifest
from oi_tfrecord.dataset.tfds_files import write_tfds_files


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
