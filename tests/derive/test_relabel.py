import pathlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.dataset.splits import find_splits, read_shard
from oi_tfrecord.derive.relabel import encode_values, is_same, merge_label_maps, relabel
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.records.example_reader import parse_example
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem

FIRST = LabelMap((LabelMapItem(1, "/m/a", "A"), LabelMapItem(7, "/m/b", "B", ancestor_ids=(1,))))
SECOND = LabelMap(
    (
        LabelMapItem(1, "/m/b", "B renamed"),
        LabelMapItem(2, "/m/c", "C", ancestor_ids=(1,)),
        LabelMapItem(3, "/m/d", "D", descendant_ids=(2,)),
    )
)
MIDS = [b"/m/a", b"/m/b", b"/m/c"]
RECORD: dict[str, Any] = {
    "image/class/confidence": np.array([1, 0], np.float32),
    "image/class/label": np.array([7, 1], np.int64),
    "image/class/text": [b"/m/b", b"/m/a"],
    "image/encoded": [b"\xff\xd8"],
    "image/object/class/label": np.array([1, 7, 7], np.int64),
    "image/object/class/text": [b"/m/a", b"/m/b", b"/m/b"],
}


def test_records_are_encoded_again_to_the_byte_as_they_were(exportable: pathlib.Path) -> None:
    """With every group of extra keys, empty lists and texts of any bytes among them."""
    split = find_splits(str(exportable))["train"]
    records = [data for shard in split.shards for _, data in read_shard(shard)]
    assert records
    for data in records:
        assert encode_values(parse_example(data)) == data


VALUES = st.one_of(
    st.none(),
    st.lists(st.binary(max_size=200), max_size=3),
    st.lists(st.floats(width=32, allow_nan=False), max_size=3).map(lambda values: np.array(values, np.float32)),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3).map(lambda values: np.array(values, np.int64)),
)


@given(st.dictionaries(st.text(min_size=1, max_size=20), VALUES, max_size=5))
def test_any_record_is_parsed_as_it_was_encoded(features: dict[str, Any]) -> None:
    assert is_same(parse_example(encode_values(features)), features)


@given(st.permutations([1, 2, 9]), st.lists(st.sampled_from(MIDS), max_size=6))
def test_ids_follow_the_mids(ids: list[int], texts: list[bytes]) -> None:
    label_ids = dict(zip(MIDS, ids, strict=True))
    changed = relabel(RECORD | {"image/object/class/text": texts}, label_ids)
    assert changed["image/object/class/label"].tolist() == [label_ids[text] for text in texts]  # type: ignore[union-attr]
    assert changed["image/class/label"].tolist() == [label_ids[b"/m/b"], label_ids[b"/m/a"]]  # type: ignore[union-attr]
    assert changed.keys() == RECORD.keys()


def test_a_record_under_its_own_label_map_is_the_same() -> None:
    label_ids = {b"/m/a": 1, b"/m/b": 7}
    assert is_same(relabel(RECORD, label_ids), RECORD)
    assert not is_same(relabel(RECORD, label_ids | {b"/m/b": 8}), RECORD)
    assert not is_same(relabel(RECORD, label_ids, {"image/encoded"}), RECORD)
    assert not is_same(RECORD | {"image/encoded": [b"x"]}, RECORD)
    assert not is_same(RECORD | {"image/class/label": np.array([7, 1], np.float32)}, RECORD)
    with pytest.raises(ConfigError, match="/m/b, which has no id"):
        relabel(RECORD, {b"/m/a": 1})


def test_classes_that_the_first_map_lacks_are_appended() -> None:
    merged = merge_label_maps([FIRST, SECOND])
    assert [(item.id, item.name, item.display_name) for item in merged.items] == [
        (1, "/m/a", "A"),
        (7, "/m/b", "B"),
        (8, "/m/c", "C"),
        (9, "/m/d", "D"),
    ]
    relatives = {item.name: (item.ancestor_ids, item.descendant_ids) for item in merged.items}
    assert relatives == {"/m/a": ((), ()), "/m/b": ((1,), ()), "/m/c": ((7,), ()), "/m/d": ((), (8,))}


def test_one_map_stays_unchanged_and_a_given_map_must_have_every_class() -> None:
    assert merge_label_maps([FIRST, FIRST]) == FIRST
    given = merge_label_maps([SECOND, FIRST])
    assert merge_label_maps([FIRST, SECOND], given) is given
    assert merge_label_maps([FIRST], given) is given
    with pytest.raises(ConfigError, match="/m/c, /m/d"):
        merge_label_maps([FIRST, SECOND], FIRST)
