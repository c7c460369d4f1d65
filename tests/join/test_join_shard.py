import dataclasses
import itertools
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord.join.batches import Batch, decode, encode
from oi_tfrecord.join.join_account import DroppedRows, JoinAccount, JoinFault
from oi_tfrecord.join.join_shard import Annotations, JoinedShard, JoinRules, join_shard
from oi_tfrecord.join.shard_rows import collect_tables
from oi_tfrecord.openimages.schema import (
    BOX_ROW,
    COORDINATES,
    FLAGS,
    IMAGE_FILE_ROW,
    LABEL_ROW,
    ROW_TYPES,
    RangeKey,
    Table,
)
from oi_tfrecord.reasons import Drop, Reject
from oi_tfrecord.settings.convert_config import DRIVERS
from oi_tfrecord.settings.selection import SELECTIONS

IMAGE_IDS = (0, 1, 0xDEADBEEF, 1 << 63, (1 << 64) - 1)

BASE_LABEL: dict[str, Any] = {"label": 1, "source": "verification", "confidence": 1.0}
BASE_BOX: dict[str, Any] = BASE_LABEL | dict.fromkeys(COORDINATES, 0.25) | dict.fromkeys(FLAGS, 0)
OTHER_VALUES: dict[str, list[Any]] = {
    "label": [0, 65535],
    "source": ["", "activemil"],
    "confidence": [0.0, 0.5],
    **{name: [0.0, 1.0] for name in COORDINATES},
    **{name: [-2, -1, 1] for name in FLAGS},
}


