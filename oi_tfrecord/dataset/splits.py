"""A finished dataset: its splits, shards and label map, and its records in any order."""

import dataclasses
import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import ENTRY_KEYS, LABEL_MAP_FILE, MANIFEST_FILE
from oi_tfrecord.dataset.manifest_file import read_manifest
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.label_map_file import parse_pbtxt
from oi_tfrecord.records.tfrecord import FOOTER_BYTES, HEADER_BYTES, FramingError, read_header, read_records

_SHARD_NAME = re.compile(
    r"^(?P<split>.+?)(\.tfrecord|\.record)?-(?P<shard>\d{5,})-of-(?P<shards>\d{5,})(\.tfrecord|\.record)?$"
)


@dataclasses.dataclass(frozen=True)
class Split:
    """The records of a split.

    Attributes:
        name: train, validation or test; of records of others, what the names of their shards begin with.
        shards: paths, in order.
        manifest: its part of `manifest.json`; None where there is none.
    """

    name: str
    shards: tuple[str, ...]
    manifest: Mapping[str, Any] | None = None


def find_splits(output_dir: str, wanted: Sequence[str] = ()) -> dict[str, Split]:
    """Finds the splits of a folder, by its manifest and by the names of shards.

    Args:
        output_dir: folder of the records, of ours or of others (`NAME-00000-of-00010`, before or after `.tfrecord`).
        wanted: names of splits; all by default.

    Returns:
        Split by name, in order of the names. Shards that a manifest lists count as there even if they are not.

    Raises:
        InputError: if there are no records, or none of a wanted split.
    """
    path = storage.join(output_dir, MANIFEST_FILE)
    splits: dict[str, Split] = {}
    if (data := read_manifest(output_dir)) is not None:
        for name, entry, files in _parse_manifest(data, path):
            splits[name] = Split(name, tuple(storage.join(output_dir, file) for file in files), entry)
    found: dict[str, list[str]] = {}
    for info in storage.match(storage.join(storage.escape(output_dir), "*-of-*")):
        if named := _SHARD_NAME.match(posixpath.basename(info.path)):
            found.setdefault(named["split"], []).append(info.path)
    splits = {name: Split(name, tuple(paths)) for name, paths in found.items()} | splits
    if not splits:
        raise InputError(output_dir, "there are no records", "Give the folder that `oi-tfrecord convert` wrote")
    if missing := [name for name in wanted if name not in splits]:
        raise InputError(output_dir, f"there is no split {missing[0]!r}", f"There are: {', '.join(sorted(splits))}")
    return {name: splits[name] for name in sorted(splits) if not wanted or name in wanted}


def require_manifest(output_dir: str, split: Split) -> Mapping[str, Any]:
    """Returns the manifest of a split.

    Raises:
        InputError: if there is none, or it lacks what `convert` writes.
    """
    if split.manifest is None:
        raise InputError(output_dir, f"no manifest tells of the split {split.name!r}", "Convert it")
    if lacking := [key for key in ENTRY_KEYS if key not in split.manifest]:
        path = storage.join(output_dir, MANIFEST_FILE)
        raise InputError(path, f"its split {split.name!r} has no {lacking[0]!r}", "Convert again with --overwrite")
    return split.manifest


def read_label_map(output_dir: str) -> LabelMap | None:
    """Returns the label map of a folder; None where there is none."""
    path = storage.join(output_dir, LABEL_MAP_FILE)
    return load_label_map(path) if storage.exists(path) else None


def load_label_map(path: str) -> LabelMap:
    """Returns the label map of a file.

    Raises:
        InputError: if it is none, see `parse_pbtxt`.
    """
    return parse_pbtxt(storage.read(path), path)


def read_shard(path: str) -> Iterator[tuple[int, bytes]]:
    """Yields (byte offset, serialised Example) of each record of a shard, its CRCs checked.

    Raises:
        FramingError: see `read_records`.
    """
    with storage.open_read(path) as stream:
        yield from read_records(stream)


def find_records(path: str) -> np.ndarray:
    """Finds the records of a shard by their headers alone.

    Args:
        path: of the shard.

    Returns:
        int64 array [records, 2]: byte offset and length of each record's data.

    Raises:
        FramingError: if a header is damaged or the file ends early.
    """
    places: list[tuple[int, int]] = []
    offset = 0
    with storage.open_read(path) as stream:
        size = stream.seek(0, 2)
        while offset < size:
            stream.seek(offset)
            length = read_header(stream.read(HEADER_BYTES), len(places), offset)
            places.append((offset + HEADER_BYTES, length))
            offset += HEADER_BYTES + length + FOOTER_BYTES
            if offset > size:
                raise FramingError(len(places) - 1, places[-1][0] - HEADER_BYTES, "the data is cut off")
    return np.array(places, np.int64).reshape(-1, 2)


def read_record(path: str, offset: int, length: int) -> bytes:
    """Returns the serialised Example at a place that `find_records` gave; its CRC is not checked."""
    return storage.read_range(path, offset, length)


def parse_shard_name(name: str) -> tuple[str, int, int] | None:
    """Returns (split, shard, number of shards) of the base name of a shard, ours or not; None for another name."""
    named = _SHARD_NAME.match(name)
    return (named["split"], int(named["shard"]), int(named["shards"])) if named else None


def _parse_manifest(data: bytes, path: str) -> list[tuple[str, dict[str, Any], list[str]]]:
    """Returns name, entry and shard files of each split."""
    try:
        manifest = json.loads(data)
        return [
            (name, dict(entry), [str(shard["file"]) for shard in entry["shards"]])
            for name, entry in manifest["splits"].items()
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            path, f"is not a manifest of oi-tfrecord: {error!r}", "Convert again with --overwrite"
        ) from error
