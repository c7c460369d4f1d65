import dataclasses
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.dataset.accounts import RangeAccount, TableAccount, sum_accounts
from oi_tfrecord.dataset.filter_warnings import (
    FilterNames,
    count_found,
    count_values,
    given_reasons,
    pack_found,
    warn_of_filters,
)
from oi_tfrecord.dataset.manifest import TableInput, build_split
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.class_counts import pack_mapping
from oi_tfrecord.settings.convert_config import ConvertConfig
from tests.dataset.test_manifest import LABEL_MAP, range_result, shard_result

IDS = st.sampled_from([0, 1, 2, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
GIVEN: dict[str, Any] = {
    "image_ids": "ids.txt",
    "sample": 0.5,
    "subset": ("train",),
    "classes": ("/m/a",),
    "min_confidence": 1.0,
    "box_sources": ("xclick",),
    "exclude_flags": ("inside",),
    "min_box_side": 0.1,
    "max_images": 1,
}
REASONS = {
    "image_ids": "not_in_image_list",
    "sample": "not_sampled",
    "subset": "other_subset",
    "classes": "class_not_chosen",
    "min_confidence": "low_confidence",
    "box_sources": "box_source",
    "exclude_flags": "excluded_flag",
    "min_box_side": "small_box",
    "max_images": "over_max_images",
}
OF_IMAGES = ["image_ids", "sample", "subset", "max_images"]
FIELDS = {
    Table.METADATA: OF_IMAGES,
    Table.BOXES: list(GIVEN),
    Table.HUMAN_LABELS: [*OF_IMAGES, "classes"],
    Table.MACHINE_LABELS: [*OF_IMAGES, "classes", "min_confidence"],
    Table.MASKS: [*OF_IMAGES, "classes"],
    Table.IMAGE_FILES: OF_IMAGES,
    # A mask file has no subset: its mask row has one.
    Table.MASK_FILES: ["image_ids", "sample", "max_images"],
}


@pytest.mark.parametrize("table", FIELDS)
def test_a_filter_that_is_given_has_a_reason_in_the_tables_that_it_is_for(table: Table) -> None:
    assert sorted(given_reasons(GIVEN, table)) == sorted(REASONS[field] for field in FIELDS[table])
    for field, value in GIVEN.items():
        alone = given_reasons(ConvertConfig(**{field: value}).shaping(), table)
        assert alone == ([REASONS[field]] if field in FIELDS[table] else [])
    assert given_reasons(ConvertConfig().shaping(), table) == given_reasons({}, table) == []


@given(st.lists(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdefgh")))
def test_values_are_counted(rows: list[str], named: set[str]) -> None:
    values = list(dict.fromkeys(rows))
    codes = np.array([values.index(row) for row in rows], np.int32)
    assert count_values(values, codes, named) == Counter(rows)


def test_of_a_column_of_many_values_those_that_are_named_are_counted_and_the_most_frequent() -> None:
    values = [f"value{number}" for number in range(300)]
    codes = np.concatenate([np.arange(300), np.arange(100, 120)])
    counts = count_values(values, codes, ("value299", "absent"))
    assert len(counts) == 51
    assert counts["value299"] == 1
    assert all(counts[f"value{number}"] == 2 for number in range(100, 120))


@given(st.lists(st.lists(IDS), max_size=4), st.sets(IDS))
def test_listed_image_ids_that_occur_are_counted_once(ranges: list[list[int]], listed: set[int]) -> None:
    in_order = np.array(sorted(listed), np.uint64)
    # The rows of an image lie together, or not.
    packed = [pack_found(np.repeat(np.array(ids, np.uint64), 2), in_order) for ids in ranges]
    assert count_found(packed, len(listed)) == len(listed & {image_id for ids in ranges for image_id in ids})


def test_a_long_list_takes_little_space_if_few_or_none_of_its_ids_occur() -> None:
    listed = np.arange(1_000_000, dtype=np.uint64)
    assert pack_found(np.array([2_000_000], np.uint64), listed) == ""
    assert len(pack_found(np.arange(5000, 5100, dtype=np.uint64), listed)) < 2000


def warned(names: FilterNames, *ranges: RangeAccount, records: int = 4, **values: Any) -> list[str]:
    tables = {result.table: TableAccount(result.rows_read, {}, {}) for result in ranges}
    shard = shard_result(0, **{"records": records, "tables": tables} | values)
    totals = sum_accounts(ranges, [shard])
    inputs = [TableInput(table, 0, f"{table}.csv", 0, 1) for table in tables]
    return warn_of_filters(names, totals, build_split(inputs, totals, LABEL_MAP, {}))


def test_a_value_without_a_row_is_named_with_the_nearest_and_the_frequent_values() -> None:
    names = FilterNames(values={Table.METADATA: ("trian", "test", "nowhere")})
    ranges = [
        range_result("metadata", 0, values={"validation": 2000, "test": 3}),
        range_result("metadata", 1, values={"train": 40, "test": 5}),
        # The values of another table do not count.
        range_result("boxes", 0, values={"nowhere": 5}),
    ]
    there = "There are 'validation' (2,000 rows), 'train' (40 rows), 'test' (8 rows)"
    assert warned(names, *ranges) == [
        f"--subset=trian: no row of metadata has it as Subset; did you mean 'train'? {there}",
        f"--subset=nowhere: no row of metadata has it as Subset. {there}",
    ]


def test_only_the_most_frequent_of_many_values_are_named() -> None:
    values = {f"s{number:03d}": 1000 - number for number in range(30)}
    [warning] = warned(FilterNames(values={Table.BOXES: ("xclck",)}), range_result("boxes", 0, values=values))
    assert warning.startswith("--box_sources=xclck: no row of boxes has it as Source. There are 's000' (1,000 rows), ")
    assert warning.endswith("'s019' (981 rows), ...")


def test_a_table_without_rows_has_no_value() -> None:
    [warning] = warned(FilterNames(values={Table.BOXES: ("xclick",)}), range_result("boxes", 0, rows_read=0))
    assert warning.endswith(". The table has no row that can be read")


def test_a_table_that_was_not_read_gives_no_warning() -> None:
    names = FilterNames(values={Table.BOXES: ("xclick",)}, classes={"/m/a": "A"})
    assert warned(names, range_result("metadata", 0)) == []


CLASSES = {"/m/a": "A", "/m/b": "B", "/m/c": "C"}


def test_classes_without_a_row_are_named() -> None:
    boxes = [range_result("boxes", 0, class_rows={"/m/c": 3}), range_result("boxes", 1, class_rows={"/m/c": 1})]
    [warning] = warned(FilterNames(classes=CLASSES), *boxes)
    assert warning == "--classes: no row of boxes is of 2 of the 3 classes: A (/m/a), B (/m/b)"
    # /m/b, id 5 in the label map, has boxes by the hierarchy only.
    [warning] = warned(FilterNames(classes=CLASSES), *boxes, boxes_per_class=pack_mapping({5: 2}))
    assert warning == "--classes: no row of boxes is of 1 of the 3 classes: A (/m/a)"
    assert warned(FilterNames(classes={"/m/c": "C"}), *boxes) == []


@pytest.mark.parametrize("column", ["positive_per_class", "negative_per_class"])
def test_classes_are_those_of_labels_where_labels_are_counted(column: str) -> None:
    names = FilterNames(classes=CLASSES, counted=Table.HUMAN_LABELS)
    labels = range_result("human_labels", 0, class_rows={"/m/c": 3})
    [warning] = warned(names, labels, boxes_per_class=pack_mapping({1: 2}), **{column: pack_mapping({5: 2})})
    assert warning == "--classes: no row of human_labels is of 1 of the 3 classes: A (/m/a)"


def test_only_the_first_of_many_classes_are_named() -> None:
    names = FilterNames(classes={f"/m/{number:02d}": f"N{number}" for number in range(30)})
    [warning] = warned(names, range_result("boxes", 0))
    assert "30 of the 30 classes: N0 (/m/00), " in warning
    assert warning.endswith("N9 (/m/09), ...")


def test_image_ids_that_no_table_has_are_counted() -> None:
    listed = np.arange(1200, dtype=np.uint64)
    ranges = [
        range_result("metadata", 0, found_ids=pack_found(listed[:100], listed)),
        range_result("boxes", 0, found_ids=pack_found(listed[90:150], listed)),
    ]
    assert warned(FilterNames(listed=1200), *ranges) == ["--image_ids: 1,050 of 1,200 ImageIDs are in no table"]
    every = dataclasses.replace(ranges[0], found_ids=pack_found(listed, listed))
    assert warned(FilterNames(listed=1200), every) == []


def test_a_conversion_without_records_names_the_most_frequent_reasons() -> None:
    ranges = [
        range_result("boxes", 0, rows_read=2000, dropped={"box_source": 1500}, rejected={"bad_flag": 3}),
        range_result("metadata", 0, rows_read=90),
    ]
    tables = {
        "boxes": TableAccount(0, {"image_rejected": 400}, {"image_not_selected": 97}),
        "metadata": TableAccount(0, {}, {"image_not_selected": 90}),
    }
    [warning] = warned(FilterNames(), *ranges, records=0, tables=tables, images_rejected={"image_missing": 4})
    assert warning == (
        "not one record, though 2,090 rows were read; most of them, by reason: box_source 1,500 of boxes "
        "(--box_sources), image_not_selected 97 of boxes (--select), image_not_selected 90 of metadata (--select)"
    )
    assert warned(FilterNames(), *ranges, records=1, tables=tables) == []


def test_rejects_of_images_are_among_the_reasons() -> None:
    metadata = range_result("metadata", 0, rows_read=5)
    [warning] = warned(
        FilterNames(), metadata, records=0, images_selected=5, images_rejected={"image_missing": 5}, tables={}
    )
    assert warning.endswith("by reason: image_missing 5 of images")


def test_a_conversion_of_empty_tables_gives_no_warning() -> None:
    assert warned(FilterNames(), range_result("metadata", 0, rows_read=0), records=0) == []
