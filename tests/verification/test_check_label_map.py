import pathlib

import pytest

from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from oi_tfrecord.records.label_map_file import format_csv
from oi_tfrecord.verification.check_label_map import check_label_map, compare_classes, compare_label_map_csv
from oi_tfrecord.verification.faults import FaultKind

LABEL_MAP = LabelMap((LabelMapItem(1, "/m/01", "Tree"), LabelMapItem(2, "/m/02", "Ball")))
MANIFEST = {"classes": [{"id": 1, "mid": "/m/01", "name": "Tree"}, {"id": 2, "mid": "/m/02", "name": "Ball"}]}


@pytest.mark.parametrize(
    ("text", "is_needed", "problem"),
    [
        (None, False, None),
        (None, True, "there is no such file"),
        (b'item { name: "a" id: 1 }', True, None),
        (b"item {", True, "Expected"),
        (b"\xff\xfe", True, "line 1: the text is not UTF-8"),
    ],
)
def test_a_label_map_is_read_or_a_fault(
    tmp_path: pathlib.Path, text: bytes | None, is_needed: bool, problem: str | None
) -> None:
    path = tmp_path / "label_map.pbtxt"
    if text is not None:
        path.write_bytes(text)
    label_map, faults = check_label_map(str(path), is_needed)
    assert (label_map is not None) == (text is not None and problem is None)
    assert [fault.kind for fault in faults] == ([] if problem is None else [FaultKind.LABEL_MAP])
    assert problem is None or problem in faults[0].detail


@pytest.mark.parametrize(
    ("items", "problem"),
    [
        (LABEL_MAP.items, None),
        (LABEL_MAP.items[:1], "1 classes, and the manifest has 2"),
        ((LABEL_MAP.items[0], LabelMapItem(2, "/m/02", "X")), "class (2, '/m/02', 'X'), and the manifest has"),
    ],
)
def test_the_label_map_has_the_classes_of_the_manifest(items: tuple[LabelMapItem, ...], problem: str | None) -> None:
    faults = compare_classes("train", MANIFEST, LabelMap(items))
    assert [(fault.kind, fault.file) for fault in faults] == (
        [(FaultKind.LABEL_MAP, "label_map.pbtxt")] if problem else []
    )
    assert not problem or problem in faults[0].detail


def test_the_csv_has_the_classes_of_the_label_map() -> None:
    text = format_csv(LABEL_MAP)
    assert compare_label_map_csv("train", LABEL_MAP, text) == []
    assert compare_label_map_csv("train", None, text) == []
    for changed, problem in ((None, "no such file"), (text.replace("\n", "x\n", 1), "are not those of")):
        [fault] = compare_label_map_csv("train", LABEL_MAP, changed)
        assert (fault.kind, fault.file) == (FaultKind.LABEL_MAP, "label_map.csv")
        assert problem in fault.detail
