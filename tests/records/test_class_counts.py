import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.records.class_counts import ClassCountSum, pack_counts, pack_mapping, unpack_counts

COUNTS = st.dictionaries(st.integers(0, 2**31 - 1), st.integers(1, 2**40), max_size=9)


@given(counts=COUNTS)
def test_unpacking_inverts_packing(counts: dict[int, int]) -> None:
    assert unpack_counts(pack_mapping(counts)) == counts
    assert list(unpack_counts(pack_mapping(counts))) == sorted(counts)


def test_classes_without_rows_and_the_order_leave_no_trace() -> None:
    packed = pack_counts(np.array([9, 4, 7]), np.array([1, 0, 2]))
    assert packed == pack_mapping({7: 2, 9: 1})
    assert pack_mapping({}) == pack_mapping({5: 0}) == ""


@given(counts=st.lists(COUNTS, max_size=4))
def test_the_sum_is_that_of_each_class(counts: list[dict[int, int]]) -> None:
    total = ClassCountSum()
    for item in counts:
        total.add(pack_mapping(item))
    ids = {label for item in counts for label in item}
    assert total.by_id() == {str(label): sum(item.get(label, 0) for item in counts) for label in ids}
