"""A dataset of the sample with every kind of damage: to shards, records, label maps, lists and the manifest.

The manifest holds a digest of each entry, so that each changed byte of an entry is found. Each damage is also tried
with a digest that fits the damaged entry: then something else in the folder has to contradict the damage.
"""

import copy
import fnmatch
import io
import json
import pathlib
import shutil
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import google_crc32c
import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.dataset.manifest import ENTRY_SHA256, digest_entry
from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.message_types import Example
from oi_tfrecord.records.record_counts import RecordCounts
from oi_tfrecord.records.tfrecord import frame, read_records
from oi_tfrecord.verification import verify as command
from oi_tfrecord.verification.check_manifest import compare_manifest
from oi_tfrecord.verification.check_shard import ShardTask, check_shard
from oi_tfrecord.verification.result import VerifyResult, merge_results
from tests.conftest import convert_arguments

NOTHING_CONTRADICTS = {
    "oi_tfrecord": "the version that wrote the entry",
    "fingerprint.record_format": "the version of the bytes",
    "fingerprint.inputs.*.3": "the time at which an input was changed",
    "fingerprint.inputs.*.4": "the checksum of the header of an input",
    "inputs.*.lines": "lines that a quoted field or an empty line adds to the rows",
    "totals.image_counts": "what was done to images before they were written",
    "totals.images_reencoded": "the format that an image had before",
    "totals.unknown_flags_written_as_0": "flags of -1, which are written as 0",
    "sources.machine_labels*": "the Source of machine-generated labels has no key in the records",
    "selection": "the words that explain config.select",
    "warnings*": "what the conversion warned of",
    "inputs.*.coverage.unit": "which of the three units the ranges have",
}
"""Pattern of keys of the manifest whose damage is found only by the digest, and what the value is."""

NOTHING_CONTRADICTS_IN_RECORDS = {
    "image/attribution/*": "text of the author",
    "image/class/confidence": "another confidence that is possible",
    "image/machine_class/confidence": "another confidence that is possible",
    "image/object/bbox/confidence": "another confidence that is possible",
    "image/object/depiction": "a flag",
    "image/object/inside": "a flag",
    "image/object/occluded": "a flag",
    "image/object/truncated": "a flag",
}
"""Pattern of keys of records whose value is found only by the digest of the shard, if it is a possible one."""


