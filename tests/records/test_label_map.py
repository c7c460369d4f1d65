import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.openimages.classes import read_class_list, read_descriptions
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem, build, format_csv, format_pbtxt, parse_pbtxt, reuse

REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "real"
needs_real_data = pytest.mark.skipif(
    not REAL.is_dir(), reason="the real Open Images files are not beside the repository"
)
V3_CLASSES = "v3_official/classes/2017_11"

TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\"'\\\n\r\té{}#:\0"), max_size=12)


@st.composite
def label_maps(draw: st.DrawFn) -> LabelMap:
    names = draw(st.lists(TEXTS.filter(bool), min_size=1, max_size=6, unique=True))
    ids = draw(st.lists(st.integers(1, 2**31 - 1), min_size=len(names), max_size=len(names), unique=True))
    relatives = st.lists(st.sampled_from(ids), max_size=3).map(tuple)
    return LabelMap(
        tuple(
            LabelMapItem(id, name, draw(TEXTS), draw(relatives), draw(relatives))
            for id, name in zip(ids, names, strict=True)
        )
    )


def string_int_label_map() -> Any:
    """Makes the message class of object_detection/protos/string_int_label_map.proto."""
    field = descriptor_pb2.FieldDescriptorProto
    one, many = field.LABEL_OPTIONAL, field.LABEL_REPEATED
    file = descriptor_pb2.FileDescriptorProto(name="string_int_label_map.proto", package="object_detection.protos")
    item = file.message_type.add(name="StringIntLabelMapItem")
    keypoint = item.nested_type.add(name="KeypointMap")
    item.field.add(name="name", number=1, type=field.TYPE_STRING, label=one)
    item.field.add(name="id", number=2, type=field.TYPE_INT32, label=one)
    item.field.add(name="display_name", number=3, type=field.TYPE_STRING, label=one)
    item.field.add(
        name="keypoints",
        number=4,
        type=field.TYPE_MESSAGE,
        label=many,
        type_name=".object_detection.protos.StringIntLabelMapItem.KeypointMap",
    )
    item.field.add(name="ancestor_ids", number=5, type=field.TYPE_INT32, label=many)
    item.field.add(name="descendant_ids", number=6, type=field.TYPE_INT32, label=many)
    keypoint.field.add(name="id", number=1, type=field.TYPE_INT32, label=one)
    keypoint.field.add(name="label", number=2, type=field.TYPE_STRING, label=one)
    label_map = file.message_type.add(name="StringIntLabelMap")
    label_map.field.add(
        name="item",
        number=1,
        type=field.TYPE_MESSAGE,
        label=many,
        type_name=".object_detection.protos.StringIntLabelMapItem",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("object_detection.protos.StringIntLabelMap"))


StringIntLabelMap = string_int_label_map()


def parse_with_protobuf(text: str) -> LabelMap:
    message = text_format.Parse(text, StringIntLabelMap())
    return LabelMap(
        tuple(
            LabelMapItem(
                item.id,
                item.name,
                item.display_name if item.HasField("display_name") else item.name,
                tuple(item.ancestor_ids),
                tuple(item.descendant_ids),
            )
            for item in message.item
        )
    )


def to_message(label_map: LabelMap) -> Any:
    message = StringIntLabelMap()
    for item in label_map.items:
        message.item.add(
            name=item.name,
            id=item.id,
            display_name=item.display_name,
            ancestor_ids=item.ancestor_ids,
            descendant_ids=item.descendant_ids,
        )
    return message


def read_real_text(name: str) -> str:
    return (REAL / name).read_bytes().decode()


def read_real_descriptions(name: str) -> dict[str, str]:
    return read_descriptions((REAL / name).read_bytes(), name)


@given(label_maps())
def test_what_is_written_reads_back_equal_here_and_with_protobuf(label_map: LabelMap) -> None:
    text = format_pbtxt(label_map)
    assert parse_pbtxt(text, "m.pbtxt") == label_map
    assert parse_with_protobuf(text) == label_map


