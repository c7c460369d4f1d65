import pytest

from oi_tfrecord.records.keys import BBOX_KEYS
from oi_tfrecord.verification.check_boxes import check_boxes
from oi_tfrecord.verification.faults import FaultKind

SIDES = dict(zip(BBOX_KEYS, ([0.25, 0.0], [0.25, 0.0], [0.75, 1.0], [0.5, 1.0]), strict=True))
YMIN, XMIN, YMAX, XMAX = BBOX_KEYS
AREA = {"image/height": [400], "image/width": [1000], "image/object/area": [50_000.0, 400_000.0]}


def test_boxes_with_their_areas_and_crowds_have_no_fault() -> None:
    crowds = {"image/object/is_crowd": [0, 1], "image/object/group_of": [0, 1]}
    assert list(check_boxes(SIDES | AREA | crowds, ours=True, reported=())) == []
    assert list(check_boxes({}, ours=True, reported=())) == []


@pytest.mark.parametrize(
    ("changes", "ours", "key", "detail"),
    [
        ({YMIN: [0.25, 1.5]}, False, YMIN, "box 1 goes from 1.5 to 1.0"),
        ({XMAX: [0.25, 1.0], "image/object/area": [0.0, 400_000.0]}, True, XMIN, "box 0 goes from 0.25 to 0.25"),
        ({"image/object/area": [50_000.0, 400_010.0]}, True, "image/object/area", "value 1 is 400010"),
        ({"image/object/is_crowd": [0, 0], "image/object/group_of": [0, 1]}, True, "image/object/is_crowd", "equal"),
    ],
)
def test_the_first_bad_box_is_named(changes: dict[str, list], ours: bool, key: str, detail: str) -> None:
    [finding] = check_boxes(SIDES | AREA | changes, ours, reported=())
    assert finding.key == key
    assert detail in finding.detail


def test_third_party_boxes_may_have_no_area_and_any_other_keys() -> None:
    changes = {XMAX: [0.25, 1.0], "image/object/area": [0.0, 0.0]}
    assert list(check_boxes(SIDES | AREA | changes, ours=False, reported=())) == []


def test_a_missing_side_is_a_fault_unless_a_side_is_known_to_be_faulty() -> None:
    lists = {key: values for key, values in SIDES.items() if key != YMAX}
    [finding] = check_boxes(lists, ours=False, reported=("image/height",))
    assert (finding.kind, finding.key) == (FaultKind.KEY_MISSING, YMAX)
    assert list(check_boxes(lists, ours=False, reported=(XMIN,))) == []
