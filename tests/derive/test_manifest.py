from collections import Counter
from typing import Any

import pytest

from oi_tfrecord.dataset.accounts import ShardAccount, TableAccount, sum_accounts
from oi_tfrecord.derive.manifest import DerivedFrom, build_derived_split, shared_config
from oi_tfrecord.records.class_counts import pack_mapping
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from oi_tfrecord.records.record_counts import RecordCounts
from oi_tfrecord.verification.check_manifest import compare_manifest

LABEL_MAP = LabelMap((LabelMapItem(1, "/m/a", "A"),))
KEYS = Counter({"image/object/class/label": 5, "image/class/label": 5})


def shard(**changes: Any) -> ShardAccount:
    values: dict[str, Any] = {
        "shard": 0, "file": "train.tfrecord-00000-of-00001", "size": 90, "crc32c": "x", "records": 3,
        "images_selected": 3, "images_not_selected": 2, "images_rejected": {}, "image_bytes": 30,
        "images_reencoded": {},
        "tables": {
            "boxes": TableAccount(6, {}, {"over_cap": 1}),
            "human_labels": TableAccount(4, {}, {}),
            "machine_labels": TableAccount(0, {}, {}),
        },
        "boxes_per_class": pack_mapping({1: 6}), "positive_per_class": pack_mapping({1: 4}),
        "negative_per_class": "", "sources": {},
        "unknown_flags": 0, "most_boxes": 3, "most_expanded_boxes": 3, "images_over_100_boxes": 0,
    }  # fmt: skip
    return ShardAccount(**values | changes)


def build(result: ShardAccount, keys: set[str] | None = None) -> dict[str, Any]:
    counts = RecordCounts(records=5, boxes=7, labels=4, keys=KEYS)
    source = DerivedFrom("records", "train", {"fingerprint": {"config": {}}}, "digest", counts)
    about = {"config": {"extra_keys": []}, "fingerprint": {}}
    return build_derived_split(
        [source], sum_accounts((), [result]), LABEL_MAP, about, {"command": "resample"}, "over_cap", keys
    )


def test_what_was_read_is_balanced_with_what_was_written_and_left_out() -> None:
    split = build(shard())
    assert split["balanced"] is True
    assert split["images"] == {
        "selected": 3, "records": 3, "rejected": {}, "not_selected": 2, "read": 5, "left_out": {"over_cap": 2},
        "balanced": True,
    }  # fmt: skip
    assert split["tables"]["boxes"] == {
        "rows_read": 7, "written": 6, "rejected": {}, "dropped": {"over_cap": 1}, "balanced": True,
    }  # fmt: skip
    # Records without such a key have no such table, nor if it is left out.
    assert list(split["tables"]) == ["boxes", "human_labels"]
    assert list(build(shard(), {"image/object/class/label"})["tables"]) == ["boxes"]
    assert split["derived"]["from"][0]["manifest_sha256"] == "digest"


@pytest.mark.parametrize(
    "changes",
    [
        {"records": 2, "images_selected": 2},
        {"images_not_selected": 1},
        {"tables": {name: TableAccount(4, {}, {}) for name in ("boxes", "human_labels", "machine_labels")}},
    ],
)
def test_a_loss_unbalances_the_manifest_and_verify_finds_it(changes: dict[str, Any]) -> None:
    split = build(shard(**changes))
    assert split["balanced"] is False
    counts = RecordCounts()
    faulty = [fault.key for fault in compare_manifest("train", split, counts, 0)]
    assert "balanced" in faulty
    assert "tables.boxes" in faulty if "tables" in changes else "images" in faulty


def test_configurations_share_what_is_equal_and_the_groups_that_all_have() -> None:
    first = {"source_id": "hex", "rotation": "keep", "extra_keys": ["inside", "rotation"]}
    second = {"source_id": "hex", "rotation": "apply", "extra_keys": ["rotation", "box_source"]}
    assert shared_config([first, second]) == {"source_id": "hex", "extra_keys": ["rotation"]}
    assert shared_config([first]) == first