@given(label_map=label_maps(), as_utf8=st.booleans(), as_one_line=st.booleans(), pointy_brackets=st.booleans())
def test_reads_what_protobuf_writes(
    label_map: LabelMap, as_utf8: bool, as_one_line: bool, pointy_brackets: bool
) -> None:
    text = text_format.MessageToString(
        to_message(label_map),
        as_utf8=as_utf8,
        as_one_line=as_one_line,
        pointy_brackets=pointy_brackets,
        use_short_repeated_primitives=True,
    )
    assert parse_pbtxt(text, "m.pbtxt") == label_map


def test_writes_the_layout_of_the_published_maps() -> None:
    label_map = LabelMap(
        (LabelMapItem(2, "/m/a", 'A "é"\\\n\x01', (3,), ()), LabelMapItem(3, "/m/b", "B's", (), (2, 3)))
    )
    assert format_pbtxt(label_map) == (
        'item {\n  name: "/m/a"\n  id: 2\n  display_name: "A \\"é\\"\\\\\\n\\001"\n  ancestor_ids: 3\n}\n'
        'item {\n  name: "/m/b"\n  id: 3\n  display_name: "B\'s"\n  descendant_ids: 2\n  descendant_ids: 3\n}\n'
    )


HAND_WRITTEN = r"""# a comment with item { id: 9 }
item{ id:1 name:'/m/a' display_name : 'it"s' }   # id first
item: {
  name: "/m/" "b",
  keypoints { id: 7 label: "nose # } \" {" }
  keypoints < id: 0x8 label: 'eye' >
  id: 012;
  display_name: "caf\303\251 \x41\'\?"
  ancestor_ids: [1, 1]
  descendant_ids: []
},
item <
  id: 0x1F
  name: "only a name"
>;
"""


@pytest.mark.parametrize("text", [HAND_WRITTEN, HAND_WRITTEN.replace("\n", "\r\n")])
def test_reads_hand_written_maps_as_protobuf_does(text: str) -> None:
    expected = LabelMap(
        (
            LabelMapItem(1, "/m/a", 'it"s'),
            LabelMapItem(10, "/m/b", "café A'?", (1, 1)),
            LabelMapItem(31, "only a name", "only a name"),
        )
    )
    assert parse_pbtxt(text, "m.pbtxt") == expected
    # Protobuf's Python parser takes `\?` for two characters, its C++ parser and the specification for one.
    assert parse_with_protobuf(text.replace(r"\?", "?")) == expected


