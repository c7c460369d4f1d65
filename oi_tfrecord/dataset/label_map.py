"""The label map of a folder of records."""

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import LABEL_MAP_FILE
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.label_map_file import parse_pbtxt


def read_label_map(output_dir: str) -> LabelMap | None:
    """Returns the label map of a folder; None if the folder has none.

    Raises:
        InputError: If the file is not a label map, see `parse_pbtxt`.
    """
    path = storage.join(output_dir, LABEL_MAP_FILE)
    return load_label_map(path) if storage.exists(path) else None


def load_label_map(path: str) -> LabelMap:
    """Returns the label map of a file.

    Raises:
        InputError: If the file is not a label map, see `parse_pbtxt`.
    """
    return parse_pbtxt(storage.read(path), path)
