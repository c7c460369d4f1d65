import copy
import json
import pathlib
from collections.abc import Iterator
from typing import Any

import pytest

from oi_tfrecord.cli.main import main
from oi_tfrecord.records.keys import KNOWN_KEYS
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.label_map_file import format_csv
from oi_tfrecord.records.record_counts import RecordCounts
from oi_tfrecord.verification.check_manifest import compare_label_map, compare_manifest, compare_rejects, required_keys
from oi_tfrecord.verification.check_shard import check_shard
from oi_tfrecord.verification.faults import FaultKind
from tests.conftest import convert_arguments
from tests.verification.test_check_shard import tasks_of

FILES = ("label_map.pbtxt", "label_map.csv")


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
        counts.merge(found.counts)
        size += found.size
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


def test_every_count_that_the_records_tell_is_compared(verified: tuple[dict[str, Any], RecordCounts, int]) -> None:
    manifest, counts, size = verified
    # What is known of the input alone, or compared shard by shard.
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
        faults += compare_label_map("train", changed, label_map_of(manifest), None, FILES)[1:]
        assert faults, path
        assert {fault.file for fault in faults} <= {"manifest.json", "label_map.pbtxt"}


def label_map_of(manifest: dict[str, Any]) -> LabelMap:
    from oi_tfrecord.records.label_map import LabelMapItem

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
        # That is shorter than the other.
        "is not as convert writes it": ([], ends),
    }
    for told, (some_starts, some_ends) in cases.items():
        changed = first | {"coverage": coverage | {"starts_of_ranges": some_starts, "ends_of_ranges": some_ends}}
        # It says of itself that it is balanced.
        [fault] = compare_manifest("train", manifest | {"inputs": [changed, *others]}, counts, size)
        assert told in fault.detail
        assert (fault.file, fault.kind) == ("manifest.json", FaultKind.COUNT)
    details = [
        fault.detail for fault in compare_manifest("train", manifest | {"shards": manifest["shards"][:1]}, counts, size)
    ]
    assert "shard 1 of 2 has no result" in details
    unbalanced = {name: table for name, table in manifest["tables"].items() if name != first["table"]}
    faults = compare_manifest("train", manifest | {"tables": unbalanced}, counts, size)
    assert f"tables.{first['table']}" in [fault.key for fault in faults]


def test_a_manifest_from_before_ranges_were_told_has_no_fault(
    verified: tuple[dict[str, Any], RecordCounts, int],
) -> None:
    manifest, counts, size = verified
    older = [{name: value for name, value in item.items() if name != "coverage"} for item in manifest["inputs"]]
    assert compare_manifest("train", manifest | {"inputs": older}, counts, size) == []


def test_the_label_map_is_that_of_the_manifest_and_of_the_csv(
    verified: tuple[dict[str, Any], RecordCounts, int],
) -> None:
    manifest, _, _ = verified
    label_map = label_map_of(manifest)
    text = format_csv(label_map)
    assert compare_label_map("train", manifest, label_map, text, FILES) == []
    cases = {
        "no such file": (label_map, None, "label_map.csv"),
        "does not hold": (label_map, text.replace("\n", "x\n", 1), "label_map.csv"),
        "classes, and the manifest": (LabelMap(label_map.items[:-1]), None, "label_map.pbtxt"),
    }
    for told, (items, csv_text, file) in cases.items():
        faults = compare_label_map("train", manifest, items, csv_text, FILES)
        assert any(told in fault.detail and fault.file == file for fault in faults), told
    assert [fault.kind for fault in compare_label_map("train", manifest, None, text, FILES)] == []


MANIFEST = {
    "images": {"rejected": {"image_missing": 2}},
    "tables": {"boxes": {"rejected": {"malformed_row": 1, "image_rejected": 7}}, "metadata": {"rejected": {}}},
}
REJECTS = (
    "Table,File,Line,ImageID,Reason,Detail\n"
    'images,a.jpg,,00000000000000aa,image_missing,"x, y"\n'
    "images,b.jpg,,00000000000000ab,image_missing,x\n"
    'boxes,b.csv,7,,malformed_row,"two\nlines"\n'
)


def test_rejects_are_listed_as_often_as_counted() -> None:
    assert compare_rejects("train", MANIFEST, REJECTS, "r.csv") == []
    lines = REJECTS.splitlines(keepends=True)
    for text in (
        None,
        "",
        REJECTS.replace("Line", "line", 1),
        "".join(lines[:2] + lines[3:]),
        REJECTS + lines[1],
        REJECTS.replace("malformed_row", "bad_flag"),
        REJECTS.replace("boxes,", "poxes,"),
        REJECTS + 'boxes,"open',
    ):
        faults = compare_rejects("train", MANIFEST, text, "r.csv")
        assert faults
        assert {(fault.kind, fault.file) for fault in faults} == {(FaultKind.REJECTS, "r.csv")}