def test_skips_unknown_fields_of_every_kind_and_a_byte_order_mark() -> None:
    text = """\ufeffversion: 2 meta { tags: ["a", 'b'] deep { x: -1.5e3 y { } } }
    item { name: "/m/a" frequency: FREQUENT instance_count: 12 boxes: [{ id: 5 }, < id: 6 >] id: 4 }"""
    assert parse_pbtxt(text, "m.pbtxt") == LabelMap((LabelMapItem(4, "/m/a", "/m/a"),))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "no item"),
        ('items { name: "/m/a" id: 1 }\n', 1, "no item"),
        ('item {\n  name: "/m/a"\n  id: 1\n', 4, "end of the text"),
        ('item {\n  name: "/m/a\n  id: 1\n}\n', 2, "does not end on its line"),
        ('item {\n  name: "/m/a"\n  id 1\n}\n', 3, "':' or '{' expected"),
        ('item {\n  name: "/m/a"\n  id:\n}\n', 4, "a value expected"),
        ('item {\n  name: "\\q"\n id: 1\n}\n', 2, "unknown escape \\q"),
        ('item {\n  name: "\\377"\n id: 1\n}\n', 2, "not UTF-8"),
        ("item {\n  name: 5\n  id: 1\n}\n", 2, "no string"),
        ('item {\n  name: "/m/a"\n  id: 1.5\n}\n', 3, "whole number"),
        ('item {\n  name: "/m/a"\n  id: "1"\n}\n', 3, "whole number"),
        ('\nitem {\n  name: "/m/a"\n}\n', 2, "no id"),
        ("item {\n  id: 1\n}\n", 1, "no name"),
        ('item {\n  name: "/m/a"\n  id: 1\n  name: "/m/b"\n}\n', 4, "two fields name"),
        ('item {\n  name: "/m/a"\n  id: 1\n  id: 1\n}\n', 4, "two fields id"),
        ('item { name: "/m/a" id: 1 }\n}\n', 2, "field name expected"),
        ("item: 5\n", 1, "no { ... } entry"),
        ('item { name: "/m/a" id: 1 }\nitem { name: "/m/b" id: 0 }\n', 2, "ids go from 1"),
        ('item { name: "/m/a" id: 1 }\nitem { name: "/m/b" id: 1 }\n', 2, "the same id 1"),
        ('item { name: "/m/a" id: 1 }\n\nitem { name: "/m/a" id: 2 }\n', 3, "two ids, 1 and 2"),
        ('item { name: "/m/a" id: 1 ancestor_ids: 2 }\n', 1, "relative 2"),
        ("a: [1 2]\n", 1, "',' or ']' expected"),
        ("$\n", 1, "unexpected '$'"),
        ("a {" * 5000, 1, "inside one another"),
        ("a: " + "[" * 5000, 1, "inside one another"),
    ],
)
def test_refuses_a_bad_map_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_pbtxt(text, "d/m.pbtxt")
    assert caught.value.path == "d/m.pbtxt"
    assert caught.value.line == (None if words == "no item" else line)
    assert words in str(caught.value)


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


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("list", ["/m/c", "/m/d", "/m/b", "/m/a"]),
        ("mid", ["/m/a", "/m/b", "/m/c", "/m/d"]),
        ("frequency", ["/m/c", "/m/a", "/m/b", "/m/d"]),
    ],
)
def test_ids_follow_the_chosen_order_from_1(order: Any, expected: list[str]) -> None:
    counts = {"/m/a": 3, "/m/b": 3, "/m/c": 10, "/m/elsewhere": 99}
    label_map = build(["/m/c", "/m/d", "/m/b", "/m/a"], DESCRIPTIONS, order, counts)
    assert [(item.id, item.name) for item in label_map.items] == list(enumerate(expected, start=1))


def test_a_class_without_description_shows_its_mid() -> None:
    label_map = build(["/m/x", "/m/a", "/m/d"], DESCRIPTIONS)
    assert [item.display_name for item in label_map.items] == ["/m/x", "Apple", "/m/d"]


