import dataclasses
import json
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.dataset.accounts import RangeResult, ShardResult, TableCount, from_json, to_json
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Drop, Reject

COUNT = st.integers(0, 2**63)
REJECTED = st.dictionaries(st.sampled_from(Reject).map(str), COUNT)
DROPPED = st.dictionaries(st.sampled_from(Drop).map(str), COUNT)
TABLES = st.sampled_from(Table).map(str)
RANGES = st.builds(
    RangeResult,
    table=TABLES,
    file=COUNT,
    index=COUNT,
    start=COUNT,
    end=COUNT,
    crc32c=st.integers(0, 2**32 - 1),
    line_count=COUNT,
    rows_read=COUNT,
    rejected=REJECTED,
    dropped=DROPPED,
    class_rows=st.dictionaries(st.text(max_size=9), COUNT),
    ends_open=st.booleans(),
    is_last=st.booleans(),
    values=st.dictionaries(st.text(max_size=9), COUNT),
    found_ids=st.sampled_from(["", "eAFjAAAAAQAB"]),
)
SHARDS = st.builds(
    ShardResult,
    shard=COUNT,
    file=st.just("train.tfrecord-00000-of-00001"),
    size=COUNT,
    sha256=st.text("0123456789abcdef", min_size=64, max_size=64),
    records=COUNT,
    images_selected=COUNT,
    images_not_selected=COUNT,
    images_rejected=REJECTED,
    image_bytes=COUNT,
    images_reencoded=st.dictionaries(st.sampled_from(["PNG", "GIF"]), COUNT),
    tables=st.dictionaries(TABLES, st.builds(TableCount, written=COUNT, rejected=REJECTED, dropped=DROPPED)),
    boxes_per_class=st.dictionaries(st.integers(1, 601).map(str), COUNT),
    positive_per_class=st.dictionaries(st.integers(1, 601).map(str), COUNT),
    negative_per_class=st.dictionaries(st.integers(1, 601).map(str), COUNT),
    sources=st.dictionaries(TABLES, st.dictionaries(st.text(max_size=9), COUNT)),
    unknown_flags=COUNT,
    most_boxes=COUNT,
    images_over_100_boxes=COUNT,
)


@given(result=RANGES | SHARDS)
def test_a_result_survives_json(result: RangeResult | ShardResult) -> None:
    before = pickle.dumps(result)
    data = to_json(result)
    assert from_json(data) == result
    assert type(from_json(data)) is type(result)
    assert pickle.dumps(result) == before, "to_json changed its argument"


@given(result=SHARDS)
def test_equal_results_are_equal_bytes(result: ShardResult) -> None:
    turned: dict[str, Any] = {
        field.name: dict(reversed(value.items()))
        for field in dataclasses.fields(result)
        if isinstance(value := getattr(result, field.name), dict)
    }
    assert to_json(dataclasses.replace(result, **turned)) == to_json(result)


def empty_values(kind: type[RangeResult] | type[ShardResult]) -> dict[str, Any]:
    return {field.name: {} if "dict" in str(field.type) else 0 for field in dataclasses.fields(kind)}


@pytest.mark.parametrize("kind", [RangeResult, ShardResult])
def test_every_field_is_stored(kind: type[RangeResult] | type[ShardResult]) -> None:
    values = empty_values(kind)
    assert json.loads(to_json(kind(**values))) == values | {"kind": kind.__name__}


def test_rows_of_a_rejected_image_are_not_listed_again() -> None:
    tables = {
        "metadata": TableCount(5, {"image_rejected": 2, "duplicate": 1}, {}),
        "boxes": TableCount(9, {"image_rejected": 30, "duplicate": 4}, {"image_not_selected": 50}),
    }
    result = ShardResult(**empty_values(ShardResult) | {"tables": tables, "images_rejected": {"image_missing": 2}})
    # Two duplicates' lists of 1 and 4 rows, and the two images themselves.
    assert result.listed_rejects == 1 + 4 + 2
