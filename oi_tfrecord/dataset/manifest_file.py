"""The manifest of a folder as a file, of which one is there at any time, also where a rename does not replace.

There (hdfs://, not local disks nor object stores) the one that is replaced is renamed first and deleted last. A run
that ends between leaves it under that name, where readers find it and the next run puts it back.
"""

import contextlib
import uuid

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import MANIFEST_FILE

REPLACED_FILE = MANIFEST_FILE + ".replaced"


def read_manifest(output_dir: str) -> bytes | None:
    """Returns the manifest of a folder; None where there is none."""
    path, replaced = _paths(output_dir)
    # Between two questions a run may have ended what it did.
    for name in (path,) if storage.replaces_at_once(path) else (path, replaced, path):
        if storage.exists(name):
            with contextlib.suppress(FileNotFoundError):
                return storage.read(name)
    return None


def write_manifest(output_dir: str, data: bytes, temporary_folder: str) -> None:
    """Writes the manifest of a folder, over one that is there.

    Args:
        output_dir: the folder.
        data: the whole manifest.
        temporary_folder: see `storage.create`.
    """
    path, replaced = _paths(output_dir)
    if storage.replaces_at_once(path):
        storage.write(path, data, temporary_folder)
        return
    restore_manifest(output_dir)
    if not storage.exists(path):
        storage.write(path, data, temporary_folder)
    elif storage.read(path) != data:
        written = storage.join(temporary_folder, f"{MANIFEST_FILE}.{uuid.uuid4().hex}")
        storage.write(written, data, temporary_folder)
        storage.rename(path, replaced)
        storage.rename(written, path)
        storage.delete(replaced)


def restore_manifest(output_dir: str) -> None:
    """Ends what a run that was cut short left undone: the manifest is under its name, if there is one, and alone."""
    path, replaced = _paths(output_dir)
    if storage.replaces_at_once(path) or not storage.exists(replaced):
        return
    if storage.exists(path):
        storage.delete(replaced)
    else:
        storage.rename(replaced, path)


def delete_manifest(output_dir: str) -> None:
    """Deletes the manifest of a folder; none is fine."""
    path, replaced = _paths(output_dir)
    if not storage.replaces_at_once(path):
        storage.delete(replaced)
    storage.delete(path)


def _paths(output_dir: str) -> tuple[str, str]:
    return storage.join(output_dir, MANIFEST_FILE), storage.join(output_dir, REPLACED_FILE)
