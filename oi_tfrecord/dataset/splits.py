"""The splits of a folder of records: their shards and manifests, and their records in any order."""

import dataclasses
import json
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import ENTRY_KEYS, MANIFEST_FILE
from oi_tfrecord.dataset.manifest_file import read_manifest
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.shard_names import SINGLE_FILE_ENDINGS, parse_any_shard_file
from oi_tfrecord.records.tfrecord import (
    FOOTER_BYTES,
    HEADER_BYTES,
    FramingError,
    read_framed,
    read_header,
    read_records,
)


@dataclasses.dataclass(frozen=True)
class Split:
    """The records of a split.

    Attributes:
        name: Train, validation or test; for third-party records, the start of the names of their shards.
        shards: Paths, in order.
        manifest: The split's part of `manifest.json`; None without a manifest.
        sizes: Base name to bytes of the shards that a listing of the folder found.
    """

    name: str
    shards: tuple[str, ...]
    manifest: Mapping[str, Any] | None = None
    sizes: Mapping[str, int] = dataclasses.field(default_factory=dict, compare=False)

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration that the records were converted with; empty without a manifest."""
        config: Mapping[str, Any] = (self.manifest or {}).get("config", {})
        return config

    @property
    def expected_records(self) -> int:
        """The number of records that the manifest names; 0 if it names none."""
        images = (self.manifest or {}).get("images")
        records = images.get("records") if isinstance(images, dict) else 0
        return records if isinstance(records, int) else 0


def find_splits(output_dir: str, wanted: Sequence[str] = ()) -> dict[str, Split]:
    """Finds the splits of a folder, by its manifest and by the names of shards.

    Args:
        output_dir: Folder of records, ours or third-party ones (see `parse_any_shard_file`).
        wanted: Names of splits; all by default.

    Returns:
        Split by name, in order of the names. A shard that a manifest lists is returned even if its file is missing.

    Raises:
        InputError: If the folder has no records, or none of a wanted split.
    """
    found = _find_by_names(output_dir)
    splits = found | {
        name: dataclasses.replace(split, sizes=found[name].sizes) if name in found else split
        for name, split in _find_by_manifest(output_dir).items()
    }
    if not splits:
        raise InputError(output_dir, "there are no records", "Give the folder that `oi-tfrecord convert` wrote")
    if missing := [name for name in wanted if name not in splits]:
        raise InputError(output_dir, f"there is no split {missing[0]!r}", f"There are: {', '.join(sorted(splits))}")
    return {name: splits[name] for name in sorted(splits) if not wanted or name in wanted}


def find_shard_paths(output_dir: str) -> dict[str, list[str]]:
    """Finds the shards of a folder by their names.

    Args:
        output_dir: The folder.

    Returns:
        Paths by split, in order of their names. A file without a number, such as `train.record`, is a split of its own
        unless there are numbered shards of the split.
    """
    return {name: [info.path for info in infos] for name, infos in _list_shards(output_dir).items()}


def _list_shards(output_dir: str) -> dict[str, list[storage.FileInfo]]:
    folder = storage.escape(output_dir)
    shards: dict[str, list[storage.FileInfo]] = {}
    for info in storage.match(storage.join(folder, "*-of-*")):
        if named := parse_any_shard_file(posixpath.basename(info.path)):
            shards.setdefault(named.split, []).append(info)
    for ending in SINGLE_FILE_ENDINGS:
        for info in storage.match(storage.join(folder, f"*{ending}")):
            name = posixpath.basename(info.path)
            if not parse_any_shard_file(name):
                shards.setdefault(name.removesuffix(ending), [info])
    return shards


def _find_by_names(output_dir: str) -> dict[str, Split]:
    return {
        name: Split(
            name,
            tuple(info.path for info in infos),
            sizes={posixpath.basename(info.path): info.size for info in infos},
        )
        for name, infos in _list_shards(output_dir).items()
    }


def _find_by_manifest(output_dir: str) -> dict[str, Split]:
    data = read_manifest(output_dir)
    if data is None:
        return {}
    try:
        return {
            name: Split(name, tuple(storage.join(output_dir, str(shard["file"])) for shard in entry["shards"]), entry)
            for name, entry in json.loads(data)["splits"].items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        path = storage.join(output_dir, MANIFEST_FILE)
        problem = f"is not a manifest of oi-tfrecord: {error!r}"
        raise InputError(path, problem, "Convert again with --overwrite") from error


def require_manifest(output_dir: str, split: Split) -> Mapping[str, Any]:
    """Returns the manifest of a split.

    Raises:
        InputError: If the split has no manifest, or a manifest without all keys that `convert` writes.
    """
    if split.manifest is None:
        raise InputError(output_dir, f"no manifest describes the split {split.name!r}", "Convert the split")
    if lacking := [key for key in ENTRY_KEYS if key not in split.manifest]:
        path = storage.join(output_dir, MANIFEST_FILE)
        raise InputError(path, f"its split {split.name!r} has no {lacking[0]!r}", "Convert again with --overwrite")
    return split.manifest


def read_shard(path: str) -> Iterator[tuple[int, bytes]]:
    """Yields (byte offset, serialised Example) of each record of a shard, its CRCs checked.

    Raises:
        FramingError: See `read_records`.
    """
    with storage.open_read(path) as stream:
        yield from read_records(stream)


def find_records(path: str) -> np.ndarray:
    """Finds the records of a shard by their headers alone.

    Args:
        path: Path of the shard.

    Returns:
        int64 array [records, 2]: byte offset and length of each record's data.

    Raises:
        FramingError: If a header is damaged or the file ends early.
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


def read_record(path: str, offset: int, length: int, record: int = 0) -> bytes:
    """Returns the serialised Example at a place that `find_records` returned, its CRCs checked.

    Args:
        path: Path of the shard.
        offset: Byte offset of the record's data.
        length: Bytes of the data.
        record: Number of the record in the shard, for the error.

    Raises:
        FramingError: If there is no such record, or it is damaged.
    """
    framed = storage.read_range(path, offset - HEADER_BYTES, HEADER_BYTES + length + FOOTER_BYTES)
    return read_framed(framed, length, record, offset - HEADER_BYTES)