def variants(base: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Returns the base and each row that differs from it in one column, so that no column can be overlooked."""
    changed = [base | {name: value} for name in base for value in OTHER_VALUES[name]]
    return [tuple(row.values()) for row in [base, *changed]]


PAYLOADS: dict[Table, list[tuple[Any, ...]]] = {
    Table.METADATA: [("one", 0), ("two", 0), ("a,\n", 0), ("other subset", 1)],
    Table.BOXES: variants(BASE_BOX),
    Table.HUMAN_LABELS: variants(BASE_LABEL),
    Table.MACHINE_LABELS: variants(BASE_LABEL),
}
FIELDS = {
    Table.BOXES: tuple(BASE_BOX),
    Table.HUMAN_LABELS: tuple(BASE_LABEL),
    Table.MACHINE_LABELS: tuple(BASE_LABEL),
}


class Row(NamedTuple):
    """A row as the reference sees it; `values` are the table's columns, or the metadata's text and `excluded`."""

    key: RangeKey
    line: int
    image_id: int
    values: tuple[Any, ...]


Tables = dict[Table, list[Row]]


@st.composite
def shard_tables(draw: st.DrawFn) -> Tables:
    tables: Tables = {}
    for table in PAYLOADS:
        row = st.tuples(st.sampled_from(IMAGE_IDS), st.sampled_from(PAYLOADS[table]))
        rows = draw(st.lists(row, max_size=14))
        breaks = sorted(draw(st.sets(st.integers(1, 13), max_size=3)))
        located, file, index, line = [], 0, 0, 0
        for number, (image_id, values) in enumerate(rows):
            if number in breaks:
                file, index, line = (file + 1, 0, 0) if draw(st.booleans()) else (file, index + 1, 0)
            line += draw(st.integers(0, 2))
            located.append(Row(RangeKey(table, file, index), line, image_id, values))
            line += 1
        tables[table] = located
    return tables


def make_batch(key: RangeKey, part: int, rows: Sequence[Row], names: Sequence[str]) -> Batch:
    array = np.zeros(len(rows), ROW_TYPES[key.table])
    array["image_id"] = [row.image_id for row in rows]
    array["line"] = [row.line for row in rows]
    if key.table is Table.METADATA:
        array["excluded"] = [row.values[1] for row in rows]
        return Batch(key, part, (), array, {"Title": pa.array([row.values[0].encode() for row in rows], pa.binary())})
    for field, column in zip(FIELDS[key.table], zip(*(row.values for row in rows), strict=True), strict=True):
        array[field] = [names.index(value) for value in column] if field == "source" else column
    return Batch(key, part, tuple(names), array, {})


@st.composite
def batches_of(draw: st.DrawFn, tables: Tables) -> list[Batch]:
    """Splits each range anywhere, each batch with an order of source names of its own, in any order."""
    batches = []
    for rows in tables.values():
        for key in dict.fromkeys(row.key for row in rows):
            ranged = [row for row in rows if row.key == key]
            cuts = draw(st.sets(st.integers(1, len(ranged)), max_size=2))
            borders = sorted({0, *cuts, len(ranged)})
            for part, (start, end) in enumerate(itertools.pairwise(borders)):
                names = draw(st.permutations(["verification", "", "activemil", "unused"]))
                batch = make_batch(key, part, ranged[start:end], names)
                batches.append(decode(encode(batch)))
    return list(draw(st.permutations(batches)))


@dataclasses.dataclass
class Outcome:
    """A join's result in plain values."""

    image_ids: list[int]
    titles: list[bytes]
    has_metadata: list[bool]
    annotations: dict[Table, list[list[tuple[int, int, tuple[Any, ...]]]]]
    faults: list[tuple[RangeKey, int, str, Reject]]
    rejected: dict[Table, Counter[Reject]]
    dropped: dict[Table, Counter[Drop]]
    images_not_selected: int


def fmix64(value: int) -> int:
    """The finaliser of MurmurHash3 (Austin Appleby, MurmurHash3.cpp), in Python's integers."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = (value ^ (value >> 33)) * factor % (1 << 64)
    return value ^ (value >> 33)


def rows_naming_images(tables: Tables, driver: Table, select: str) -> list[Row]:
    if select == "labelled" and driver is not Table.METADATA:
        return tables[driver] + tables[Table.BOXES] + tables[Table.HUMAN_LABELS]
    return tables[driver]


def reference_join(tables: Tables, driver: Table, select: str) -> Outcome:
    faults = []
    rejected: dict[Table, Counter[Reject]] = {table: Counter() for table in tables}
    dropped: dict[Table, Counter[Drop]] = {table: Counter() for table in tables}
    title_of: dict[int, bytes] = {}

    def reject(row: Row, reason: Reject) -> None:
        faults.append((row.key, row.line, f"{row.image_id:016x}", reason))
        rejected[row.key.table][reason] += 1

    images: dict[int, dict[Table, list[Row]]] = {}
    for row in rows_naming_images(tables, driver, select):
        if row.image_id not in images:
            images[row.image_id] = {table: [] for table in tables}
            title_of[row.image_id] = b""
    for row in tables[Table.METADATA]:
        if row.image_id not in images:
            dropped[Table.METADATA][Drop.IMAGE_NOT_SELECTED] += 1
        elif images[row.image_id][Table.METADATA]:
            reject(row, Reject.DUPLICATE)
        else:
            images[row.image_id][Table.METADATA].append(row)
            title_of[row.image_id] = row.values[0].encode()
    for table in (Table.BOXES, Table.HUMAN_LABELS, Table.MACHINE_LABELS):
        seen = set()
        for row in tables[table]:
            if row.image_id not in images and driver is not Table.METADATA:
                dropped[table][Drop.IMAGE_NOT_SELECTED] += 1
            elif row.image_id not in images:
                reject(row, Reject.ANNOTATION_WITHOUT_IMAGE)
            elif (row.image_id, row.values) in seen:
                reject(row, Reject.DUPLICATE)
            else:
                seen.add((row.image_id, row.values))
                images[row.image_id][table].append(row)
    chosen = []
    excluded = 0
    for image_id in sorted(images, key=fmix64):
        if any(row.values[1] for row in images[image_id][Table.METADATA]):
            excluded += 1
            dropped[Table.METADATA][Drop.OTHER_SUBSET] += 1
            for table in FIELDS:
                dropped[table][Drop.OTHER_SUBSET] += len(images[image_id][table])
            continue
        has_box, has_label = bool(images[image_id][Table.BOXES]), bool(images[image_id][Table.HUMAN_LABELS])
        if {"all": True, "boxed": has_box, "labelled": has_box or has_label}[select]:
            chosen.append(image_id)
            continue
        for table, rows in images[image_id].items():
            if rows:
                dropped[table][Drop.IMAGE_NOT_SELECTED] += len(rows)
    return Outcome(
        chosen,
        [title_of[image_id] for image_id in chosen],
        [bool(images[image_id][Table.METADATA]) for image_id in chosen],
        {
            table: [[(row.image_id, row.line, row.values) for row in images[image_id][table]] for image_id in chosen]
            for table in FIELDS
        },
        sorted(faults),
        rejected,
        dropped,
        len(images) - len(chosen) - excluded,
    )


def outcome_of(joined: JoinedShard, driver: Table) -> Outcome:
    image_ids = [int(image_id) for image_id in joined.image_ids]
    annotations: dict[Table, list[list[tuple[int, int, tuple[Any, ...]]]]] = {}
    for table, fields in FIELDS.items():
        if table not in joined.annotations:
            annotations[table] = [[] for _ in image_ids]
            continue
        found = joined.annotations[table]
        assert len(found.offsets) == len(image_ids) + 1
        assert (found.offsets[0], found.offsets[-1]) == (0, len(found.rows))
        annotations[table] = [
            [
                (
                    int(row["image_id"]),
                    int(row["line"]),
                    tuple(found.sources[row[name]] if name == "source" else row[name].item() for name in fields),
                )
                for row in found.rows[start:end]
            ]
            for start, end in zip(found.offsets, found.offsets[1:], strict=False)
        ]
    titles = joined.text_columns["Title"].to_pylist() if joined.text_columns else [b""] * len(image_ids)
    faults = sorted((fault.key, fault.line, fault.image_id, fault.reason) for fault in joined.faults)
    every: dict[Table, Counter[Any]] = {table: Counter() for table in PAYLOADS}
    return Outcome(
        image_ids,
        titles,
        joined.has_metadata.tolist(),
        annotations,
        faults,
        every | joined.rejected,
        every | joined.dropped,
        joined.images_not_selected,
    )


@settings(max_examples=300, deadline=None)
@given(data=st.data(), tables=shard_tables(), driver=st.sampled_from(DRIVERS), select=st.sampled_from(SELECTIONS))
def test_equals_a_join_row_by_row(data: st.DataObject, tables: Tables, driver: Table, select: str) -> None:
    joined = join_shard(collect_tables(data.draw(batches_of(tables))), JoinRules(driver, select))
    assert outcome_of(joined, driver) == reference_join(tables, driver, select)


@settings(max_examples=150, deadline=None)
@given(data=st.data(), tables=shard_tables(), driver=st.sampled_from(DRIVERS), select=st.sampled_from(SELECTIONS))
def test_every_row_is_accounted_for_once(data: st.DataObject, tables: Tables, driver: Table, select: str) -> None:
    joined = join_shard(collect_tables(data.draw(batches_of(tables))), JoinRules(driver, select))
    for table in FIELDS:
        used = len(joined.annotations[table].rows) if table in joined.annotations else 0
        rejected, dropped = joined.rejected.get(table, Counter()), joined.dropped.get(table, Counter())
        assert used + rejected.total() + dropped.total() == len(tables[table])
        faults = [(fault.key, fault.line) for fault in joined.faults if fault.key.table is table]
        assert len(set(faults)) == len(faults) == rejected.total()
    described = int(np.count_nonzero(joined.has_metadata))
    rejected = joined.rejected.get(Table.METADATA, Counter())
    left_out = joined.dropped.get(Table.METADATA, Counter())
    assert described + rejected.total() + left_out.total() == len(tables[Table.METADATA])
    ids = {row.image_id for row in rows_naming_images(tables, driver, select)}
    assert len(joined.image_ids) + joined.images_not_selected + left_out[Drop.OTHER_SUBSET] == len(ids)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), tables=shard_tables(), driver=st.sampled_from(DRIVERS), select=st.sampled_from(SELECTIONS))
def test_order_and_cuts_of_batches_do_not_matter(
    data: st.DataObject, tables: Tables, driver: Table, select: str
) -> None:
    one, other = (
        outcome_of(join_shard(collect_tables(data.draw(batches_of(tables))), JoinRules(driver, select)), driver)
        for _ in range(2)
    )
    assert one == other


def test_faults_come_in_order_of_the_tables_whatever_batch_comes_first() -> None:
    boxes, labels = np.zeros(1, BOX_ROW), np.zeros(1, LABEL_ROW)
    batches = [
        Batch(RangeKey(Table.BOXES, 0, 0), 0, ("verification",), boxes, {}),
        Batch(RangeKey(Table.HUMAN_LABELS, 0, 0), 0, ("verification",), labels, {}),
    ]
    for order in itertools.permutations(batches):
        faults = join_shard(collect_tables(order), JoinRules(Table.METADATA, "all")).faults
        assert [fault.key.table for fault in faults] == [Table.BOXES, Table.HUMAN_LABELS]


def test_files_of_images_of_other_subsets_are_counted_apart_from_other_left_out_files() -> None:
    metadata = np.zeros(4, ROW_TYPES[Table.METADATA])
    metadata["image_id"] = [1, 2, 3, 4]
    metadata["excluded"] = [0, 1, 1, 0]
    boxes = np.zeros(2, BOX_ROW)
    boxes["image_id"] = [1, 2]
    # Of no image: 9; without a box: 4; of other subsets: 2 and 3.
    files = np.zeros(6, IMAGE_FILE_ROW)
    files["image_id"] = [1, 2, 3, 3, 4, 9]
    batches = [
        Batch(RangeKey(Table.METADATA, 0, 0), 0, (), metadata, {}),
        Batch(RangeKey(Table.BOXES, 0, 0), 0, ("xclick",), boxes, {}),
        Batch(RangeKey(Table.IMAGE_FILES, 0, 0), 0, (), files, {}),
    ]
    joined = join_shard(collect_tables(batches), JoinRules(Table.METADATA, "boxed"))
    assert joined.image_ids.tolist() == [1]
    assert joined.dropped == {
        Table.METADATA: {Drop.OTHER_SUBSET: 2, Drop.IMAGE_NOT_SELECTED: 1},
        Table.BOXES: {Drop.OTHER_SUBSET: 1},
        Table.IMAGE_FILES: {Drop.OTHER_SUBSET: 3, Drop.IMAGE_NOT_SELECTED: 2},
    }


def test_a_file_of_an_image_that_is_listed_before_is_kept_beside_its_original() -> None:
    metadata = np.zeros(2, ROW_TYPES[Table.METADATA])
    metadata["image_id"] = [1, 2]
    files = np.zeros(4, IMAGE_FILE_ROW)
    files["image_id"], files["line"] = [2, 1, 1, 1], [0, 1, 2, 3]
    batches = [
        Batch(RangeKey(Table.METADATA, 0, 0), 0, (), metadata, {}),
        Batch(RangeKey(Table.IMAGE_FILES, 0, 0), 0, (), files, {}),
    ]
    [repeated] = join_shard(collect_tables(batches), JoinRules(Table.METADATA, "all")).repeated_files
    assert repeated.files.rows["line"].tolist() == [2, 3]
    assert repeated.originals.rows["line"].tolist() == [1, 1]
    files["image_id"] = [2, 1, 3, 4]
    assert join_shard(collect_tables(batches), JoinRules(Table.METADATA, "all")).repeated_files == ()


def test_rows_are_filtered_by_image() -> None:
    rows = np.zeros(5, BOX_ROW)
    rows["line"] = np.arange(5)
    every = Annotations(rows, np.array([0, 2, 2, 5]), ("a",), np.arange(5) > 2, np.arange(5) * 10)
    kept = every.filter(np.array([True, False, False, True, True]))
    assert kept.rows["line"].tolist() == [0, 3, 4]
    assert kept.offsets.tolist() == [0, 1, 1, 3]
    assert (kept.sources, kept.added.tolist(), kept.origin.tolist()) == (("a",), [False, True, True], [0, 30, 40])
    plain = Annotations(rows, np.array([0, 5]), ("a",)).filter(np.zeros(5, bool))
    assert (len(plain.rows), plain.offsets.tolist(), plain.added, plain.origin) == (0, [0, 0], None, None)


def test_an_account_is_added_to_a_shard() -> None:
    metadata = np.zeros(2, ROW_TYPES[Table.METADATA])
    metadata["image_id"] = [1, 1]
    joined = join_shard(
        collect_tables([Batch(RangeKey(Table.METADATA, 0, 0), 0, (), metadata, {})]), JoinRules(Table.METADATA, "all")
    )
    fault = JoinFault(RangeKey(Table.METADATA, 0, 0), 7, "0" * 16, Reject.DUPLICATE, "")
    account = JoinAccount((fault,), (DroppedRows(Table.METADATA, Drop.OTHER_SUBSET, 3),))
    found = joined.with_account(account)
    assert found.faults == [*joined.faults, fault]
    assert found.rejected[Table.METADATA] == joined.rejected[Table.METADATA] + Counter({Reject.DUPLICATE: 1})
    assert found.dropped == {Table.METADATA: {Drop.OTHER_SUBSET: 3}}
    assert found.repeated_files == ()


def test_no_batches_give_no_images() -> None:
    joined = join_shard({}, JoinRules(Table.METADATA, "boxed"))
    assert len(joined.image_ids) == 0
    assert joined.annotations == {}
    assert joined.images_not_selected == 0


def test_join_of_more_images_than_16_bits_count() -> None:
    count = 70_000
    image_ids = np.arange(count, dtype=np.uint64)
    metadata = np.zeros(count, ROW_TYPES[Table.METADATA])
    metadata["image_id"] = image_ids
    boxes = np.zeros(2 * count, BOX_ROW)
    boxes["image_id"] = np.concatenate([image_ids[::-1], image_ids])
    boxes["line"] = np.arange(2 * count)
    boxes["label"][count:] = 1
    batches = [
        Batch(RangeKey(Table.BOXES, 0, 0), 0, ("verification",), boxes, {}),
        Batch(RangeKey(Table.METADATA, 0, 0), 0, (), metadata, {}),
    ]
    joined = join_shard(collect_tables(batches), JoinRules(Table.METADATA, "boxed"))
    assert len(joined.image_ids) == count
    found = joined.annotations[Table.BOXES]
    np.testing.assert_array_equal(found.offsets, np.arange(count + 1) * 2)
    np.testing.assert_array_equal(found.rows["image_id"], np.repeat(joined.image_ids, 2))
    np.testing.assert_array_equal(found.rows["label"], np.tile([0, 1], count))
