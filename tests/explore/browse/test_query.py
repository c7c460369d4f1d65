"""The index and its queries, against a walk over the records."""

import dataclasses
import random

import pytest

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.explore.browse.index import BrowseIndex, build_index
from oi_tfrecord.explore.browse.query import Query, find_classes, find_images, parse_query
from oi_tfrecord.explore.browse.search_rows import make_search_rows
from oi_tfrecord.records.example_writer import int64_feature
from tests.support.few_records import boxes, floats, image, make_example, texts

MIDS = ("/m/a", "/m/b", "/m/c", "/m/d")
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
                chosen.choice(MIDS), chosen.choice(SOURCES), *((chosen.random() < 0.4,) * 2 if known else (None,) * 2)
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


def meets(record: Record, query: Query) -> bool:
    of_boxes = query.kind == "boxes"
    fits = [
        box
        for box in record.boxes
        if (not query.classes or not of_boxes or box[0] in query.classes)
        and (not query.source or box[1] == query.source)
        and all(box[{"group_of": 2, "occluded": 3}[flag]] is value for flag, value in query.flags)
    ]
    wants_box = bool((query.classes and of_boxes) or query.source or query.flags)
    labels = [] if of_boxes else getattr(record, query.kind)
    return (
        (bool(fits) or not wants_box)
        and (of_boxes or not query.classes or bool(set(labels) & set(query.classes)))
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
            kind=chosen.choice(("boxes", "boxes", "positive", "negative", "machine")),
            image_id=chosen.choice(
                ("", "", "", chosen.choice(records).image_id[: chosen.choice((1, 4, 12))], "f" * 40)
            ),
            split=chosen.choice(("", "", "train", "test", "none")),
            flags=tuple((flag, chosen.random() < 0.5) for flag in ("group_of", "occluded") if chosen.random() < 0.3),
            source=chosen.choice(("", "", "xclick", "none")),
            min_boxes=chosen.choice((-1, -1, 0, 1, 2)),
            max_boxes=chosen.choice((-1, -1, 0, 2, 5)),
        )
        expected = [number for number, record in enumerate(records) if meets(record, query)]
        assert find_images(index, query).tolist() == expected, query
        sizes.add(len(expected))
    assert len(sizes) > 20


def test_an_empty_dataset_finds_nothing() -> None:
    empty = build_index([("train", [("train-0", make_search_rows([], {}))])])
    assert find_images(empty, Query(classes=("/m/a",))).tolist() == []
    assert empty.with_id("").tolist() == []
    assert find_classes(empty, {}, "", 5) == []


def test_classes_are_found_by_name_and_mid(records: list[Record], index: BrowseIndex) -> None:
    names = {"/m/a": "Dog", "/m/b": "Hot dog", "/m/c": "Dogfish", "/m/d": "Éclair"}
    assert [row["name"] for row in find_classes(index, names, " DOG ", 10)] == ["Dog", "Dogfish", "Hot dog"]
    [row] = find_classes(index, names, "/M/A", 10)
    assert row["boxes"] == sum(box[0] == "/m/a" for record in records for box in record.boxes)
    for kind in ("positive", "negative", "machine"):
        assert row[kind] == sum("/m/a" in getattr(record, kind) for record in records)
    assert [row["name"] for row in find_classes(index, names, "éCLAIR", 10)] == ["Éclair"]
    counts = [row["boxes"] for row in find_classes(index, names, "/m/", 10)]
    assert counts == sorted(counts, reverse=True)
    assert len(find_classes(index, names, "", 2)) == 2


def test_queries_of_addresses() -> None:
    assert parse_query({}) == Query()
    assert parse_query(
        {
            "class": "/m/a,/m/b", "kind": "negative", "id": "00", "split": "train", "group_of": "yes", "inside": "no",
            "source": "xclick", "min_boxes": "0", "max_boxes": "12", "image": "train/x",
        }
    ) == Query(
        ("/m/a", "/m/b"), "negative", "00", "train", (("group_of", True), ("inside", False)), "xclick", 0, 12
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "value"),
    [("kind", "x"), ("group_of", "1"), ("min_boxes", "-1"), ("max_boxes", "1e3"), ("min_boxes", "9" * 30)],
)
def test_a_bad_value_is_named(name: str, value: str) -> None:
    with pytest.raises(ConfigError) as error:
        parse_query({name: value})
    assert error.value.field == name