@pytest.mark.parametrize(
    ("mids", "order", "words"),
    [
        (["/m/a", "/m/a"], "list", "two ids"),
        (["/m/a"], "frequency", "number of boxes"),
        (["/m/a"], "frequenzy", "did you mean 'frequency'"),
    ],
)
def test_build_refuses_what_it_cannot_order(mids: list[str], order: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        build(mids, DESCRIPTIONS, order)


EXISTING = LabelMap(
    (
        LabelMapItem(9, "/m/c", "Old cat", (4, 5), ()),
        LabelMapItem(4, "/m/x", "X", (), (5, 9)),
        LabelMapItem(5, "/m/b", "Old bench", (4,), (9,)),
    )
)


def test_reused_ids_stay_and_names_follow_the_descriptions() -> None:
    assert reuse(EXISTING, ["/m/c", "/m/b", "/m/x"], DESCRIPTIONS) == LabelMap(
        (
            LabelMapItem(4, "/m/x", "X", (), (5, 9)),
            LabelMapItem(5, "/m/b", "Bench", (4,), (9,)),
            LabelMapItem(9, "/m/c", "Cat", (4, 5), ()),
        )
    )


def test_reuse_leaves_out_what_is_not_listed_and_never_reuses_its_id() -> None:
    # /m/c held the highest id: a model trained with the old map knows 9 as /m/c.
    assert reuse(EXISTING, ["/m/new", "/m/b", "/m/a"], DESCRIPTIONS, append=True) == LabelMap(
        (LabelMapItem(5, "/m/b", "Bench"), LabelMapItem(10, "/m/new", "/m/new"), LabelMapItem(11, "/m/a", "Apple"))
    )


def test_reuse_names_the_classes_the_map_lacks() -> None:
    with pytest.raises(ConfigError, match=r"2 classes .*: /m/new, /m/a;"):
        reuse(EXISTING, ["/m/new", "/m/b", "/m/a"], DESCRIPTIONS)
    with pytest.raises(ConfigError, match="and 5 more"):
        reuse(EXISTING, [f"/m/{number:03}" for number in range(25)], {})


def read_as_model_garden(text: str) -> Mapping[str, int]:
    """Follows TfExampleDecoderLabelMap._process_csv of official/vision/dataloaders/tf_example_label_map_decoder.py."""
    name_to_id = {}
    for row in csv.reader(text.splitlines(keepends=True)):
        id_text, name = row
        name_to_id[name] = int(id_text)
    return name_to_id


def test_the_csv_is_what_model_garden_reads() -> None:
    label_map = LabelMap((LabelMapItem(3, "/m/a", "A, a"), LabelMapItem(1, 'my "class", 2', "B")))
    assert format_csv(label_map).startswith("3,/m/a\n1,")
    assert read_as_model_garden(format_csv(label_map)) == label_map.id_of


@needs_real_data
def test_v4_boxable_descriptions_give_the_published_map_byte_for_byte() -> None:
    descriptions = read_real_descriptions("v4/class-descriptions-boxable.csv")
    label_map = build(list(descriptions), descriptions)
    assert format_pbtxt(label_map).encode() == (REAL / "oid_v4_label_map.pbtxt").read_bytes()
    assert all(item.display_name != item.name for item in label_map.items)


@needs_real_data
def test_v3_trainable_classes_give_the_published_ids() -> None:
    listed = read_class_list((REAL / V3_CLASSES / "classes-bbox-trainable.txt").read_bytes(), "classes.txt")
    ours = build(listed, read_real_descriptions(f"{V3_CLASSES}/class-descriptions.csv"))
    published = parse_pbtxt(read_real_text("oid_bbox_trainable_label_map.pbtxt"), "published")
    assert len(ours.items) == 545
    assert ours.id_of == published.id_of
    # The published map was made with the names of V2, and these two had changed by V3.
    renamed = {
        mine.id: (theirs.display_name, mine.display_name)
        for mine, theirs in zip(ours.items, published.items, strict=True)
        if mine != theirs
    }
    assert renamed == {118: ("Football", "General football"), 269: ("studio couch", "Studio couch")}


@needs_real_data
@pytest.mark.parametrize("name", ["oid_bbox_trainable_label_map.pbtxt", "oid_v4_label_map.pbtxt"])
def test_real_maps_read_as_with_protobuf_and_write_back_unchanged(name: str) -> None:
    text = read_real_text(name)
    label_map = parse_pbtxt(text, name)
    assert label_map == parse_with_protobuf(text)
    assert format_pbtxt(label_map) == text


@needs_real_data
def test_all_names_of_v3_survive_protobuf_text() -> None:
    descriptions = read_real_descriptions(f"{V3_CLASSES}/class-descriptions.csv")
    label_map = build(list(descriptions), descriptions, "mid")
    assert parse_with_protobuf(format_pbtxt(label_map)) == label_map


@needs_real_data
def test_the_v3_ids_stay_when_reused_for_v7() -> None:
    v3 = parse_pbtxt(read_real_text("oid_bbox_trainable_label_map.pbtxt"), "published")
    v7 = read_real_descriptions("v7/oidv7-class-descriptions-boxable.csv")
    reused = reuse(v3, list(v7), v7, append=True)
    assert set(reused.id_of) == set(v7)
    assert {name: id for name, id in reused.id_of.items() if name in v3.id_of} == v3.id_of
    assert {item.name: item.display_name for item in reused.items} == v7
    assert sorted(reused.id_of.values()) == list(range(1, len(v7) + 1))
