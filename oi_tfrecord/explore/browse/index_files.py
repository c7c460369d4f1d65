"""The files of the index: made once, kept beside the records or in a cache folder, and mapped into memory."""

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import posixpath
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.splits import Split, find_splits
from oi_tfrecord.engine.map_shards import map_shards
from oi_tfrecord.engine.progress_line import Progress
from oi_tfrecord.engine.progress_text import CountedStatus
from oi_tfrecord.errors import InputError
from oi_tfrecord.explore.browse.attribution import find_attribution
from oi_tfrecord.explore.browse.index import BrowseIndex, build_index
from oi_tfrecord.explore.browse.search_rows import make_search_rows

FORMAT = "oi_tfrecord browse index 2"
"""Changes whenever the arrays do."""

FOLDER = "browse-index"


def open_index(output_dir: str, index_dir: str, workers: int, progress: Progress) -> BrowseIndex:
    """Opens the index of a dataset, or makes it if there is none or files of the dataset changed.

    Args:
        output_dir: folder of the records.
        index_dir: folder of the index; empty for `browse-index` beside the records or, where nothing can be written
            there, a folder of the user's cache.
        workers: processes that read shards; 0 chooses.
        progress: shows messages and how far the run is.

    Raises:
        InputError: for a folder without records, a record that cannot be read, or a shard outside the folder.
    """
    splits = find_splits(output_dir)
    _check_shards(output_dir, splits)
    fingerprint = _fingerprint(output_dir)
    folders = [pathlib.Path(index_dir)] if index_dir else _list_folders(output_dir)
    for folder in folders:
        if (index := _load(folder, fingerprint)) is not None:
            return index
    index = _build(output_dir, splits, workers, progress)
    folder = _save_in_first(folders, fingerprint, index)
    progress.note(f"index      {folder}")
    return _load(folder, fingerprint) or index


def _check_shards(output_dir: str, splits: Mapping[str, Split]) -> None:
    """Raises InputError if a manifest names a shard outside of the folder, which the pages must not read."""
    for split in splits.values():
        for shard in split.shards:
            if shard != storage.join(output_dir, posixpath.basename(shard)):
                remedy = "Correct the manifest: it may name files of its folder only"
                raise InputError(shard, f"is no file of {output_dir}", remedy)


def _save_in_first(folders: Sequence[pathlib.Path], fingerprint: list[list[Any]], index: BrowseIndex) -> pathlib.Path:
    """Saves the index in the first folder that can hold it; returns the folder."""
    for folder in folders:
        try:
            _save(folder, fingerprint, index)
            _mark_as_made(folder)
            return folder
        except OSError as error:
            failed = error
    raise InputError(str(folders[-1]), f"cannot hold the index: {failed}", "Give another --index_dir") from failed


def _cache() -> pathlib.Path:
    """Returns our folder in the cache of the user."""
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "oi_tfrecord"


def _list_folders(output_dir: str) -> list[pathlib.Path]:
    """Returns the folders where an index may be, the best first."""
    place = os.path.abspath(output_dir) if storage.is_local(output_dir) else output_dir
    cached = _cache() / hashlib.sha256(place.encode()).hexdigest()[:24]
    return [pathlib.Path(output_dir) / FOLDER, cached] if storage.is_local(output_dir) else [cached]


def _fingerprint(output_dir: str) -> list[list[Any]]:
    """Returns name, size and time of each file that the index or the pages depend on."""
    infos = storage.match(storage.join(storage.escape(output_dir), "*"))
    names = ("-of-", ".pbtxt", "ATTRIBUTION", "manifest.json")
    return [
        [posixpath.basename(info.path), info.size, info.modified]
        for info in infos
        if any(name in posixpath.basename(info.path) for name in names)
    ]


def _load(folder: pathlib.Path, fingerprint: list[list[Any]]) -> BrowseIndex | None:
    """Returns the index in a folder; None if there is none, or it was made of other files."""
    try:
        # An index that came with a dataset could claim anything about the records.
        if _mark_path(folder).read_text() != _describe_files(folder):
            return None
        about = json.loads((folder / "index.json").read_text())
        if about["format"] != FORMAT or about["files"] != fingerprint:
            return None
        arrays = {name: _map(folder / f"{name}.npy") for name in about["arrays"]}
        return BrowseIndex(
            splits=tuple(about["splits"]),
            split_starts=np.array(about["split_starts"]),
            shards=tuple(about["shards"]),
            shard_starts=np.array(about["shard_starts"]),
            classes=tuple(about["classes"]),
            sources=tuple(about["sources"]),
            arrays=arrays,
        )
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def _mark_path(folder: pathlib.Path) -> pathlib.Path:
    """Returns the file in the user's cache that marks an index as made by this user."""
    return _cache() / "made" / hashlib.sha256(os.path.abspath(folder).encode()).hexdigest()[:24]


def _mark_as_made(folder: pathlib.Path) -> None:
    """Marks an index as made by this user; where no cache can be written, the next run makes the index again."""
    with contextlib.suppress(OSError):
        path = _mark_path(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(_describe_files(folder))


def _describe_files(folder: pathlib.Path) -> str:
    infos = [(path.name, path.stat()) for path in sorted(folder.iterdir())]
    return json.dumps([[name, info.st_size, info.st_mtime_ns, info.st_ino] for name, info in infos])


def _is_index(folder: pathlib.Path) -> bool:
    """Returns whether a folder holds what `_save` writes, and nothing else."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        about = json.loads((folder / "index.json").read_text())
        ours = {"index.json", *(f"{name}.npy" for name in about["arrays"])}
        return "format" in about and {path.name for path in folder.iterdir()} <= ours
    return False


def _map(path: pathlib.Path) -> np.ndarray:
    # An empty file cannot be mapped.
    array: np.ndarray = np.load(path, mmap_mode=None if path.stat().st_size < 4096 else "r")
    return array


def _save(folder: pathlib.Path, fingerprint: list[list[Any]], index: BrowseIndex) -> None:
    """Writes an index, over an older one; the folder appears whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for name, array in index.arrays.items():
            np.save(temporary / f"{name}.npy", array)
        about = {
            "format": FORMAT,
            "files": fingerprint,
            "splits": index.splits,
            "split_starts": index.split_starts.tolist(),
            "shards": index.shards,
            "shard_starts": index.shard_starts.tolist(),
            "classes": index.classes,
            "sources": index.sources,
            "arrays": list(index.arrays),
        }
        (temporary / "index.json").write_text(json.dumps(about))
        if folder.exists():
            if not _is_index(folder):
                raise FileExistsError(f"{folder} holds files that are no index of the browser")
            shutil.rmtree(folder)
        temporary.chmod(0o755)
        temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _build(output_dir: str, splits: Mapping[str, Split], workers: int, progress: Progress) -> BrowseIndex:
    """Makes the index from the records."""
    label_map = read_label_map(output_dir)
    mid_of = {item.id: item.name for item in label_map.items} if label_map else {}
    shards = [shard for split in splits.values() for shard in split.shards]
    status = CountedStatus(len(shards), "shards indexed")
    with progress.watch(status):
        made_rows = iter([*status.count(map_shards(make_search_rows, shards, mid_of, workers))])
    parts = [
        (name, [(posixpath.basename(shard), next(made_rows)) for shard in split.shards])
        for name, split in splits.items()
    ]
    index = build_index(parts)
    return dataclasses.replace(index, arrays=index.arrays | {"attribution": find_attribution(output_dir, index)})
