"""Reads and writes the manifest of a folder so that readers find a whole manifest at any time.

On hdfs:// a rename does not replace a file. There, `write_manifest` renames the earlier manifest to `.replaced`, puts
the new one in its place, and deletes the earlier one last. If a run ends in between, readers find the earlier manifest
under its other name, and the next run puts it back.
"""

import contextlib
import uuid

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import MANIFEST_FILE

REPLACED_FILE = MANIFEST_FILE + ".replaced"


def read_manifest(output_dir: str) -> bytes | None:
    """Returns the manifest of a folder; None without one."""
    path, replaced = _paths(output_dir)
    # Another run may rename the files between these checks, so the first name is checked again.
    for name in (path,) if storage.replaces_at_once(path) else (path, replaced, path):
        if storage.exists(name):
            with contextlib.suppress(FileNotFoundError):
                return storage.read(name)
    return None


def write_manifest(output_dir: str, data: bytes, temporary_folder: str) -> None:
    """Writes the manifest of a folder, and replaces an earlier one.

    Args:
        output_dir: The folder.
        data: The whole manifest.
        temporary_folder: See `storage.create`.
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
    """Completes a replacement that an earlier run began: at most one manifest is left, under its own name."""
    path, replaced = _paths(output_dir)
    if storage.replaces_at_once(path) or not storage.exists(replaced):
        return
    if storage.exists(path):
        storage.delete(replaced)
    else:
        storage.rename(replaced, path)


def _paths(output_dir: str) -> tuple[str, str]:
    return storage.join(output_dir, MANIFEST_FILE), storage.join(output_dir, REPLACED_FILE)
