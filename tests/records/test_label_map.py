import pytest

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.openimages.classes import read_descriptions
from oi_tfrecord.records.label_map import (
    LabelMap,
    LabelMapItem,
    number_classes,
    reuse_ids,
    reuse_ids_and_append,
    sort_by_frequency,
)
from oi_tfrecord.records.label_map_file import parse_pbtxt
from tests.conftest import DATA

REAL = DATA / "real"


@pytest.mark.parametrize(
    ("items", "words"),
    [
        ([LabelMapItem(0, "/m/a", "A")], "ids go from 1"),
        ([LabelMapItem(2**31, "/m/a", "A")], "ids go from 1"),
        ([LabelMapItem(1, "", "A")], "has no name"),
        ([LabelMapItem(1, "/m/a", "A"), LabelMapItem(1, "/m/b", "B")], "same id 1"),
        ([LabelMapItem(1, "/m/a", "A"), LabelMapItem(2, "/m/a", "B")], "two ids"),
        ([LabelMapItem(1, "/m/a", "A", descendant_ids=(3,))], "relative 3"),
    ],
)
def test_an_invalid_label_map_cannot_be_made(items: list[LabelMapItem], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        LabelMap(tuple(items))


def test_ids_may_have_gaps() -> None:
    assert LabelMap((LabelMapItem(7, "/m/a", "A"), LabelMapItem(3, "/m/b", "B"))).id_of == {"/m/a": 7, "/m/b": 3}


DESCRIPTIONS = {"/m/b": "Bench", "/m/a": "Apple", "/m/c": "Cat", "/m/d": ""}


def test_classes_get_ids_from_1_as_they_are_listed() -> None:
    label_map = number_classes(["/m/c", "/m/a", "/m/b"], DESCRIPTIONS)
    assert [(item.id, item.name) for item in label_map.items] == [(1, "/m/c"), (2, "/m/a"), (3, "/m/b")]


def test_frequent_classes_come_first_and_classes_of_equal_frequency_by_mid() -> None:
    rows = {"/m/a": 3, "/m/b": 3, "/m/c": 10, "/m/elsewhere": 99}
    assert sort_by_frequency(["/m/b", "/m/d", "/m/c", "/m/a"], rows) == ["/m/c", "/m/a", "/m/b", "/m/d"]


def test_a_class_without_description_shows_its_mid() -> None:
    label_map = number_classes(["/m/x", "/m/a", "/m/d"], DESCRIPTIONS)
    assert [item.display_name for item in label_map.items] == ["/m/x", "Apple", "/m/d"]


def test_a_class_that_is_listed_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="two ids"):
        number_classes(["/m/a", "/m/a"], DESCRIPTIONS)


EXISTING = LabelMap(
    (
        LabelMapItem(9, "/m/c", "Old cat", (4, 5), ()),
        LabelMapItem(4, "/m/x", "X", (), (5, 9)),
        LabelMapItem(5, "/m/b", "Old bench", (4,), (9,)),
    )
)


def test_reused_ids_stay_and_names_follow_the_descriptions() -> None:
    assert reuse_ids(EXISTING, ["/m/c", "/m/b", "/m/x"], DESCRIPTIONS) == LabelMap(
        (
            LabelMapItem(4, "/m/x", "X", (), (5, 9)),
            LabelMapItem(5, "/m/b", "Bench", (4,), (9,)),
            LabelMapItem(9, "/m/c", "Cat", (4, 5), ()),
        )
    )


def test_appending_keeps_every_item_of_the_map() -> None:
    appended = reuse_ids_and_append(EXISTING, ["/m/new", "/m/b", "/m/a"], DESCRIPTIONS)
    ids = {item.name: item.id for item in EXISTING.items}
    assert appended.id_of == ids | {"/m/new": max(ids.values()) + 1, "/m/a": max(ids.values()) + 2}
    for item in EXISTING.items:
        [kept] = (other for other in appended.items if other.name == item.name)
        assert (kept.ancestor_ids, kept.descendant_ids) == (item.ancestor_ids, item.descendant_ids)


def test_only_the_background_may_have_the_id_0() -> None:
    background = LabelMapItem(0, "background", "background")
    with_background = LabelMap((background, LabelMapItem(1, "/m/a", "A")))
    assert reuse_ids_and_append(with_background, ["/m/b"], {}).items[0] == background
    assert reuse_ids(with_background, ["/m/a"], {}).id_of == {"/m/a": 1}
    with pytest.raises(ConfigError, match="/m/a has the id 0"):
        LabelMap((LabelMapItem(0, "/m/a", "A"),))


def test_reuse_names_the_classes_the_map_lacks() -> None:
    with pytest.raises(ConfigError, match=r"2 classes .*: /m/new, /m/a;"):
        reuse_ids(EXISTING, ["/m/new", "/m/b", "/m/a"], DESCRIPTIONS)
    with pytest.raises(ConfigError, match="and 5 more"):
        reuse_ids(EXISTING, [f"/m/{number:03}" for number in range(25)], {})


@pytest.mark.skipif(not REAL.is_dir(), reason="the real Open Images files are not beside the repository")
def test_the_v3_ids_stay_when_reused_for_v7() -> None:
    v3 = parse_pbtxt((REAL / "oid_bbox_trainable_label_map.pbtxt").read_bytes(), "published")
    v7 = read_descriptions((REAL / "v7/oidv7-class-descriptions-boxable.csv").read_bytes(), "v7")
    reused = reuse_ids_and_append(v3, list(v7), v7)
    assert set(reused.id_of) == set(v7)
    assert {name: id for name, id in reused.id_of.items() if name in v3.id_of} == v3.id_of
    assert {item.name: item.display_name for item in reused.items} == v7
    assert sorted(reused.id_of.values()) == list(range(1, len(v7) + 1))
