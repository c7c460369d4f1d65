"""The index and its queries, against a walk over the records."""

import dataclasses
import random

import numpy as np
import pytest

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.explore.browse.class_list import ClassList
from oi_tfrecord.explore.browse.index import BrowseIndex, build_index
from oi_tfrecord.explore.browse.query import Query, count_alone, find_images, parse_query
from oi_tfrecord.explore.browse.search_rows import make_search_rows
from oi_tfrecord.explore.browse.sort_images import ORDERS, sort_images
from oi_tfrecord.records.example_writer import bytes_feature, int64_feature
from tests.support.few_records import boxes, floats, image, make_example, texts
from tests.support.mask_release import png_of

MIDS = ("/m/a", "/m/b", "/m/c", "/m/d", "/m/label")
NAMES = {"/m/a": "Dog", "/m/b": "Dog", "/m/c": "Cat, tabby"}
SOURCES = ("xclick", "freeform")


@dataclasses.dataclass(frozen=True)
class Record:
    """The values of a record; flags are None where the record lacks the key of the flag."""

    split: str
    image_id: str
    boxes: list[tuple[str, str, bool | None, bool | None]]
    positive: list[str]
    negative: list[str]
    machine: list[str]


def make_record(chosen: random.Random, split: str) -> Record:
    known = chosen.random() < 0.7
    return Record(
        split,
        f"{chosen.randrange(1 << 32):0{chosen.choice((8, 8, 12))}x}",
        [
            (
                chosen.choice(MIDS[:4]), chosen.choice(SOURCES),
                *((chosen.random() < 0.4,) * 2 if known else (None,) * 2),
            )
            for _ in range(chosen.choice((0, 1, 2, 5)))
        ],
        *(chosen.sample(MIDS, chosen.choice((0, 0, 1, 2))) for _ in range(3)),
    )  # fmt: skip


def encode(record: Record) -> bytes:
    whole = (0.0, 0.0, 1.0, 1.0)
    features = image(image_id=record.image_id) | boxes(
        *(whole for _ in record.boxes), mids=[box[0] for box in record.boxes]
    )
    features["object__source"] = texts(*(box[1] for box in record.boxes))
    if all(box[2] is not None for box in record.boxes):
        features["object__group_of"] = int64_feature([int(bool(box[2])) for box in record.boxes])
        features["object__occluded"] = int64_feature([int(bool(box[3])) for box in record.boxes])
    features["class__text"] = texts(*record.positive, *record.negative)
    features["class__confidence"] = floats(*[1.0] * len(record.positive), *[0.0] * len(record.negative))
    features["machine_class__text"] = texts(*record.machine)
    return make_example(**features)


def find(index: BrowseIndex, query: Query) -> list[int]:
    found: list[int] = find_images(index, ClassList(index, NAMES, {}), query).tolist()
    return found


def kind_of(records: list[Record], mid: str) -> str:
    """Returns what a class is searched by if nothing else is said."""
    if any(box[0] == mid for record in records for box in record.boxes):
        return "boxes"
    return next(kind for kind in ("positive", "machine", "negative") if any(mid in getattr(r, kind) for r in records))


def meets(record: Record, query: Query, records: list[Record]) -> bool:
    def fits(mid: str) -> bool:
        return any(
            mid in ("", box[0])
            and (not query.source or box[1] == query.source)
            and all(box[{"group_of": 2, "occluded": 3}[flag]] is value for flag, value in query.flags)
            for box in record.boxes
        )

    def has(mid: str) -> bool:
        if mid not in MIDS:
            return False
        kind = kind_of(records, mid) if query.kind == "auto" else query.kind
        return fits(mid) if kind == "boxes" else mid in getattr(record, kind) and (not wants_box or fits(""))

    wants_box = bool(query.source or query.flags)
    joined = all if query.match == "all" else any
    return (
        (joined(map(has, query.classes)) if query.classes else not wants_box or fits(""))
        and record.image_id.startswith(query.image_id)
        and query.split in ("", record.split)
        and (query.min_boxes < 0 or len(record.boxes) >= query.min_boxes)
        and (query.max_boxes < 0 or len(record.boxes) <= query.max_boxes)
    )


