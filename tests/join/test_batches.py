import itertools
from collections.abc import Mapping
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.join import batches
from oi_tfrecord.join.batches import MAX_BATCH_BYTES, Batch, decode, encode, sort_by_shard
from oi_tfrecord.openimages.csv.check_rows import TableRows
from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.openimages.schema import BOX_ROW, CSV_TABLES, METADATA_ROW, ROW_TYPES, RangeKey, Table
from oi_tfrecord.records.sharding import MAX_SHARDS

FLINK_ELEMENT_BYTES = 10_000_000
UINT32 = st.integers(0, 2**32 - 1)
SOURCE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"), max_size=12)


@st.composite
def table_rows(draw: st.DrawFn) -> tuple[Table, TableRows]:
    table = draw(st.sampled_from(CSV_TABLES))
    row_type = ROW_TYPES[table]
    count = draw(st.integers(0, 30))
    rows = np.frombuffer(
        draw(st.binary(min_size=count * row_type.itemsize, max_size=count * row_type.itemsize)), row_type
    )
    rows = rows.copy()
    # Few images, so that a shard holds several rows of one.
    rows["image_id"] = draw(st.lists(st.integers(0, 2**64 - 1) | UINT32, min_size=count, max_size=count))
    sources: tuple[str, ...] = ()
    texts: dict[str, pa.Array] = {}
    if table is Table.METADATA:
        for name in draw(st.sets(st.sampled_from(["Title", "Author", "OriginalURL"]))):
            values = draw(st.lists(st.binary(max_size=60), min_size=count, max_size=count))
            # A slice, as a column may be part of a larger one.
            texts[name] = pa.array([b"before", *values], pa.binary()).slice(1)
    elif table is Table.MASKS:
        texts["MaskPath"] = pa.array(
            draw(st.lists(st.binary(max_size=40), min_size=count, max_size=count)), pa.binary()
        )
    else:
        sources = tuple(draw(st.lists(SOURCE, min_size=1, max_size=4)))
    made = TableRows(rows, sources, texts, [], {}, np.zeros(0, np.int64), count, count)
    return table, made


def contents(rows: np.ndarray, texts: Mapping[str, pa.Array]) -> list[tuple[bytes, ...]]:
    """The rows one by one, as bytes, so that NaN equals NaN."""
    names = sorted(texts)
    columns = [texts[name].to_pylist() for name in names]
    return [(row.tobytes(), *values) for row, *values in zip(rows, *columns, strict=True)]


@given(made=table_rows(), file=UINT32, index=UINT32, part=UINT32)
def test_decode_inverts_encode(made: tuple[Table, TableRows], file: int, index: int, part: int) -> None:
    table, rows = made
    batch = Batch(RangeKey(table, file, index), part, rows.sources, rows.rows, rows.text_columns)
    decoded = decode(encode(batch))
    assert (decoded.key, decoded.part, decoded.sources) == (batch.key, batch.part, batch.sources)
    assert decoded.rows.dtype == batch.rows.dtype
    assert set(decoded.text_columns) == set(batch.text_columns)
    assert contents(decoded.rows, decoded.text_columns) == contents(batch.rows, batch.text_columns)


def test_source_names_may_be_long() -> None:
    sources = tuple(f"{number:03}" * 400 for number in range(255))
    batch = Batch(RangeKey(Table.BOXES, 0, 0), 0, sources, np.zeros(1, BOX_ROW), {})
    assert decode(encode(batch)).sources == sources


@given(
    made=table_rows(),
    num_shards=st.integers(1, 5) | st.sampled_from([1 << 16, (1 << 16) + 1, MAX_SHARDS]),
    skipped=st.sets(st.integers(0, 5)),
    limit=st.integers(1, 500),
)
def test_sorting_by_shard_loses_no_row_and_keeps_their_order(
    made: tuple[Table, TableRows], num_shards: int, skipped: set[int], limit: int
) -> None:
    table, rows = made
    key = RangeKey(table, 3, 7)
    with mock.patch.object(batches, "MAX_BATCH_BYTES", limit):
        found = [(shard, decode(data)) for shard, data in sort_by_shard(key, rows, num_shards, skipped).batches()]

    expected: dict[int, list[tuple[bytes, ...]]] = {}
    for row, hashed in zip(
        contents(rows.rows, rows.text_columns), hash_ids(rows.rows["image_id"]).tolist(), strict=True
    ):
        shard = hashed * num_shards >> 64
        if shard not in skipped:
            expected.setdefault(shard, []).append(row)
    by_shard: dict[int, list[Batch]] = {}
    for shard, batch in found:
        by_shard.setdefault(shard, []).append(batch)

    assert by_shard.keys() == expected.keys()
    for shard, parts in by_shard.items():
        assert [part.part for part in parts] == list(range(len(parts)))
        assert {(part.key, part.sources) for part in parts} == {(key, rows.sources)}
        found_rows = [contents(part.rows, part.text_columns) for part in parts]
        assert list(itertools.chain.from_iterable(found_rows)) == expected[shard]
        for part_rows in found_rows:
            assert len(part_rows) == 1 or sum(map(len, itertools.chain.from_iterable(part_rows))) <= limit


def test_batches_are_small_enough_for_flink_and_not_smaller_than_needed() -> None:
    rows = np.zeros(700_000, BOX_ROW)
    rows["line"] = np.arange(len(rows))
    made = TableRows(rows, ("",), {}, [], {}, np.zeros(0, np.int64), len(rows), len(rows))
    found = [data for _, data in sort_by_shard(RangeKey(Table.BOXES, 0, 0), made, 1).batches()]
    assert max(map(len, found)) < FLINK_ELEMENT_BYTES
    assert len(found) == -(-rows.nbytes // (MAX_BATCH_BYTES - MAX_BATCH_BYTES % rows.itemsize))
    assert np.array_equal(np.concatenate([decode(data).rows["line"] for data in found]), rows["line"])


@pytest.mark.parametrize("long_first", [True, False])
def test_long_titles_side_by_side_are_not_put_into_one_batch(long_first: bool) -> None:
    titles = [b"x" * 1_000_000] * 25 + [b"x"] * 50_000
    titles = titles if long_first else titles[::-1]
    rows = np.zeros(len(titles), METADATA_ROW)
    made = TableRows(rows, (), {"Title": pa.array(titles, pa.binary())}, [], {}, np.zeros(0, np.int64), 0, 0)
    found = [data for _, data in sort_by_shard(RangeKey(Table.METADATA, 0, 0), made, 1).batches()]
    assert max(map(len, found)) < FLINK_ELEMENT_BYTES
    assert [title for data in found for title in decode(data).text_columns["Title"].to_pylist()] == titles


def test_no_row_makes_no_batch() -> None:
    for table in Table:
        empty = TableRows(np.zeros(0, ROW_TYPES[table]), ("",), {}, [], {}, np.zeros(0, np.int64), 0, 0)
        assert list(sort_by_shard(RangeKey(table, 0, 0), empty, 4).batches()) == []
