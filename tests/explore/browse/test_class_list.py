from oi_tfrecord.explore.browse.class_list import ClassList
from oi_tfrecord.explore.browse.index import build_index
from oi_tfrecord.explore.browse.search_rows import make_search_rows
from tests.support.few_records import boxes, floats, image, make_example, texts

WHOLE = (0.0, 0.0, 1.0, 1.0)
NAMES = {"/m/a": "Dog", "/m/b": "Hot dog", "/m/c": "Dogfish", "/m/d": "Éclair", "/m/e": "Dog"}


def make_classes() -> ClassList:
    """Returns the classes of one image: boxes of a, b, b and c; labels of d (absent) and e (present)."""
    example = make_example(
        **image(),
        **boxes(WHOLE, WHOLE, WHOLE, WHOLE, mids=("/m/a", "/m/b", "/m/b", "/m/c")),
        class__text=texts("/m/d", "/m/e"),
        class__confidence=floats(0, 1),
        machine_class__text=texts("/m/a"),
    )
    index = build_index([("train", [("train-0", make_search_rows([(0, example)], {}))])])
    return ClassList(index, NAMES, {"/m/a": 1, "/m/b": 2})


def names_of(classes: ClassList, text: str, start: int = 0, count: int = 10) -> list[str]:
    return [row["name"] for row in classes.search(text, start, count).rows]


def test_classes_are_found_by_name_and_mid_the_best_first() -> None:
    classes = make_classes()
    assert names_of(classes, " DOG ") == ["Dog", "Dog", "Dogfish", "Hot dog"]
    assert names_of(classes, "éCLAIR") == ["Éclair"]
    assert names_of(classes, "/M/B") == ["Hot dog"]
    assert names_of(classes, "none") == []


def test_all_classes_come_by_their_counts_in_pages() -> None:
    classes = make_classes()
    assert names_of(classes, "") == ["Hot dog", "Dog", "Dogfish", "Dog", "Éclair"]
    assert names_of(classes, "", 1, 2) == ["Dog", "Dogfish"]
    assert classes.search("", 1, 2).total == 5


def test_a_class_has_counts_and_is_searched_by_the_first_that_it_has() -> None:
    rows = {row["mid"]: row for row in make_classes().search("", 0, 9).rows}
    kinds = ("boxes", "positive", "negative", "machine", "masks", "kind")
    assert [rows["/m/a"][kind] for kind in kinds] == [1, 0, 0, 1, 0, "boxes"]
    assert [rows["/m/d"][kind] for kind in kinds] == [0, 0, 1, 0, 0, "negative"]
    assert [rows["/m/e"][kind] for kind in kinds] == [0, 1, 0, 0, 0, "positive"]
    assert len({row["colour"] for row in rows.values()}) > 1


def test_a_list_of_names_is_split_at_commas_that_are_not_within_a_name() -> None:
    index = build_index(
        [("train", [("train-0", make_search_rows([(0, make_example(class__text=texts("/m/a", "/m/b")))], {}))])]
    )
    classes = ClassList(index, {"/m/a": "Bow, arrow", "/m/b": "Bow"}, {})
    assert classes.split("Bow, arrow,Bow") == ("Bow, arrow", "Bow")
    assert classes.split("bow,/m/a,") == ("bow", "/m/a")
    assert classes.split("") == ()