def make_index(records: list[Record]) -> BrowseIndex:
    """Returns the index of records in shards of 7."""
    splits = []
    for split in sorted({record.split for record in records}):
        held = [record for record in records if record.split == split]
        parts = [held[start : start + 7] for start in range(0, len(held), 7)]
        splits.append(
            (
                split,
                [
                    (
                        f"{split}-{number}",
                        make_search_rows([(100 * place, encode(one)) for place, one in enumerate(part)], {}),
                    )
                    for number, part in enumerate(parts)
                ],
            )
        )
    return build_index(splits)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    chosen = random.Random(5)
    return [make_record(chosen, split) for split in ("test", "train") for _ in range(60)]


@pytest.fixture(scope="module")
def index(records: list[Record]) -> BrowseIndex:
    return make_index(records)


def test_records_are_where_they_are(records: list[Record], index: BrowseIndex) -> None:
    assert index.records == len(records)
    for number in (0, 6, 7, 59, 60, 119):
        assert index.split_of(number) == records[number].split
        assert index.id_of(number) == records[number].image_id
        shard, place = divmod(number % 60, 7)
        name, offset, length = index.place_of(number)
        assert (name, offset) == (f"{records[number].split}-{shard}", 100 * place)
        assert length == len(encode(records[number]))


def test_any_query_finds_what_a_walk_finds(records: list[Record], index: BrowseIndex) -> None:
    chosen = random.Random(6)
    sizes = set()
    for _ in range(400):
        query = Query(
            classes=tuple(chosen.sample((*MIDS, "/m/none"), chosen.choice((0, 0, 1, 1, 2)))),
            match=chosen.choice(("any", "all")),
            kind=chosen.choice(("auto", "auto", "boxes", "positive", "negative", "machine")),
            image_id=chosen.choice(
                ("", "", "", chosen.choice(records).image_id[: chosen.choice((1, 4, 12))], "f" * 40)
            ),
            split=chosen.choice(("", "", "train", "test", "none")),
            flags=tuple((flag, chosen.random() < 0.5) for flag in ("group_of", "occluded") if chosen.random() < 0.3),
            source=chosen.choice(("", "", "xclick", "none")),
            min_boxes=chosen.choice((-1, -1, 0, 1, 2)),
            max_boxes=chosen.choice((-1, -1, 0, 2, 5)),
        )
        expected = [number for number, record in enumerate(records) if meets(record, query, records)]
        assert find(index, query) == expected, query
        sizes.add(len(expected))
    assert len(sizes) > 20


def test_an_empty_dataset_finds_nothing() -> None:
    empty = build_index([("train", [("train-0", make_search_rows([], {}))])])
    assert find(empty, Query(classes=("/m/a",))) == []
    assert empty.with_id("").tolist() == []
    assert find(empty, Query(order="random")) == []


def test_a_class_without_boxes_is_searched_among_labels(records: list[Record], index: BrowseIndex) -> None:
    found = find(index, Query(classes=("/m/label",)))
    assert found == [number for number, record in enumerate(records) if "/m/label" in record.positive]
    assert found
    assert find(index, Query(classes=("/m/label",), kind="boxes")) == []


def test_classes_are_named_by_mid_or_name(records: list[Record], index: BrowseIndex) -> None:
    # Two classes have the same name: an image needs one of them.
    dogs = [n for n, record in enumerate(records) if {"/m/a", "/m/b"} & {box[0] for box in record.boxes}]
    tabbies = {n for n, record in enumerate(records) if "/m/c" in {box[0] for box in record.boxes}}
    assert find(index, Query(classes=("dog",))) == dogs
    both = parse_query({"class": "Dog,Cat, tabby", "match": "all"}, ClassList(index, NAMES, {}))
    assert both.classes == ("Dog", "Cat, tabby")
    assert find(index, both) == [number for number in dogs if number in tabbies]


