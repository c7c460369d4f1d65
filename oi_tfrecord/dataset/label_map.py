"""The label map of a folder of records."""

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import LABEL_MAP_FILE
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.label_map_file import parse_pbtxt


def read_label_map(output_dir: str) -> LabelMap | None:
    """Returns the label map of a folder; None if the folder has none.

    Raises:
        InputError: If the file is not a label map, see `parse_pbtxt`.
    """
    path = storage.join(output_dir, LABEL_MAP_FILE)
    return load_label_map(path) if storage.exists(path) else None


def require_label_map(output_dir: str) -> LabelMap:
    """Returns the label map of a folder.

    Raises:
        InputError: If the folder has none, or the file is not a label map.
    """
    label_map = read_label_map(output_dir)
    if label_map is None:
        raise InputError(output_dir, f"there is no {LABEL_MAP_FILE}", "Put the label map of the records there")
    return label_map


def load_label_map(path: str) -> LabelMap:
    """Returns the label map of a file.

    Raises:
        InputError: If the file is not a label map, see `parse_pbtxt`.
    """
    return parse_pbtxt(storage.read(path), path)
