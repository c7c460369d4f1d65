"""Checks the manifest of a split against itself: its keys, its numbers, and what two entries say of one thing.

`check_manifest` compares the manifest with the records; these checks need nothing but the manifest, so that they find
a damaged number that no record contradicts.
"""

import json
import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from oi_tfrecord.dataset.coverage import Unit
from oi_tfrecord.dataset.file_names import ENTRY_KEYS
from oi_tfrecord.dataset.filter_warnings import given_reasons
from oi_tfrecord.dataset.manifest import ENTRY_SHA256, class_weights, digest_entry
from oi_tfrecord.reasons import NOT_THERE, Drop, Reject
from oi_tfrecord.records.shard_names import parse_shard_file

Problem = tuple[str, str]
"""Key of the manifest, joined by dots; what is wrong there."""

_OPTIONAL_KEYS = {
    "oi_tfrecord", "selection", "class_files", "changed_inputs", "attribution", "weights", "derived", "estimate",
    ENTRY_SHA256,
}  # fmt: skip

_COUNTED = ("images", "tables", "totals", "sources", "inputs", "shards", "classes")
"""Entries whose numbers are counts, except for the weights of classes."""

_KEYS_OF_ITEMS = {
    "inputs": ({"table", "path", "bytes", "rows", "lines", "crc32c_of_ranges"}, {"coverage"}),
    "shards": ({"file", "records", "bytes"}, {"crc32c", "sha256"}),
    "classes": ({"id", "mid", "name", "boxes", "positive_labels", "negative_labels"}, {"weight", "rows"}),
}
"""Entry that is a list to the keys that each item must have, and may have."""

_KEYS_OF_TABLES = ({"rows_read", "written", "rejected", "dropped", "balanced"}, {"added_by_hierarchy"})

_KEYS_OF_TOTALS = (
    {"shards", "records", "bytes", "image_bytes", "image_counts", "images_reencoded", "most_boxes_in_an_image",
     "images_over_100_boxes"},
    {"unknown_flags_written_as_0", "most_boxes_after_expansion"},
)  # fmt: skip

_KEYS_OF_FINGERPRINTS = ({"record_format", "config", "inputs", "class_files", "num_shards"}, set[str]())

_KEYS_OF_COVERAGE = {"unit", "start", "end", "starts_of_ranges", "ends_of_ranges"}

_KEYS_OF_IMAGES = ({"selected", "records", "rejected", "not_selected", "balanced"}, {"read", "left_out", "skipped"})


