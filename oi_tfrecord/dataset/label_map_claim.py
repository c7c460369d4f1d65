"""One label map for all splits of an output folder, also for splits that are written at the same time."""

from oi_tfrecord import storage
from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.dataset.file_names import LABEL_MAP_FILE
from oi_tfrecord.dataset.run_lock import hold_folder
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.label_map_file import format_pbtxt
from oi_tfrecord.records.packed_label_map import unpack


def claim_label_map(output_dir: str, split: str, label_map: LabelMap) -> None:
    """Notes the label map of a split before a shard is written with it.

    Args:
        output_dir: Folder of the dataset.
        split: Name of the split.
        label_map: Ids of its classes.

    Raises:
        InputError: If another split of the folder, finished or not, has another label map.
    """
    work = WorkFolder.of(output_dir, split)
    data = format_pbtxt(label_map).encode()
    with hold_folder(output_dir):
        own = storage.join(work.path, LABEL_MAP_FILE)
        for path in _claims(output_dir, split):
            if path != own and storage.read(path) != data:
                problem = f"differs from the label map of the split {split!r}, which would give classes other ids"
                remedy = "Write the splits one after the other, the second with --label_map of the first, or give each "
                raise InputError(path, problem, remedy + "its own --output_dir")
        storage.write(own, data, work.temporary)


def claim_packed(packed: bytes, output_dir: str, split: str) -> bytes:
    """Returns the packed label map when no other split of the output folder has another; see `claim_label_map`."""
    with relay_errors(WorkFolder.of(output_dir, split)):
        claim_label_map(output_dir, split, unpack(packed))
    return packed


def _claims(output_dir: str, split: str) -> list[str]:
    """Returns the label maps of unfinished splits, and that of the folder if another split is finished."""
    pattern = storage.join(storage.escape(output_dir), ".oi_tfrecord-*", LABEL_MAP_FILE)
    unfinished = [info.path for info in storage.match(pattern)]
    finished = storage.join(output_dir, LABEL_MAP_FILE)
    has_finished = storage.exists(finished) and _has_other_split(output_dir, split)
    return [*unfinished, finished] if has_finished else unfinished


def _has_other_split(output_dir: str, split: str) -> bool:
    from oi_tfrecord.dataset.output_state import read_splits

    return bool(set(read_splits(output_dir)) - {split})
