import pytest

from oi_tfrecord.verification.check_labels import check_labels
from oi_tfrecord.verification.faults import FaultKind

LABEL_IDS = {b"/m/a": 1, b"/m/b": 2}


@pytest.mark.parametrize(
    "lists",
    [
        {},
        {"image/class/text": [b"/m/b", b"/m/a"], "image/class/label": [2, 1]},
        {"image/class/text": [b"/m/b"]},
        {"image/class/text": [], "image/class/label": [1, 2, 0]},
    ],
)
def test_names_and_ids_of_the_label_map_have_no_fault(lists: dict[str, list]) -> None:
    assert list(check_labels(lists, LABEL_IDS)) == []


@pytest.mark.parametrize(
    ("lists", "key", "detail"),
    [
        (
            {"image/class/text": [b"/m/a", b"/m/c"], "image/class/label": [1, 3]},
            "image/class/text",
            "value 1 is /m/c, which is not in the label map",
        ),
        (
            {"image/class/text": [b"/m/a"], "image/class/label": [2]},
            "image/class/label",
            "value 0 is 2, and /m/a is 1 in the label map",
        ),
        ({"image/object/class/label": [1, 7, 8]}, "image/object/class/label", "value 1 is 7, which is not"),
    ],
)
def test_the_first_unknown_class_is_named(lists: dict[str, list], key: str, detail: str) -> None:
    [finding] = check_labels(lists, LABEL_IDS)
    assert (finding.kind, finding.key) == (FaultKind.BAD_LABEL, key)
    assert detail in finding.detail


def test_boxes_and_both_kinds_of_labels_have_a_fault_each() -> None:
    lists = {f"image/{name}/label": [9] for name in ("object/class", "class", "machine_class")}
    assert [finding.key for finding in check_labels(lists, LABEL_IDS)] == list(lists)
