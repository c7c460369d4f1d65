import dataclasses
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord.openimages.csv.filters import (
    EVERY_IMAGE,
    RowFilters,
    limit_below_of,
    lowest_hashes,
    sample_hash,
    sample_limit,
)
from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.openimages.schema import CSV_TABLES, FLAGS, ROW_TYPES, Table
from oi_tfrecord.reasons import Drop
from oi_tfrecord.records.sharding import shard_of

ANNOTATIONS = [Table.BOXES, Table.HUMAN_LABELS, Table.MACHINE_LABELS]
SOURCES = ("xclick", "machine", "verification", "human", "never heard of")
CLASSES = 5
MICRO = 1_000_000
IDS = st.sampled_from([0, 1, 7, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a file; coordinates in millionths of the image's side."""

    image_id: int
    label: int
    source: int
    tenths: int
    box: tuple[int, int, int, int]
    flags: tuple[int, ...]


def spans() -> st.SearchStrategy[tuple[int, int]]:
    edges = st.lists(st.integers(0, MICRO), min_size=2, max_size=2, unique=True)
    return edges.map(lambda pair: (min(pair), max(pair)))


ROWS = st.lists(
    st.builds(
        Row,
        image_id=IDS,
        label=st.integers(0, CLASSES - 1),
        source=st.integers(0, len(SOURCES) - 1),
        tenths=st.integers(0, 10),
        box=st.tuples(spans(), spans()).map(lambda pair: (*pair[0], *pair[1])),
        flags=st.tuples(*[st.integers(-2, 1)] * len(FLAGS)),
    ),
    max_size=30,
)
# A side of an odd number of half millionths: no side of a box is equal to it, whatever the rounding.
SIDES = st.integers(0, MICRO // 2 - 1).map(lambda value: (2 * value + 1) / (2 * MICRO)) | st.just(0.0)
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "box_sources": st.lists(st.sampled_from([*SOURCES, "absent"]), min_size=1).map(tuple),
        "exclude_flags": st.lists(st.sampled_from(sorted(FLAGS)), unique=True).map(tuple),
        "min_confidence": st.integers(0, 10).map(lambda tenths: tenths / 10),
        "min_box_side": SIDES,
        "sample_below": st.integers(0, EVERY_IMAGE),
        "limit_below": st.integers(0, EVERY_IMAGE),
        "image_ids": st.lists(IDS, max_size=4),
        "chosen_codes": st.lists(st.booleans(), min_size=CLASSES, max_size=CLASSES),
    },
)


def as_array(table: Table, rows: list[Row]) -> np.ndarray:
    array = np.zeros(len(rows), ROW_TYPES[table])
    array["image_id"] = [row.image_id for row in rows]
    if table is not Table.METADATA:
        array["label"] = [row.label for row in rows]
    if table in ANNOTATIONS:
        array["source"] = [row.source for row in rows]
        array["confidence"] = [row.tenths / 10 for row in rows]
    if table is Table.BOXES:
        for place, field in enumerate(("xmin", "xmax", "ymin", "ymax")):
            array[field] = [row.box[place] / MICRO for row in rows]
        for place, field in enumerate(FLAGS):
            array[field] = [row.flags[place] for row in rows]
    return array


def made(values: dict) -> RowFilters:
    values = dict(values)
    if "image_ids" in values:
        values["image_ids"] = np.unique(np.array(values["image_ids"], np.uint64))
    if "chosen_codes" in values:
        values["chosen_codes"] = np.array(values["chosen_codes"], bool)
    return RowFilters(**values)


def mix(value: int) -> int:
    """fmix64 of MurmurHash3 on Python's integers."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value ^= value >> 33
        value = value * factor % 2**64
    return value ^ value >> 33


def sampled_by(image_id: int) -> int:
    return mix((mix(image_id) + 0x9E3779B97F4A7C15) % 2**64)


def violations(table: Table, row: Row, values: dict) -> set[Drop]:
    """Every filter that a row fails, judged row by row from the values of the file."""
    failed = set()
    source = SOURCES[row.source]
    if "image_ids" in values and row.image_id not in values["image_ids"]:
        failed.add(Drop.NOT_IN_IMAGE_LIST)
    if sampled_by(row.image_id) >= values.get("sample_below", EVERY_IMAGE):
        failed.add(Drop.NOT_SAMPLED)
    if sampled_by(row.image_id) >= values.get("limit_below", EVERY_IMAGE):
        failed.add(Drop.OVER_MAX_IMAGES)
    if table is Table.METADATA:
        return failed
    if "chosen_codes" in values and not values["chosen_codes"][row.label]:
        failed.add(Drop.CLASS_NOT_CHOSEN)
    if table is Table.HUMAN_LABELS and source == "machine":
        failed.add(Drop.OTHER_KIND_OF_LABEL)
    if table is Table.MACHINE_LABELS and source in ("verification", "human"):
        failed.add(Drop.OTHER_KIND_OF_LABEL)
    if table in (Table.BOXES, Table.MACHINE_LABELS) and row.tenths / 10 < values.get("min_confidence", 0):
        failed.add(Drop.LOW_CONFIDENCE)
    if table is Table.BOXES:
        if values.get("box_sources") and source not in values["box_sources"]:
            failed.add(Drop.BOX_SOURCE)
        if any(row.flags[list(FLAGS).index(flag)] == 1 for flag in values.get("exclude_flags", ())):
            failed.add(Drop.EXCLUDED_FLAG)
        xmin, xmax, ymin, ymax = row.box
        if Decimal(min(xmax - xmin, ymax - ymin)) / MICRO < Decimal(str(values.get("min_box_side", 0))):
            failed.add(Drop.SMALL_BOX)
    return failed


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(CSV_TABLES), ROWS, FILTERS)
def test_every_filter_removes_what_a_row_by_row_reading_removes(table: Table, rows: list[Row], values: dict) -> None:
    found = made(values).find_dropped(table, as_array(table, rows), SOURCES if table in ANNOTATIONS else ())
    reason_of = {index: reason for reason, indices in found for index in indices.tolist()}
    assert len(reason_of) == sum(len(indices) for _, indices in found), "a row has two reasons"
    for index, row in enumerate(rows):
        failed = violations(table, row, values)
        assert reason_of.get(index) in (failed or {None})
        # The limit is of the images that the other filters keep.
        assert reason_of.get(index) is not Drop.OVER_MAX_IMAGES or failed == {Drop.OVER_MAX_IMAGES}
    assert all(len(indices) for _, indices in found)
    assert len({reason for reason, _ in found}) == len(found), "a reason occurs twice"


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(ANNOTATIONS), ROWS)
def test_without_filters_only_labels_of_the_other_kind_are_left_out(table: Table, rows: list[Row]) -> None:
    reasons = {reason for reason, _ in RowFilters().find_dropped(table, as_array(table, rows), SOURCES)}
    assert reasons <= {Drop.OTHER_KIND_OF_LABEL}


@pytest.mark.parametrize(
    ("table", "kept"), [(Table.HUMAN_LABELS, ["odd", "verification"]), (Table.MACHINE_LABELS, ["machine"])]
)
def test_a_file_with_both_kinds_of_label_is_split_by_source(table: Table, kept: list[str]) -> None:
    sources = ("machine", "odd", "verification")
    rows = as_array(table, [Row(1, 0, number, 10, (0, 1, 0, 1), (0,) * 5) for number in range(3)])
    [(reason, indices)] = [*RowFilters().find_dropped(table, rows, sources)] or [(None, np.zeros(0, int))]
    left = [name for number, name in enumerate(sources) if number not in indices]
    assert reason is Drop.OTHER_KIND_OF_LABEL
    # An unknown source is kept where it cannot be mistaken for the other kind.
    assert left == (kept if table is Table.HUMAN_LABELS else ["machine", "odd"])


def test_the_subset_comes_before_the_limit_of_images() -> None:
    """Within the limit, a row of another subset reaches the join, which needs the row to know the image."""
    rows = as_array(Table.METADATA, [Row(image_id, 0, 0, 10, (0, 1, 0, 1), (0,) * 5) for image_id in range(40)])
    rows["excluded"][::2] = 1
    hashes = sample_hash(rows["image_id"])
    filters = RowFilters(subsets=("train",), limit_below=int(np.sort(hashes)[10]))
    beyond = [index for index in range(40) if hashes[index] >= np.sort(hashes)[10]]
    found = {reason: indices.tolist() for reason, indices in filters.find_dropped(Table.METADATA, rows, ())}
    assert found == {
        Drop.OTHER_SUBSET: [index for index in beyond if index % 2 == 0],
        Drop.OVER_MAX_IMAGES: [index for index in beyond if index % 2],
    }


def test_a_row_of_an_image_that_is_unknown_to_a_flag_is_kept() -> None:
    rows = [Row(1, 0, 0, 10, (0, 1, 0, 1), (flag,) * 5) for flag in (-2, -1, 0, 1)]
    found = RowFilters(exclude_flags=("group_of",)).find_dropped(Table.BOXES, as_array(Table.BOXES, rows), SOURCES)
    assert [(reason, indices.tolist()) for reason, indices in found] == [(Drop.EXCLUDED_FLAG, [3])]


@pytest.mark.parametrize("tenths", range(1, 9))
def test_a_side_of_just_the_least_length_is_kept_wherever_the_box_is(tenths: int) -> None:
    """In 32 bits 0.9 - 0.8 is less than 0.1, and 0.8 - 0.7 is more."""
    side = tenths * MICRO // 10
    boxes = [(low, low + side, 0, MICRO) for low in range(0, MICRO - side + 1, MICRO // 100)]
    rows = [Row(1, 0, 0, 10, box, (0,) * 5) for box in boxes]
    short = [Row(1, 0, 0, 10, (xmin, xmax - 1, ymin, ymax), (0,) * 5) for xmin, xmax, ymin, ymax in boxes]
    found = RowFilters(min_box_side=tenths / 10).find_dropped(Table.BOXES, as_array(Table.BOXES, rows + short), SOURCES)
    expected = list(range(len(rows), 2 * len(rows)))
    assert [(reason, indices.tolist()) for reason, indices in found] == [(Drop.SMALL_BOX, expected)]


@given(st.lists(IDS))
def test_the_hash_of_the_sample_is_that_of_python_integers(ids: list[int]) -> None:
    assert sample_hash(np.array(ids, np.uint64)).tolist() == [sampled_by(image_id) for image_id in ids]


@given(st.lists(IDS), st.floats(0, 1, exclude_min=True), st.floats(0, 1, exclude_min=True))
def test_a_smaller_sample_is_part_of_a_larger_one(ids: list[int], one: float, other: float) -> None:
    hashes = sample_hash(np.array(ids, np.uint64)).tolist()
    small, large = ({h for h in hashes if h < sample_limit(share)} for share in sorted((one, other)))
    assert small <= large
    assert {h for h in hashes if h < sample_limit(1.0)} == set(hashes)


def test_a_sample_has_its_share_of_every_shard() -> None:
    # If the order used the same hash, the sample would fill the first shards and leave the rest empty.
    ids = np.arange(40_000, dtype=np.uint64) * np.uint64(2**64 // 40_000)
    sampled = sample_hash(ids) < np.uint64(sample_limit(0.3))
    per_shard = np.bincount(shard_of(hash_ids(ids), 8)[sampled], minlength=8) / np.bincount(shard_of(hash_ids(ids), 8))
    # Five standard deviations of 5,000 draws with a chance of 0.3 are 0.033.
    assert np.abs(per_shard - 0.3).max() < 0.033


@given(st.lists(IDS, unique=True), st.integers(1, 8))
def test_the_limit_keeps_just_the_wanted_number_whatever_the_pieces(hashes: list[int], count: int) -> None:
    pieces = [lowest_hashes(np.array(hashes[start::3], np.uint64), count + 1) for start in range(3)]
    lowest = lowest_hashes(np.concatenate(pieces), count + 1)
    assert sorted(lowest.tolist()) == sorted(hashes)[: count + 1]
    limit = limit_below_of(lowest, count)
    assert sorted(value for value in hashes if value < limit) == sorted(hashes)[:count]
    assert (limit == EVERY_IMAGE) is (len(hashes) <= count)
