"""Exports records as the CSV files that the official program of the Open Images challenge reads.

Source: metrics/oid_challenge_evaluation.py and metrics/oid_challenge_evaluation_utils.py of the Object Detection API.
"""

import contextlib
import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import LABEL_MAP_FILE
from oi_tfrecord.dataset.ground_truth import GroundTruth, read_ground_truths
from oi_tfrecord.dataset.label_map import load_label_map
from oi_tfrecord.dataset.splits import Split
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.images.mask_rle import encode_png, format_challenge_text, measure_areas
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.label_map_file import format_pbtxt

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "boxes": ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax", "IsGroupOf"),
    "image_labels": ("ImageID", "LabelName", "Confidence"),
    "masks": (
        *("ImageID", "LabelName", "ImageWidth", "ImageHeight"),
        *("XMin", "YMin", "XMax", "YMax", "IsGroupOf", "Mask"),
    ),
}
"""Columns of each file, in the order of the published ones; masks is there if a record has one."""


def official_file(split: str, table: str) -> str:
    """Returns the name of the file of a table, such as `validation-image-labels.csv`."""
    return f"{split}-{table.replace('_', '-')}.csv"


def export_official(
    splits: Mapping[str, Split],
    label_map: LabelMap,
    folder: str,
    count: Callable[[Iterable[GroundTruth]], Iterable[GroundTruth]] = iter,
) -> dict[str, dict[str, int]]:
    """Writes the files of splits, and the label map.

    Args:
        splits: by name.
        label_map: of the records.
        folder: is made if it does not exist; files of the same splits are replaced.
        count: counts the images of a split that are written, such as `CountedStatus.count`.

    Returns:
        Number of rows by split and table.

    Raises:
        InputError: naming the shard and the record that cannot be read.
        ConfigError: if the folder has another label map, or a CSV with other columns of the name of a file.
    """
    for name in splits:
        for table, columns in COLUMNS.items():
            path = storage.join(folder, official_file(name, table))
            storage.refuse_foreign("to", path, _format_rows([columns]))
    storage.make_folder(folder)
    _write_label_map(label_map, folder)
    return {name: _export_split(split, label_map, folder, count) for name, split in splits.items()}


def _write_label_map(label_map: LabelMap, folder: str) -> None:
    path, data = storage.join(folder, LABEL_MAP_FILE), format_pbtxt(label_map).encode()
    if not storage.exists(path):
        storage.write(path, data, folder)
    elif storage.read(path) != data and load_label_map(path) != label_map:
        raise ConfigError("to", f"{path} is another label map; give another folder")


def _export_split(
    split: Split, label_map: LabelMap, folder: str, count: Callable[[Iterable[GroundTruth]], Iterable[GroundTruth]]
) -> dict[str, int]:
    mid_of = {item.id: item.name for item in label_map.items}
    counts = dict.fromkeys(COLUMNS, 0)
    paths = {table: storage.join(folder, official_file(split.name, table)) for table in COLUMNS}
    with contextlib.ExitStack() as stack:
        streams = {table: stack.enter_context(storage.create(path, folder)) for table, path in paths.items()}
        for table, columns in COLUMNS.items():
            streams[table].write(_format_rows([columns]))
        for truth in count(read_ground_truths(split, label_map)):
            for table, rows in list_rows(truth, mid_of).items():
                streams[table].write(_format_rows(rows))
                counts[table] += len(rows)
    if not counts["masks"]:
        storage.delete(paths["masks"])
        del counts["masks"]
    return counts


def list_rows(truth: GroundTruth, mid_of: Mapping[int, str]) -> dict[str, list[tuple[object, ...]]]:
    """Returns the rows of an image by table, with the columns of COLUMNS.

    Args:
        truth: of the image.
        mid_of: label map id to MID.
    """
    boxes: list[tuple[object, ...]] = []
    masks: list[tuple[object, ...]] = []
    for place, (ymin, xmin, ymax, xmax) in enumerate(truth.boxes.tolist()):
        mid, is_group = mid_of[int(truth.labels[place])], int(truth.is_group[place])
        boxes.append((truth.image_id, mid, xmin, xmax, ymin, ymax, is_group))
        mask = encode_png(truth.masks[place]) if truth.masks and truth.masks[place] else None
        if mask is not None and measure_areas([mask])[0]:
            size_and_box = (mask.width, mask.height, xmin, ymin, xmax, ymax)
            masks.append((truth.image_id, mid, *size_and_box, is_group, format_challenge_text(mask)))
    labels: list[tuple[object, ...]] = [
        (truth.image_id, mid_of[label], int(confidence > 0))
        for label, confidence in zip(truth.verified.tolist(), truth.confidences.tolist(), strict=True)
    ]
    return {"boxes": boxes, "image_labels": labels, "masks": masks}


def _format_rows(rows: Iterable[Sequence[object]]) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue().encode()
