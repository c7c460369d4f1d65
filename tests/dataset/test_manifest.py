import hashlib
import json
from typing import Any

import pytest

from oi_tfrecord.dataset.accounts import RangeAccount, ShardAccount, TableAccount, sum_accounts
from oi_tfrecord.dataset.manifest import (
    TableInput,
    balance_images,
    balance_tables,
    build_split,
    class_weights,
    digest_entry,
    first_lines,
    merge_split,
    seal_entry,
    sum_counts,
    too_many_rejects,
    warn_of_other_expansion,
)
from oi_tfrecord.records.class_counts import pack_mapping
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem

BOXES = TableInput("boxes", 0, "/data/boxes-a.csv", 1000, header_lines=1, rows_start=100)
MORE_BOXES = TableInput("boxes", 1, "/data/boxes-b.csv", 400, header_lines=1, rows_start=100)
IMAGES = TableInput("metadata", 0, "/data/images.csv", 2000, header_lines=2, rows_start=100)
LABEL_MAP = LabelMap((LabelMapItem(1, "/m/a", "A"), LabelMapItem(5, "/m/b", "B")))


def range_result(table: str, index: int, **values: Any) -> RangeAccount:
    given = {
        "file": 0, "start": 100, "end": 100, "crc32c": index, "line_count": 10, "rows_read": 10, "rejected": {},
        "dropped": {}, "class_rows": {}, "ends_open": False, "is_last": False,
    }  # fmt: skip
    return RangeAccount(table=table, index=index, **given | values)


def shard_result(shard: int, **values: Any) -> ShardAccount:
    given = {
        "file": f"train.tfrecord-{shard:05d}-of-00002", "size": 50, "crc32c": f"{shard:08x}", "records": 4,
        "images_selected": 5, "images_not_selected": 1, "images_rejected": {"image_missing": 1}, "image_bytes": 40,
        "images_reencoded": {}, "tables": {}, "boxes_per_class": "",
        "positive_per_class": "", "negative_per_class": "", "sources": {},
        "unknown_flags": 0, "most_boxes": 0, "most_expanded_boxes": 0, "images_over_100_boxes": 0,
    }  # fmt: skip
    return ShardAccount(shard=shard, **given | values)


RANGES = [
    range_result("metadata", 0, end=2000, rows_read=12, line_count=30),
    range_result("boxes", 1, start=600, end=1000, rows_read=9, line_count=11, rejected={"malformed_row": 2}),
    range_result("boxes", 0, end=600, rows_read=10, rejected={"malformed_row": 1}, dropped={"low_confidence": 3}),
    range_result("boxes", 0, file=1, end=400, rows_read=4, line_count=4, ends_open=True),
]
SHARDS = [
    shard_result(
        1,
        image_counts={"resized": 1, "stripped": 1},
        tables={
            "boxes": TableAccount(7, {"image_rejected": 1, "duplicate": 1}, {}),
            "metadata": TableAccount(4, {"image_rejected": 1}, {"image_not_selected": 1}),
        },
        boxes_per_class=pack_mapping({1: 5, 5: 2}),
        positive_per_class=pack_mapping({5: 3}),
        negative_per_class=pack_mapping({5: 4}),
        sources={"boxes": {"xclick": 7}},
        most_boxes=3,
        most_expanded_boxes=7,
        unknown_flags=2,
        images_reencoded={"png": 1},
    ),
    shard_result(
        0,
        tables={
            "boxes": TableAccount(8, {}, {}),
            "metadata": TableAccount(4, {"image_rejected": 1}, {"image_not_selected": 1}),
        },
        boxes_per_class=pack_mapping({1: 8}),
        positive_per_class=pack_mapping({1: 1}),
        negative_per_class=pack_mapping({5: 1}),
        sources={"boxes": {"xclick": 5, "freeform": 3}},
        most_boxes=120,
        most_expanded_boxes=340,
        images_over_100_boxes=1,
        image_counts={"resized": 2, "turned": 2},
    ),
]
TOTALS = sum_accounts(RANGES, SHARDS)


