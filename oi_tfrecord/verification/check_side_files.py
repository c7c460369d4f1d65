"""Checks the files beside the shards: the form of `manifest.json`, the files it names, and a folder without."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import (
    LABEL_MAP_CSV,
    MANIFEST_FILE,
    attribution_file,
    rejects_file,
    weights_file,
)
from oi_tfrecord.dataset.manifest import FORMAT
from oi_tfrecord.dataset.manifest_file import read_manifest
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.verification.faults import DatasetFault, FaultKind, fault_of_file

_READ_BYTES = 1 << 20


def check_manifest_form(data: bytes) -> Iterator[DatasetFault]:
    """Yields what is wrong with the whole of a manifest that can be read: its format, and keys that are there twice.

    Args:
        data: the file.
    """
    manifest = json.loads(data)
    if manifest.get("format") != FORMAT:
        detail = f"its format is {manifest.get('format')!r}, not {FORMAT!r}"
        yield fault_of_file("", MANIFEST_FILE, FaultKind.COUNT, detail, "format")
    for key in sorted(manifest.keys() - {"format", "splits"}):
        yield fault_of_file("", MANIFEST_FILE, FaultKind.COUNT, "convert writes no such key", key)
    for key in _find_repeated_keys(json.loads(data, object_pairs_hook=tuple)):
        yield fault_of_file("", MANIFEST_FILE, FaultKind.COUNT, "the key is there twice", key)


def _find_repeated_keys(value: Any) -> Iterator[str]:
    """Yields the keys that an object of JSON has twice; an object is a tuple of (key, value), a list stays a list."""
    if isinstance(value, tuple):
        names = [key for key, _ in value]
        yield from (key for number, key in enumerate(names) if key in names[:number])
        for _, item in value:
            yield from _find_repeated_keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from _find_repeated_keys(item)


def check_named_files(output_dir: str, split: str, manifest: Mapping[str, Any]) -> Iterator[DatasetFault]:
    """Compares the lists of attributions and of weights with what the manifest of their split says.

    Args:
        output_dir: folder of the dataset.
        split: name of the split.
        manifest: its entry.
    """
    for entry, file, kind in (
        ("attribution", attribution_file(split), FaultKind.ATTRIBUTION),
        ("weights", weights_file(split), FaultKind.WEIGHTS),
    ):
        stated = manifest.get(entry)
        path = storage.join(output_dir, file)
        if stated is None:
            continue
        if not storage.exists(path):
            yield fault_of_file(split, file, kind, "there is no such file")
            continue
        for key, found in _describe_file(path, file).items():
            if json.dumps(stated.get(key)) != json.dumps(found):
                yield fault_of_file(split, file, kind, f"its {key} is {found}, and the manifest has {stated.get(key)}")


def _describe_file(path: str, name: str) -> dict[str, str | int]:
    """Returns what a manifest says of the file `name` at `path`."""
    digest, size = hashlib.sha256(), 0
    with storage.open_read(path) as stream:
        while piece := stream.read(_READ_BYTES):
            digest.update(piece)
            size += len(piece)
    return {"file": name, "bytes": size, "sha256": digest.hexdigest()}


def check_without_manifest(output_dir: str, split: str) -> Iterator[DatasetFault]:
    """Yields a fault if files show that we wrote a split that no manifest describes.

    Args:
        output_dir: folder of the records.
        split: name of the split.
    """
    # A run that has not finished has no manifest yet.
    if storage.exists(storage.join(WorkFolder.of(output_dir, split).path, "fingerprint.json")):
        detail = f"a conversion of {split!r} has not ended; run its command again to complete the split"
        yield fault_of_file(split, MANIFEST_FILE, FaultKind.MANIFEST_MISSING, detail)
        return
    names = [rejects_file(split), attribution_file(split), weights_file(split), LABEL_MAP_CSV]
    found = [name for name in names if storage.exists(storage.join(output_dir, name))]
    if read_manifest(output_dir) is not None:
        found.append(MANIFEST_FILE)
    if found:
        detail = f"no manifest describes {split!r}, though {found[0]} is there: whether records are lost is unknown"
        yield fault_of_file(split, MANIFEST_FILE, FaultKind.MANIFEST_MISSING, detail)
