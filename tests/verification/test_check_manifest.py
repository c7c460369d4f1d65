import copy
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.records.keys import KNOWN_KEYS
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from oi_tfrecord.records.record_counts import RecordCounts
from oi_tfrecord.verification.check_label_map import compare_classes
from oi_tfrecord.verification.check_manifest import compare_manifest, required_keys
from oi_tfrecord.verification.check_shard import check_shard
from oi_tfrecord.verification.faults import FaultKind
from tests.conftest import convert_arguments
from tests.verification.test_check_shard import tasks_of


@pytest.fixture(scope="module")
def verified(
    sample: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[dict[str, Any], RecordCounts, int]:
    """Manifest, counts and bytes of the sample's training split, with all groups of extra keys."""
    output_dir = tmp_path_factory.mktemp("out")
    groups = "box_source,box_confidence,inside,label_source,machine_labels,attribution"
    assert main(["convert", *convert_arguments(sample, output_dir, f"--extra_keys={groups}", "--num_shards=2")]) == 0
    counts = RecordCounts()
    size = 0
    for task in tasks_of(output_dir):
        found, _ = check_shard(task)
        assert found.faults == ()
        counts.merge(found.splits["train"].counts)
        size += found.splits["train"].size
    return json.loads((output_dir / "manifest.json").read_text())["splits"]["train"], counts, size


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths of the whole numbers in a manifest."""
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))
    elif type(value) is int:
        yield path


def test_a_manifest_agrees_with_its_records(verified: tuple[dict[str, Any], RecordCounts, int]) -> None:
    manifest, counts, size = verified
    assert compare_manifest("train", manifest, counts, size) == []
    assert set(counts.keys) <= set(KNOWN_KEYS)
    assert set(required_keys(manifest)) <= set(counts.keys)
    assert {"image/object/source", "image/machine_class/text", "image/class/label"} <= set(required_keys(manifest))


def test_every_count_that_follows_from_the_records_is_compared(
    verified: tuple[dict[str, Any], RecordCounts, int],
) -> None:
    manifest, counts, size = verified
    # These follow from the input alone, or are compared shard by shard.
    elsewhere = {"config", "inputs", "class_files", "fingerprint", "shards"}
    of_the_input = {("totals", "unknown_flags_written_as_0"), ("images", "not_selected")}
    paths = [path for path in leaves(manifest) if path[0] not in elsewhere and path not in of_the_input]
    paths = [path for path in paths if path[:2] not in (("totals", "images_reencoded"), ("sources", "machine_labels"))]
    assert len(paths) > 50
    for path in paths:
        changed = copy.deepcopy(manifest)
        target = changed
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] += 1
        faults = compare_manifest("train", changed, counts, size)
        faults += compare_classes("train", changed, label_map_of(manifest))
        assert faults, path
        assert {fault.file for fault in faults} <= {"manifest.json", "label_map.pbtxt"}


def label_map_of(manifest: dict[str, Any]) -> LabelMap:
    return LabelMap(tuple(LabelMapItem(item["id"], item["mid"], item["name"]) for item in manifest["classes"]))


def test_a_manifest_of_another_shape_is_one_fault(verified: tuple[dict[str, Any], RecordCounts, int]) -> None:
    manifest, counts, size = verified
    for name in ("totals", "tables", "images", "classes", "balanced"):
        broken = {key: value for key, value in manifest.items() if key != name}
        [fault] = compare_manifest("train", broken, counts, size)
        assert name in fault.detail
    assert compare_manifest("train", manifest | {"balanced": False}, counts, size)[0].key == "balanced"


def test_a_manifest_of_a_run_that_lost_a_range_or_shard_has_a_fault(
    verified: tuple[dict[str, Any], RecordCounts, int],
) -> None:
    manifest, counts, size = verified
    first, *others = manifest["inputs"]
    coverage = first["coverage"]
    starts, ends = coverage["starts_of_ranges"], coverage["ends_of_ranges"]
    cases = {
        "were lost": ([], []),
        "were read twice": ([*starts, starts[-1]], [*ends, ends[-1]]),
        # The two lists must be equally long.
        "is not as convert writes it": ([], ends),
    }
    for problem, (some_starts, some_ends) in cases.items():
        changed = first | {"coverage": coverage | {"starts_of_ranges": some_starts, "ends_of_ranges": some_ends}}
        # The manifest still says that it is balanced.
        faults = compare_manifest("train", manifest | {"inputs": [changed, *others]}, counts, size)
        assert problem in " ".join(fault.detail for fault in faults)
        assert {(fault.file, fault.kind) for fault in faults} == {("manifest.json", FaultKind.COUNT)}
    details = [
        fault.detail for fault in compare_manifest("train", manifest | {"shards": manifest["shards"][:1]}, counts, size)
    ]
    assert "shard 1 of 2 is missing" in details
    unbalanced = {name: table for name, table in manifest["tables"].items() if name != first["table"]}
    faults = compare_manifest("train", manifest | {"tables": unbalanced}, counts, size)
    assert f"tables.{first['table']}" in [fault.key for fault in faults]


def test_a_manifest_without_ranges_has_no_fault(
    verified: tuple[dict[str, Any], RecordCounts, int],
) -> None:
    manifest, counts, size = verified
    older = [{name: value for name, value in item.items() if name != "coverage"} for item in manifest["inputs"]]
    of_version_0_1 = manifest | {"inputs": older, "oi_tfrecord": "0.1.0"}
    del of_version_0_1["entry_sha256"]
    assert compare_manifest("train", of_version_0_1, counts, size) == []