def test_counts_are_summed_in_order_of_their_keys_without_zeros() -> None:
    total = sum_counts({"b": 1, "z": 0}, {"a": 2, "b": 3}, {})
    assert list(total.items()) == [("a", 2), ("b", 4)]


def test_line_numbers_continue_from_range_to_range_and_start_after_the_header() -> None:
    assert first_lines([BOXES, MORE_BOXES, IMAGES], RANGES) == {
        ("boxes", 0, 0): 2,
        ("boxes", 0, 1): 12,
        ("boxes", 1, 0): 2,
        ("metadata", 0, 0): 3,
    }


def test_tables_balance_when_every_row_is_written_rejected_or_dropped() -> None:
    balance = balance_tables([BOXES, MORE_BOXES, IMAGES], TOTALS, {})
    assert list(balance) == ["boxes", "metadata"]
    # 10 + 9 + 4 rows: 15 written, 3 malformed, 1 of a rejected image, 1 duplicate, 3 dropped.
    assert balance["boxes"] == {
        "rows_read": 23,
        "written": 15,
        "rejected": {"duplicate": 1, "image_rejected": 1, "malformed_row": 3},
        "dropped": {"low_confidence": 3},
        "balanced": True,
    }
    assert balance["metadata"]["balanced"] is True


def test_a_filter_that_drops_nothing_has_a_count_of_0() -> None:
    config = {"sample": 0.5, "min_confidence": 0.3, "box_sources": (), "max_images": 0}
    balance = balance_tables([BOXES, MORE_BOXES, IMAGES], TOTALS, config)
    # All counts are in the order of their names.
    assert list(balance["boxes"]["dropped"].items()) == [("low_confidence", 3), ("not_sampled", 0)]
    assert list(balance["metadata"]["dropped"].items()) == [("image_not_selected", 2), ("not_sampled", 0)]
    assert balance["boxes"]["balanced"] is balance["metadata"]["balanced"] is True
    split = build_split([BOXES, MORE_BOXES, IMAGES], TOTALS, LABEL_MAP, {"config": config})
    assert split["tables"] == balance


@pytest.mark.parametrize("lost", [1, -1])
def test_a_lost_or_doubled_row_does_not_balance(lost: int) -> None:
    ranges = [*RANGES, range_result("boxes", 2, start=1000, end=1000, rows_read=lost)]
    totals = sum_accounts(ranges, SHARDS)
    balance = balance_tables([BOXES, IMAGES], totals, {})
    assert [balance[table]["balanced"] for table in ("boxes", "metadata")] == [False, True]
    assert build_split([BOXES, MORE_BOXES, IMAGES], totals, LABEL_MAP, {})["balanced"] is False


def test_images_balance() -> None:
    assert balance_images(sum_accounts((), SHARDS)) == {
        "selected": 10,
        "records": 8,
        "rejected": {"image_missing": 2},
        "not_selected": 2,
        "balanced": True,
    }
    lost = sum_accounts((), [*SHARDS, shard_result(2, records=3)])
    assert balance_images(lost)["balanced"] is False
    assert build_split([], lost, LABEL_MAP, {})["balanced"] is False