def test_masks_are_searched() -> None:
    masks = bytes_feature((png_of(np.eye(3, dtype=bool)), png_of(np.eye(3, dtype=bool))))
    whole = (0.0, 0.0, 1.0, 1.0)
    one = image(image_id="a") | boxes(whole, whole, mids=("/m/a", "/m/b"))
    masked = make_example(**one, object__mask=masks, object__mask__weight=floats(0, 1))
    rows = make_search_rows([(0, masked), (9, make_example(**image(), **boxes(whole, mids=("/m/b",))))], {})
    index = build_index([("train", [("train-0", rows)])])
    assert find(index, Query(classes=("/m/b",), kind="masks")) == [0]
    assert find(index, Query(classes=("/m/a",), kind="masks")) == []
    counts = {row["mid"]: row["masks"] for row in ClassList(index, {}, {}).search("", 0, 9).rows}
    assert counts == {"/m/a": 0, "/m/b": 1}


def test_images_are_sorted(records: list[Record], index: BrowseIndex) -> None:
    everything = list(range(len(records)))
    assert find(index, Query(order="boxes")) == sorted(everything, key=lambda number: -len(records[number].boxes))
    assert find(index, Query(order="size")) == everything
    for order in ("hash", "random"):
        found = find(index, Query(order=order))
        assert sorted(found) == everything
        assert found != everything
    assert find(index, Query(order="random", seed=1)) != find(index, Query(order="random", seed=2))
    # A part of the images comes in the same order as among all of them.
    part = np.array(everything[::3])
    for order in ORDERS:
        kept = [number for number in find(index, Query(order=order, seed=3)) if number % 3 == 0]
        assert sort_images(index, part, order, 3).tolist() == kept


def test_an_empty_result_is_explained_by_each_condition(records: list[Record], index: BrowseIndex) -> None:
    query = Query(classes=("/m/a", "/m/none"), match="all", split="test", flags=(("group_of", True),), min_boxes=3)
    assert find(index, query) == []
    alone = {(row["name"], row["value"]): row["images"] for row in count_alone(index, ClassList(index, {}, {}), query)}
    assert alone == {
        ("class", "/m/a"): sum("/m/a" in {box[0] for box in record.boxes} for record in records),
        ("class", "/m/none"): 0,
        ("group_of", "yes"): sum(any(box[2] for box in record.boxes) for record in records),
        ("split", "test"): 60,
        ("min_boxes", "3"): sum(len(record.boxes) >= 3 for record in records),
    }


def test_queries_of_addresses(index: BrowseIndex) -> None:
    classes = ClassList(index, {}, {})
    assert parse_query({}, classes) == Query()
    assert parse_query(
        {
            "class": "/m/a,/m/b", "kind": "negative", "id": "00", "split": "train", "group_of": "yes", "inside": "no",
            "source": "xclick", "min_boxes": "0", "max_boxes": "12", "image": "train/x",
            "match": "all", "sort": "random", "seed": "7",
        },
        classes,
    ) == Query(
        ("/m/a", "/m/b"), "all", "negative", "00", "train", (("group_of", True), ("inside", False)), "xclick", 0, 12,
        "random", 7,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("kind", "x"),
        ("match", "or"),
        ("sort", "name"),
        ("seed", "x"),
        ("group_of", "1"),
        ("min_boxes", "-1"),
        ("max_boxes", "1e3"),
        ("min_boxes", "9" * 30),
    ],
)
def test_a_bad_value_is_named(index: BrowseIndex, name: str, value: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_query({name: value}, ClassList(index, {}, {}))
    assert error.value.field == name
