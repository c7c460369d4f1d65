import json

import pytest

from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.hierarchy import Hierarchy, parse_hierarchy
from oi_tfrecord.records.label_map import number_classes, with_relatives
from oi_tfrecord.records.label_map_file import format_pbtxt, parse_pbtxt
from tests.conftest import DATA

TREE = {
    "LabelName": "/root",
    "Subcategory": [
        {"LabelName": "/food", "Subcategory": [{"LabelName": "/cookie", "Part": [{"LabelName": "/crumb"}]}]},
        {"LabelName": "/dessert", "Subcategory": [{"LabelName": "/cookie"}, {"LabelName": "/cake"}]},
        {"LabelName": "/eye"},
    ],
}


def parse(tree: object) -> Hierarchy:
    return parse_hierarchy(json.dumps(tree).encode(), "hierarchy.json")


def test_a_class_has_the_ancestors_of_all_its_places_and_neither_root_nor_parts_count() -> None:
    hierarchy = parse(TREE)
    assert hierarchy.ancestors == {
        "/food": set(),
        "/dessert": set(),
        "/eye": set(),
        "/cake": {"/dessert"},
        "/cookie": {"/food", "/dessert"},
    }
    assert hierarchy.descendants == {
        "/food": {"/cookie"},
        "/dessert": {"/cookie", "/cake"},
        "/eye": set(),
        "/cake": set(),
        "/cookie": set(),
    }


@pytest.mark.parametrize(
    ("tree", "problem"),
    [
        ([], "is not a class"),
        ({"LabelName": "/root", "Subcategory": [{"Subcategory": []}]}, "is not a class"),
        ({"LabelName": "/root", "Subcategory": {"LabelName": "/a"}}, "is not a class"),
        ({"LabelName": "/r", "Subcategory": [{"LabelName": "/a", "Subcategory": [{"LabelName": "/a"}]}]}, "itself"),
        (
            {
                "LabelName": "/r",
                "Subcategory": [
                    {"LabelName": "/a", "Subcategory": [{"LabelName": "/b"}]},
                    {"LabelName": "/b", "Subcategory": [{"LabelName": "/a"}]},
                ],
            },
            "each other",
        ),
    ],
)
def test_a_file_that_is_no_hierarchy_is_an_error(tree: object, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        parse(tree)


def test_text_that_is_not_json_is_an_error() -> None:
    with pytest.raises(InputError, match=r"hierarchy\.json: is not JSON"):
        parse_hierarchy(b"<html>", "hierarchy.json")


def test_a_label_map_names_the_relatives_that_it_has() -> None:
    label_map = with_relatives(number_classes(["/cookie", "/dessert", "/crumb"], {}), parse(TREE))
    assert [(item.ancestor_ids, item.descendant_ids) for item in label_map.items] == [((2,), ()), ((), (1,)), ((), ())]
    assert parse_pbtxt(format_pbtxt(label_map).encode(), "label_map.pbtxt") == label_map


def test_the_published_hierarchy_has_every_boxable_class() -> None:
    path = DATA / "real" / "bbox_labels_600_hierarchy.json"
    if not path.exists():
        pytest.skip(f"the real data is not beside the repository: {path}")
    hierarchy = parse_hierarchy(path.read_bytes(), str(path))
    lines = (DATA / "real" / "v4" / "class-descriptions-boxable.csv").read_text().splitlines()
    boxable = {line.split(",")[0] for line in lines}
    # The published list of 601 classes also has the root, which is no class of the tree.
    assert boxable - hierarchy.ancestors.keys() <= {"/m/0bl9f"}
    assert hierarchy.ancestors.keys() <= boxable


def test_deep_nesting_is_an_error() -> None:
    with pytest.raises(InputError, match=r"h\.json: is not JSON"):
        parse_hierarchy(b"[" * 100_000, "h.json")