def test_a_split_does_not_depend_on_the_order_of_accounts() -> None:
    about = {"oi_tfrecord": "1", "fingerprint": {"x": 1}}
    split = build_split([BOXES, MORE_BOXES, IMAGES], TOTALS, LABEL_MAP, about)
    turned = sum_accounts(RANGES[::-1], SHARDS[::-1])
    assert split == build_split([BOXES, MORE_BOXES, IMAGES], turned, LABEL_MAP, about)
    assert json.loads(json.dumps(split)) == split
    assert split["oi_tfrecord"] == "1"
    assert split["fingerprint"] == {"x": 1}
    assert split["balanced"] is True
    assert split["totals"] == {
        "shards": 2,
        "records": 8,
        "bytes": 100,
        "image_bytes": 80,
        "image_counts": {"resized": 3, "turned": 2, "stripped": 1},
        "images_reencoded": {"png": 1},
        "unknown_flags_written_as_0": 2,
        "most_boxes_in_an_image": 120,
        "most_boxes_after_expansion": 340,
        "images_over_100_boxes": 1,
    }
    assert split["shards"] == [
        {"file": f"train.tfrecord-0000{n}-of-00002", "records": 4, "bytes": 50, "crc32c": f"{n:08x}"} for n in (0, 1)
    ]
    assert split["classes"] == [
        {"id": 1, "mid": "/m/a", "name": "A", "boxes": 13, "positive_labels": 1, "negative_labels": 0},
        {"id": 5, "mid": "/m/b", "name": "B", "boxes": 2, "positive_labels": 3, "negative_labels": 5},
    ]
    assert split["sources"] == {"boxes": {"freeform": 3, "xclick": 12}, "metadata": {}}
    assert split["inputs"][0] == {
        "table": "boxes",
        "path": "/data/boxes-a.csv",
        "bytes": 1000,
        "rows": 19,
        "lines": 22,
        "crc32c_of_ranges": ["00000000", "00000001"],
        "coverage": {
            "unit": "bytes",
            "start": 100,
            "end": 1000,
            "starts_of_ranges": [100, 600],
            "ends_of_ranges": [600, 1000],
        },
    }
    assert [item["rows"] for item in split["inputs"]] == [19, 4, 12]


def test_a_file_that_may_be_cut_off_is_a_warning() -> None:
    split = build_split([BOXES, MORE_BOXES, IMAGES], TOTALS, LABEL_MAP, {"warnings": ["planned"]})
    [cut_off] = [warning for warning in split["warnings"] if warning != "planned"]
    assert cut_off.startswith("/data/boxes-b.csv: ")
    assert "planned" in split["warnings"]
    # Only the last range of a file may lack a line end.
    first_open = [range_result("boxes", 0, ends_open=True), range_result("boxes", 1)]
    assert build_split([BOXES], sum_accounts(first_open, ()), LABEL_MAP, {})["warnings"] == []


@pytest.mark.parametrize(("rows", "warned"), [(1_048_575, True), (65_535, True), (1_048_574, False)])
def test_a_table_as_long_as_the_longest_sheet_is_a_warning(rows: int, warned: bool) -> None:
    ranges = [range_result("boxes", 0, rows_read=10), range_result("boxes", 1, rows_read=rows - 10)]
    warnings = build_split([BOXES], sum_accounts(ranges, ()), LABEL_MAP, {})["warnings"]
    assert [f"it has {rows + 1:,} rows" in warning for warning in warnings] == [True] * warned


@pytest.mark.parametrize(
    ("limit", "is_percentage", "over"),
    [
        (3, False, []),
        (2, False, ["boxes"]),
        (1, False, ["boxes", "images"]),
        (0, False, ["boxes", "images", "labels"]),
        (20, True, []),
        (19.99, True, ["images"]),
        (1.5, True, ["images"]),
        (1.49, True, ["boxes", "images"]),
        (0, True, ["boxes", "images", "labels"]),
    ],
)
def test_rejects_are_judged_by_kind_and_an_image_counts_once(
    limit: float, is_percentage: bool, over: list[str]
) -> None:
    split = {
        "images": {"selected": 10, "rejected": {"image_missing": 2}},
        "tables": {
            # The rows of the two rejected images do not count as rejects of their table.
            "boxes": {"rows_read": 200, "rejected": {"duplicate": 1, "image_rejected": 90, "unknown_class": 2}},
            "labels": {"rows_read": 1000, "rejected": {"bad_image_id": 1}},
            "metadata": {"rows_read": 10, "rejected": {"image_rejected": 2}},
        },
    }
    lines = too_many_rejects(split, limit, is_percentage)
    assert sorted(line.partition(":")[0] for line in lines) == over