@pytest.fixture(scope="module")
def whole(sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Two splits with all groups of extra keys that the sample has, and both lists."""
    output_dir = tmp_path_factory.mktemp("whole")
    groups = "box_source,box_confidence,inside,label_source,machine_labels,attribution"
    for split in ("train", "validation"):
        flags = (f"--extra_keys={groups}", "--num_shards=2", "--attribution_csv", "--max_rejects=100%")
        assert main(["convert", *convert_arguments(sample, output_dir, *flags, split=split)]) == 0
    return output_dir


@pytest.fixture(autouse=True)
def without_beam(monkeypatch: pytest.MonkeyPatch) -> None:
    """`verify` checks shards without a pipeline, which takes a tenth of the time."""

    def check(options: command.VerifyOptions, tasks: tuple[ShardTask, ...], progress: object) -> VerifyResult:
        return merge_results((check_shard(task)[0] for task in tasks), options.max_faults)

    monkeypatch.setattr(command, "_check_shards", check)


def is_found(folder: pathlib.Path) -> bool:
    """Returns whether `verify` finds a fault, or refuses the folder with an error that names a file."""
    try:
        return not command.verify(command.VerifyOptions(str(folder))).ok
    except InputError:
        return True


Damage = Callable[[pathlib.Path], None]


def damages_of_files() -> dict[str, Damage]:
    """Damages to whole files, by name."""
    damages: dict[str, Damage] = {}
    shard = "train.tfrecord-00000-of-00002"
    for name in (shard, "label_map.pbtxt", "label_map.csv", "rejects-train.csv", "ATTRIBUTION-train.csv"):
        damages |= {
            f"{name} is gone": lambda folder, name=name: (folder / name).unlink(),
            f"{name} is empty": lambda folder, name=name: (folder / name).write_bytes(b""),
            f"{name} ends early": lambda folder, name=name: cut(folder / name, -9),
            f"{name} is cut in half": lambda folder, name=name: cut(folder / name, (folder / name).stat().st_size // 2),
            f"{name} has more bytes": lambda folder, name=name: append(folder / name, b"\0more"),
            f"{name} is there twice": lambda folder, name=name: append(folder / name, (folder / name).read_bytes()),
        }
        for place in range(4):
            damages[f"{name}: bit {place}"] = lambda folder, name=name, place=place: flip(folder / name, place)
    damages |= {
        "shards are swapped": lambda folder: swap(folder, shard, "train.tfrecord-00001-of-00002"),
        "splits are swapped": lambda folder: swap(folder, shard, "validation.tfrecord-00000-of-00002"),
        "a stale shard": lambda folder: (folder / "train.tfrecord-00000-of-00003").write_bytes(b""),
        "a shard is a folder": lambda folder: replace_by_folder(folder / shard),
        "the manifest is gone": lambda folder: (folder / "manifest.json").unlink(),
        "the manifest is empty": lambda folder: (folder / "manifest.json").write_bytes(b""),
        "the manifest ends early": lambda folder: cut(folder / "manifest.json", -5),
        "the manifest is a list": lambda folder: (folder / "manifest.json").write_text("[]"),
        "no split is named": lambda folder: edit_file(folder, lambda manifest: manifest["splits"].clear()),
        "a split is not named": lambda folder: edit_file(folder, lambda manifest: manifest["splits"].pop("train")),
        "entries are swapped": lambda folder: edit_file(folder, swap_entries),
        "no format": lambda folder: edit_file(folder, lambda manifest: manifest.pop("format")),
        "another format": lambda folder: edit_file(folder, lambda manifest: manifest.update(format="manifest 9")),
        "a foreign key": lambda folder: edit_file(folder, lambda manifest: manifest.update(more=1)),
        "a key twice": lambda folder: replace_text(
            folder / "manifest.json", '"balanced"', '"balanced": true, "balanced"'
        ),
    }
    return damages


def cut(path: pathlib.Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def append(path: pathlib.Path, data: bytes) -> None:
    path.write_bytes(path.read_bytes() + data)


def flip(path: pathlib.Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) * (2 * place + 1) // 8] ^= 1
    path.write_bytes(data)


def swap(folder: pathlib.Path, first: str, second: str) -> None:
    data = (folder / first).read_bytes()
    (folder / first).write_bytes((folder / second).read_bytes())
    (folder / second).write_bytes(data)


def replace_by_folder(path: pathlib.Path) -> None:
    path.unlink()
    path.mkdir()


def replace_text(path: pathlib.Path, old: str, new: str) -> None:
    path.write_text(path.read_text().replace(old, new, 1))


def edit_file(folder: pathlib.Path, edit: Callable[[dict[str, Any]], object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    edit(manifest)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def swap_entries(manifest: dict[str, Any]) -> None:
    splits = manifest["splits"]
    splits["train"], splits["validation"] = splits["validation"], splits["train"]


def test_the_whole_dataset_has_no_fault(whole: pathlib.Path) -> None:
    assert command.verify(command.VerifyOptions(str(whole))).faults == ()


@pytest.mark.parametrize("name", damages_of_files())
def test_damage_to_a_file_is_found(name: str, whole: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = pathlib.Path(shutil.copytree(whole, tmp_path / "records"))
    damages_of_files()[name](folder)
    assert is_found(folder)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of everything in a manifest, containers too."""
    if path:
        yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))


def changes_of(value: Any) -> Iterator[Any]:
    """Other values in the place of a value of a manifest."""
    if isinstance(value, bool):
        yield from (not value, 1)
    elif isinstance(value, int):
        yield from (value + 1, -1, float(value), str(value), value * 1000 + 7)
    elif isinstance(value, float):
        yield value + 1
    elif isinstance(value, str):
        yield from (value + "x", value[:-1] + "~", 0)
        if value == "bytes":
            yield "files"
    elif isinstance(value, list):
        yield from (value + value, value[::-1], [], value[1:])
    elif isinstance(value, dict):
        yield from ({**value, "more": 1}, {}, dict(list(value.items())[1:]))
    yield None