def find_contradictions(split: str, manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """Finds what is wrong with the entry of a split by the entry alone.

    Args:
        split: name of the split.
        manifest: its entry.

    Yields:
        A problem for each rule that the entry breaks.

    Raises:
        KeyError, TypeError, AttributeError, ValueError: where the entry has another shape than `convert` writes.
    """
    yield from _check_digest(manifest)
    yield from _check_keys(manifest)
    yield from _check_numbers(manifest)
    yield from _check_texts(split, manifest)
    yield from _check_balances(manifest)
    yield from _check_reasons(manifest)
    yield from _check_sources(manifest)
    yield from _check_weights(manifest)
    yield from _check_shards(split, manifest)
    if "derived" in manifest:
        yield from _check_origin(manifest)
    else:
        yield from _check_plan(manifest)
        yield from _check_inputs(manifest)
        yield from _check_selection(manifest)


def _check_digest(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """Versions before 0.2 wrote no digest."""
    stated = manifest.get(ENTRY_SHA256)
    version = str(manifest.get("oi_tfrecord", ""))
    if stated is None and version.startswith("0.1."):
        return
    if stated is None:
        yield ENTRY_SHA256, "the digest of the entry is missing"
    elif stated != digest_entry(manifest):
        yield ENTRY_SHA256, "the entry was changed after it was written"


def _check_keys(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    yield from _compare_keys("", manifest, set(ENTRY_KEYS), _OPTIONAL_KEYS)
    yield from _compare_keys("images", manifest["images"], *_KEYS_OF_IMAGES)
    yield from _compare_keys("totals", manifest["totals"], *_KEYS_OF_TOTALS)
    if isinstance(attribution := manifest.get("attribution"), Mapping):
        yield from _compare_keys("attribution", attribution, {"file", "bytes", "sha256"}, set())
    yield from _compare_keys("fingerprint", manifest["fingerprint"], *_KEYS_OF_FINGERPRINTS)
    for table, entry in manifest["tables"].items():
        yield from _compare_keys(f"tables.{table}", entry, *_KEYS_OF_TABLES)
    for name, (required, optional) in _KEYS_OF_ITEMS.items():
        for number, item in enumerate(manifest[name]):
            yield from _compare_keys(f"{name}.{number}", item, required, optional)


def _compare_keys(place: str, entry: Mapping[str, Any], required: set[str], optional: set[str]) -> Iterator[Problem]:
    for key in sorted(required - entry.keys()):
        yield f"{place}.{key}".lstrip("."), "the key is missing"
    for key in sorted(entry.keys() - required - optional):
        yield f"{place}.{key}".lstrip("."), "convert writes no such key"


def _check_numbers(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    for name in _COUNTED:
        for key, value in _numbers(manifest[name], name):
            if not key.endswith(".weight") and (not isinstance(value, int) or value < 0):
                yield key, f"{value} is no count"


def _numbers(value: Any, key: str) -> Iterator[tuple[str, int | float]]:
    """Yields (key, number) of each number below an entry; JSON's true and false are none."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _numbers(item, f"{key}.{name}")
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _numbers(item, f"{key}.{number}")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield key, value


def _check_texts(split: str, manifest: Mapping[str, Any]) -> Iterator[Problem]:
    if not re.fullmatch(r"\d+\.\d+(\.\w+)*", str(manifest.get("oi_tfrecord", "0.1"))):
        yield "oi_tfrecord", f"{manifest['oi_tfrecord']!r} is no version"
    if "derived" not in manifest and manifest["config"].get("split", split) != split:
        yield "config.split", f"{manifest['config']['split']!r} is not the split {split!r} of the entry"
    if not all(isinstance(warning, str) for warning in manifest["warnings"]):
        yield "warnings", "a warning is no text"
    for path, digest in manifest.get("class_files", {}).items():
        if not re.fullmatch("[0-9a-f]{64}", digest):
            yield f"class_files.{path}", f"{digest!r} is no SHA-256"
    for number, item in enumerate(manifest["inputs"]):
        for digest in item["crc32c_of_ranges"]:
            if not re.fullmatch("[0-9a-f]{8}", digest):
                yield f"inputs.{number}.crc32c_of_ranges", f"{digest!r} is no CRC-32C"


def _check_balances(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    entries = {"images": manifest["images"], **{f"tables.{name}": item for name, item in manifest["tables"].items()}}
    for name, entry in entries.items():
        if entry["balanced"] is not True:
            yield f"{name}.balanced", "the manifest says that the conversion lost something"
    totals = manifest["totals"]
    for name in ("image_counts", "images_reencoded"):
        for key, count in totals[name].items():
            if not 0 < count <= totals["records"]:
                yield f"totals.{name}.{key}", f"{count} of {totals['records']} records"


def _check_reasons(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    entries = [("images", manifest["images"])]
    entries += [(f"tables.{name}", entry) for name, entry in manifest["tables"].items()]
    for name, entry in entries:
        for field, known in (("rejected", Reject), ("dropped", Drop), ("left_out", Drop), ("skipped", NOT_THERE)):
            for reason in sorted(set(entry.get(field, ())) - {str(reason) for reason in known}):
                yield f"{name}.{field}.{reason}", "there is no such reason"
    if "derived" in manifest:
        return
    for name, entry in manifest["tables"].items():
        for reason in given_reasons(manifest["config"], name):
            if reason not in entry["dropped"]:
                yield f"tables.{name}.dropped.{reason}", "the filter is set, and its count is missing"


def _check_sources(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    if manifest["sources"].keys() != manifest["tables"].keys():
        yield "sources", "the tables are not those of the entry tables"
        return
    for table, sources in manifest["sources"].items():
        entry, total = manifest["tables"][table], sum(sources.values())
        if total not in (0, entry["written"], entry["written"] + entry.get("added_by_hierarchy", 0)):
            yield f"sources.{table}", f"{total} rows by source, and {entry['written']} rows written"


def _check_weights(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    positive = {str(item["id"]): item["positive_labels"] for item in manifest["classes"] if item["positive_labels"]}
    expected = class_weights(positive)
    for item in manifest["classes"]:
        if "weight" in item and item["weight"] != expected.get(item["id"]):
            yield f"classes.{item['id']}.weight", f"{item['weight']}, and the labels give {expected.get(item['id'])}"


def _check_shards(split: str, manifest: Mapping[str, Any]) -> Iterator[Problem]:
    names = [parse_shard_file(shard["file"]) for shard in manifest["shards"]]
    if any(name is None or name.split != split for name in names):
        yield "shards", f"a file is no shard of {split!r}"
    if [name.shard for name in names if name] != sorted(name.shard for name in names if name):
        yield "shards", "the shards are not in order"
    given = manifest["fingerprint"].get("config", {}).get("shard_sha256")
    for number, shard in enumerate(manifest["shards"]):
        yield from ((f"shards.{number}.{key}".rstrip("."), problem) for key, problem in _check_checksums(shard, given))
    planned = {name.num_shards for name in names if name}
    if not _equal(sorted(planned), [manifest["fingerprint"]["num_shards"]]):
        counts = " and ".join(map(str, sorted(planned)))
        yield "fingerprint.num_shards", f"{manifest['fingerprint']['num_shards']}, and the shards are of {counts}"


def _check_checksums(shard: Mapping[str, Any], shard_sha256: bool | None) -> Iterator[Problem]:
    """Versions without the option `shard_sha256` took the SHA-256 of a shard alone."""
    needed = {None: {"sha256"}, False: {"crc32c"}, True: {"crc32c", "sha256"}}[shard_sha256]
    if shard.keys() & {"crc32c", "sha256"} != needed:
        yield "", f"the shard has not the checksums {' and '.join(sorted(needed))}"
    for name, digits in (("crc32c", 8), ("sha256", 64)):
        if name in shard and not re.fullmatch(f"[0-9a-f]{{{digits}}}", str(shard[name])):
            yield name, f"{shard[name]!r} is not {digits} hex digits"


def _check_plan(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """Compares the entries of a conversion that say what was planned with its fingerprint, which says it again."""
    config, fingerprint = manifest["config"], manifest["fingerprint"]
    planned = fingerprint["config"]
    for name in sorted((config.keys() | planned.keys()) - {"num_shards"}):
        if name not in config or name not in planned or not _equal(config[name], planned[name]):
            yield f"config.{name}", "the fingerprint has another value"
    if not any(_equal(config.get("num_shards"), number) for number in (0, fingerprint["num_shards"])):
        yield "config.num_shards", "the fingerprint has another value"
    if ENTRY_SHA256 in manifest and str(manifest.get("selection")).partition(":")[0] != config.get("select"):
        yield "selection", f"{manifest.get('selection')!r}, and config.select is {config.get('select')!r}"
    if sorted(manifest.get("class_files", {}).values()) != fingerprint["class_files"]:
        yield "class_files", "the fingerprint has other digests"
    given = [[item["table"], posixpath.basename(item["path"]), item["bytes"]] for item in manifest["inputs"]]
    if not _equal(given, [item[:3] for item in fingerprint["inputs"]]):
        yield "inputs", "the fingerprint has other tables, names or sizes"
    # Version 0.1 wrote neither a digest nor the CRC-32C of headers.
    parts = (5,) if ENTRY_SHA256 in manifest else (4, 5)
    if any(len(item) not in parts or not isinstance(item[3], int | float) for item in fingerprint["inputs"]):
        yield "fingerprint.inputs", "a table has no time of change, or no checksum of its header"
    if bool(manifest.get("attribution")) != bool(config.get("attribution_csv")):
        yield "attribution", f"config.attribution_csv is {config.get('attribution_csv')}"


def _equal(first: Any, second: Any) -> bool:
    """Returns whether two values are the same in JSON: in Python, 1 equals 1.0 and true."""
    return json.dumps(first) == json.dumps(second)


def _check_origin(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """Compares the sources of a split that was made from records with its fingerprint and with what was read."""
    sources: Sequence[Mapping[str, Any]] = manifest["derived"]["from"]
    given = [[item["path"], item["manifest_sha256"]] for item in sources]
    if given != [[item[1], item[3]] for item in manifest["fingerprint"]["inputs"]]:
        yield "derived.from", "the fingerprint has other folders or digests"
    read = sum(item["records"] for item in sources)
    if read != manifest["images"]["read"]:
        yield "derived.from", f"{read} records, and images.read is {manifest['images']['read']}"


def _check_selection(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    """Compares the images with the rows of the metadata, where each image is the row of the metadata that lists it."""
    metadata, images = manifest["tables"].get("metadata"), manifest["images"]
    if metadata is None or manifest["config"].get("driver") != "metadata":
        return
    rows = metadata["written"] + metadata["rejected"].get(Reject.IMAGE_REJECTED, 0)
    rows += metadata["dropped"].get(Drop.IMAGE_NOT_THERE, 0)
    left_out = metadata["dropped"].get(Drop.IMAGE_NOT_SELECTED, 0)
    for name, found in (("selected", rows), ("not_selected", left_out)):
        if images[name] != found:
            yield f"images.{name}", f"{images[name]}, and {found} rows of the metadata"


def _check_inputs(manifest: Mapping[str, Any]) -> Iterator[Problem]:
    read: dict[str, int] = {}
    for number, item in enumerate(manifest["inputs"]):
        read[item["table"]] = read.get(item["table"], 0) + item["rows"]
        yield from ((f"inputs.{number}.{key}", problem) for key, problem in _check_input(manifest, item))
    for table, entry in manifest["tables"].items():
        if entry["rows_read"] != read.get(table):
            yield f"tables.{table}.rows_read", f"{entry['rows_read']}, and its inputs have {read.get(table)} rows"


def _check_input(manifest: Mapping[str, Any], item: Mapping[str, Any]) -> Iterator[Problem]:
    if item["rows"] > item["lines"]:
        yield "lines", f"{item['lines']} lines, and {item['rows']} rows"
    coverage = item.get("coverage")
    if coverage is not None:
        yield from (
            (f"coverage.{key}", problem) for key, problem in _compare_keys("", coverage, _KEYS_OF_COVERAGE, set())
        )
    if coverage is None:
        # Version 0.1 wrote no coverage at first.
        if ENTRY_SHA256 in manifest:
            yield "coverage", "the key is missing"
        return
    if len(item["crc32c_of_ranges"]) != len(coverage["starts_of_ranges"]):
        ranges = len(coverage["starts_of_ranges"])
        yield "crc32c_of_ranges", f"{len(item['crc32c_of_ranges'])} checksums of {ranges} ranges"
    if coverage["unit"] not in set(Unit):
        yield "coverage.unit", f"{coverage['unit']!r} is no unit"
    if coverage["unit"] == Unit.BYTES and coverage["end"] != item["bytes"]:
        yield "coverage.end", f"{coverage['end']} is not the end of the file of {item['bytes']} bytes"
