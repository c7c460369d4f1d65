from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord.join import find_duplicates as module
from oi_tfrecord.join.find_duplicates import find_duplicates, find_repeated_values
from oi_tfrecord.openimages.schema import ATTRIBUTES, BOX_ROW, COORDINATES, FLAGS, LABEL_ROW

BASE_LABEL: dict[str, Any] = {"label": 1, "source": 0, "confidence": 1.0}
BASE_BOX: dict[str, Any] = BASE_LABEL | dict.fromkeys(COORDINATES, 0.25) | dict.fromkeys((*FLAGS, *ATTRIBUTES), 0)
OTHER_VALUES: dict[str, list[Any]] = {
    "label": [0, 65535],
    "source": [1, 255],
    "confidence": [0.0, 0.5],
    **{name: [0.0, 1.0] for name in COORDINATES},
    **{name: [-2, -1, 1] for name in FLAGS},
    **{name: [1, 3] for name in ATTRIBUTES},
}


def payloads(base: dict[str, Any]) -> list[tuple[Any, ...]]:
    """Returns the base and each row that differs from it in one column, so that no column can be overlooked."""
    changed = [base | {name: value} for name in base for value in OTHER_VALUES[name]]
    return [tuple(row.values()) for row in [base, *changed]]


PAYLOADS = {BOX_ROW: payloads(BASE_BOX), LABEL_ROW: payloads(BASE_LABEL)}


def random_rows(row_type: np.dtype) -> st.SearchStrategy[np.ndarray]:
    row = st.tuples(st.sampled_from([0, 1, 0xDEADBEEF]), st.integers(0, 99), st.sampled_from(PAYLOADS[row_type]))
    return st.lists(row, max_size=40).map(
        lambda rows: np.array([(image_id, line, *values) for image_id, line, values in rows], row_type)
    )


LABELS_OR_BOXES = st.one_of(random_rows(BOX_ROW), random_rows(LABEL_ROW))


def duplicates_row_by_row(rows: np.ndarray) -> list[int]:
    seen, repeated = set(), []
    for index, row in enumerate(rows):
        values = tuple(row[name].item() for name in rows.dtype.names or () if name != "line")
        if values in seen:
            repeated.append(index)
        seen.add(values)
    return repeated


@settings(max_examples=200, deadline=None)
@given(LABELS_OR_BOXES)
def test_duplicates_are_found_as_row_by_row(rows: np.ndarray) -> None:
    assert find_duplicates(rows).tolist() == duplicates_row_by_row(rows)


def all_alike(image_ids: np.ndarray) -> np.ndarray:
    return np.zeros_like(image_ids)


def two_values(image_ids: np.ndarray) -> np.ndarray:
    return image_ids & np.uint64(1)


@pytest.mark.parametrize("weak_hash", [all_alike, two_values])
def test_rows_that_share_a_hash_are_compared_whole(
    weak_hash: Callable[[np.ndarray], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "hash_ids", weak_hash)

    @settings(max_examples=100, deadline=None, database=None)
    @given(LABELS_OR_BOXES)
    def check(rows: np.ndarray) -> None:
        assert find_duplicates(rows).tolist() == duplicates_row_by_row(rows)

    check()


@pytest.mark.parametrize("row_type", [BOX_ROW, LABEL_ROW])
def test_rows_that_differ_in_any_one_column_are_no_duplicates(row_type: np.dtype) -> None:
    rows = np.array([(1, line, *values) for line, values in enumerate(PAYLOADS[row_type])], row_type)
    assert find_duplicates(rows).tolist() == []
    twice = np.concatenate([rows, rows])
    assert find_duplicates(twice).tolist() == list(range(len(rows), 2 * len(rows)))


@given(st.lists(st.sampled_from([b"", b"a", b"b", b"\xff", b"c"]), max_size=12))
def test_repeated_values(values: list[bytes]) -> None:
    expected = [index for index, value in enumerate(values) if value in values[:index]]
    assert find_repeated_values(pa.array(values, pa.binary())).tolist() == expected