def damages_of(entry: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (key, joined by dots; damaged entry): each value changed, deleted, or swapped with the next."""
    for path in leaves(entry):
        parent: Any = entry
        for step in path[:-1]:
            parent = parent[step]
        for changed in changes_of(parent[path[-1]]):
            if json.dumps(changed, sort_keys=True) != json.dumps(parent[path[-1]], sort_keys=True):
                yield dotted(path), with_value(entry, path, changed)
        if isinstance(parent, dict):
            yield dotted(path), without(entry, path)


def dotted(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path))


def with_value(entry: Mapping[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    changed, target = copied(entry, path)
    target[path[-1]] = value
    return changed


def without(entry: Mapping[str, Any], path: tuple[Any, ...]) -> dict[str, Any]:
    changed, target = copied(entry, path)
    del target[path[-1]]
    return changed


def copied(entry: Mapping[str, Any], path: tuple[Any, ...]) -> tuple[dict[str, Any], Any]:
    """Returns a copy of an entry, and the container of a path in the copy."""
    changed = {**entry, path[0]: copy.deepcopy(entry[path[0]])}
    target: Any = changed
    for step in path[:-1]:
        target = target[step]
    return changed, target


@pytest.fixture(scope="module")
def verified(whole: pathlib.Path) -> tuple[dict[str, Any], RecordCounts, int]:
    """Entry of the training split, counts of its records, and their bytes."""
    splits = find_splits(str(whole), ("train",))
    label_map, _ = command.read_given_label_map(command.VerifyOptions(str(whole)), splits)
    tasks = command.plan_shards(splits, command.find_shard_files(str(whole)), label_map, decode=False, max_faults=9)
    summary = merge_results((check_shard(task)[0] for task in tasks), 9).splits["train"]
    return dict(splits["train"].manifest or {}), summary.counts, summary.size


def test_damage_to_the_manifest_is_found_by_its_digest(verified: tuple[dict[str, Any], RecordCounts, int]) -> None:
    entry, counts, size = verified
    assert compare_manifest("train", entry, counts, size) == []
    damaged = list(damages_of(entry))
    assert len(damaged) > 1000
    assert [key for key, changed in damaged if not compare_manifest("train", changed, counts, size)] == []


def test_damage_to_the_manifest_with_a_digest_that_fits_is_contradicted(
    whole: pathlib.Path, verified: tuple[dict[str, Any], RecordCounts, int], tmp_path: pathlib.Path
) -> None:
    entry, counts, size = verified
    folder = pathlib.Path(shutil.copytree(whole, tmp_path / "records"))
    missed = set()
    for key, changed in damages_of(entry):
        if key == ENTRY_SHA256:
            continue
        changed[ENTRY_SHA256] = digest_entry(changed)
        # The manifest alone shows most of the deeper damages, which saves to read the records.
        if "." not in key or not compare_manifest("train", changed, counts, size):
            edit_file(folder, lambda manifest, changed=changed: manifest["splits"].update(train=changed))
            missed.update(() if is_found(folder) else (key,))
    assert sorted(key for key in missed if not any(fnmatch.fnmatch(key, known) for known in NOTHING_CONTRADICTS)) == []
    # No line of the list is there in vain.
    assert {known for known in NOTHING_CONTRADICTS if not any(fnmatch.fnmatch(key, known) for key in missed)} == set()


def record_damages(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yields (key, record) with each key deleted, emptied, with a value more, and with another value."""
    for key in sorted(Example.FromString(data).features.feature):
        for damage in ("delete", "empty", "lengthen", "change"):
            example = Example.FromString(data)
            feature = example.features.feature[key]
            kind = feature.WhichOneof("kind")
            values = getattr(feature, kind).value if kind else []
            if damage == "delete":
                del example.features.feature[key]
            elif not values:
                continue
            elif damage == "empty":
                del values[:]
            elif damage == "lengthen":
                values.append(values[0])
            else:
                values[0] = changed_value(values[0])
            yield f"{damage} {key}", example.SerializeToString(deterministic=True)


def changed_value(value: Any) -> Any:
    if isinstance(value, bytes):
        return value[:-1] + bytes([value[-1] ^ 1]) if value else b"x"
    return value + 1 if isinstance(value, int) else value / 2 + 0.1


def test_damage_to_records_with_digests_that_fit_is_contradicted(whole: pathlib.Path, tmp_path: pathlib.Path) -> None:
    folder = pathlib.Path(shutil.copytree(whole, tmp_path / "records"))
    shard = folder / "validation.tfrecord-00000-of-00002"
    records = [data for _, data in read_records(io.BytesIO(shard.read_bytes()))]
    missed = []
    for name, changed in record_damages(records[1]):
        write_shard(folder, shard, [records[0], changed, *records[2:]])
        missed += [] if is_found(folder) else [name]
    unlisted = [
        name
        for name in missed
        if not any(fnmatch.fnmatch(name, f"change {key}") for key in NOTHING_CONTRADICTS_IN_RECORDS)
    ]
    assert unlisted == []
    for name, changed_records in {
        "one is gone": records[1:],
        "the last is gone": records[:-1],
        "one is there twice": [records[0], *records],
        "order": [records[1], records[0], *records[2:]],
        "none": [],
    }.items():
        write_shard(folder, shard, changed_records)
        assert is_found(folder), name


def write_shard(folder: pathlib.Path, shard: pathlib.Path, records: list[bytes]) -> None:
    """Writes a shard with whole frames, and its size and digest into the manifest."""
    pieces = [piece for data in records for piece in (frame([data])[0], data, frame([data])[1])]
    shard.write_bytes(b"".join(pieces))

    def describe(manifest: dict[str, Any]) -> None:
        entry = manifest["splits"]["validation"]
        [listed] = [item for item in entry["shards"] if item["file"] == shard.name]
        size = shard.stat().st_size
        entry["totals"]["bytes"] += size - listed["bytes"]
        listed |= {"bytes": size, "crc32c": f"{google_crc32c.value(shard.read_bytes()):08x}", "records": len(records)}
        entry[ENTRY_SHA256] = digest_entry(entry)

    edit_file(folder, describe)