def test_an_empty_split_has_not_too_many_rejects() -> None:
    split = {"images": {"selected": 0, "rejected": {}}, "tables": {"boxes": {"rows_read": 0, "rejected": {}}}}
    assert too_many_rejects(split, 0, True) == too_many_rejects(split, 0, False) == []


def test_a_line_names_the_number_the_total_and_the_reasons() -> None:
    split = {"images": {"selected": 2000, "rejected": {"image_empty": 1, "image_missing": 1499}}, "tables": {}}
    [line] = too_many_rejects(split, 1, True)
    assert line == "images: 1,500 of 2,000 rejected (75.00 %): image_empty 1, image_missing 1,499"
    lost = {"images": {"selected": 0, "rejected": {"image_missing": 3}}, "tables": {}}
    assert too_many_rejects(lost, 2, False) == ["images: 3 of 0 rejected (all): image_missing 3"]


EXPANDED: dict[str, Any] = {"config": {"hierarchy": ["h.json"]}}
PLAIN: dict[str, Any] = {"config": {"hierarchy": ["h.json"], "hierarchy_use": "relatives"}}


def test_a_split_that_is_expanded_differs_from_one_that_is_not() -> None:
    text = (
        "train is expanded by a hierarchy, and test in the same folder is not: a class has the boxes of its "
        "subclasses in the one only; convert both with --hierarchy, or both without"
    )
    assert warn_of_other_expansion("train", EXPANDED, {"train": PLAIN, "test": PLAIN, "validation": {}}) == [text]
    assert warn_of_other_expansion("test", PLAIN, {"train": EXPANDED}) == [text]
    assert warn_of_other_expansion("test", {}, {"train": EXPANDED, "x": PLAIN}) == [text]
    for split, others in ((EXPANDED, {"a": EXPANDED, "train": PLAIN}), (PLAIN, {"a": {}}), ({}, {})):
        assert warn_of_other_expansion("train", split, others) == []


def test_weights_of_classes_make_all_classes_count_equally() -> None:
    assert class_weights({"1": 1, "2": 3, "7": 2}) == {1: 2.0, 2: 0.666667, 7: 1.0}
    assert class_weights({}) == {}


def test_a_sealed_entry_has_its_digest_and_no_secret() -> None:
    entry = seal_entry({"b": "https://host/x?X-Amz-Signature=geheim", "tables": {"a": 1}})
    assert list(entry) == ["b", "tables", "entry_sha256"]
    assert "geheim" not in str(entry)
    assert entry["tables"] == {"a": 1}
    # The digest of {"a":1,"b":[]}, as sha256sum computes it.
    assert digest_entry({"b": [], "a": 1, "entry_sha256": "x"}) == hashlib.sha256(b'{"a":1,"b":[]}').hexdigest()
    assert entry["entry_sha256"] == digest_entry(entry)


def test_splits_are_merged_replaced_and_removed() -> None:
    one = merge_split(None, "train", {"a": 1})
    assert one == b'{\n "format": "oi_tfrecord manifest 1",\n "splits": {\n  "train": {\n   "a": 1\n  }\n }\n}\n'
    both = merge_split(one, "test", {"b": "ü"})
    assert list(json.loads(both)["splits"]) == ["test", "train"]
    assert json.loads(merge_split(both, "train", {"a": 2}))["splits"] == {"test": {"b": "ü"}, "train": {"a": 2}}
    assert merge_split(both, "test", None) == one
    assert json.loads(merge_split(one, "train", None))["splits"] == {}
    # The order in which the splits were converted does not matter.
    assert merge_split(merge_split(None, "test", {"b": "ü"}), "train", {"a": 1}) == both
