from typing import Any

import numpy as np
import pytest

from oi_tfrecord.verification.check_values import check_values, find_missing_keys
from oi_tfrecord.verification.faults import FaultKind


def test_values_of_the_right_kind_and_length_are_lists() -> None:
    features = {
        "image/width": np.array([4], np.int64),
        "image/format": [b"jpeg"],
        "unknown": [b"x"],
        "image/height": None,
    }
    assert check_values(features) == ({"image/width": [4], "image/format": [b"jpeg"]}, [])


@pytest.mark.parametrize(
    ("features", "kind", "detail"),
    [
        ({"image/width": [b"4"]}, FaultKind.KEY_KIND, "bytes instead of int64"),
        ({"image/width": np.array([4, 4], np.int64)}, FaultKind.KEY_LENGTH, "2 values instead of one"),
        (
            {"image/class/label": np.array([1, 0, 0], np.int64)},
            FaultKind.BAD_LABEL,
            "value 1 is 0, below 1, and 1 more",
        ),
        ({"image/object/area": np.array([np.nan], np.float32)}, FaultKind.BAD_VALUE, "value 0 is nan, negative or not"),
        ({"image/object/group_of": np.array([2], np.int64)}, FaultKind.BAD_VALUE, "value 0 is 2, not 0 or 1"),
    ],
)
def test_a_bad_key_is_named(features: dict[str, Any], kind: FaultKind, detail: str) -> None:
    _, [finding] = check_values(features)
    assert (finding.kind, finding.key) == (kind, next(iter(features)))
    assert detail in finding.detail


def test_lists_of_boxes_have_one_length_and_none_of_them_is_used_otherwise() -> None:
    features = {
        "image/object/group_of": np.array([0, 1], np.int64),
        "image/object/class/text": [b"/m/a", b"/m/b"],
        "image/object/source": [b"xclick"],
        "image/class/text": [b"/m/a"],
    }
    lists, [finding] = check_values(features)
    assert lists.keys() == {"image/class/text"}
    assert (finding.kind, finding.key) == (FaultKind.KEY_LENGTH, "image/object/source")
    assert finding.detail == "1 values, and image/object/group_of has 2"


def test_required_keys_are_missed() -> None:
    missing = find_missing_keys(
        {"image/width": None, "image/height": [b""]}, ("image/width", "image/height", "image/x")
    )
    assert [(finding.kind, finding.key) for finding in missing] == [
        (FaultKind.KEY_MISSING, "image/width"), (FaultKind.KEY_MISSING, "image/x")
    ]  # fmt: skip
