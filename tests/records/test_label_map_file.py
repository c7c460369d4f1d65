import csv
from collections.abc import Mapping
from typing import Any

import pytest
from google.protobuf import text_format
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.classes import read_class_list, read_descriptions
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem, number_classes, reuse_ids
from oi_tfrecord.records.label_map_file import format_csv, format_pbtxt, parse_pbtxt
from oi_tfrecord.records.message_types import StringIntLabelMap
from tests.conftest import DATA

REAL = DATA / "real"
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


def read_real(name: str) -> bytes:
    return (REAL / name).read_bytes()


def read_real_descriptions(name: str) -> dict[str, str]:
    return read_descriptions(read_real(name), name)


@given(label_maps())
def test_a_written_label_map_reads_back_equal(label_map: LabelMap) -> None:
    assert parse_pbtxt(format_pbtxt(label_map).encode(), "m.pbtxt") == label_map


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
    assert parse_pbtxt(text.encode(), "m.pbtxt") == label_map


def test_writes_the_layout_of_the_published_maps_with_apostrophes_as_they_are() -> None:
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
  display_name: "caf\303\251 \x41\'"
  ancestor_ids: [1, 1]
  descendant_ids: []
},
item <
  id: 0x1F
  name: "only a name"
>;
"""


KEYPOINTS = b'"\x10\x08\x07\x12\x0cnose # } " {"\x07\x08\x08\x12\x03eye'
"""The two keypoints, serialised: field 4 of StringIntLabelMapItem, twice."""


@pytest.mark.parametrize("text", [HAND_WRITTEN, HAND_WRITTEN.replace("\n", "\r\n")])
def test_reads_hand_written_maps(text: str) -> None:
    assert parse_pbtxt(text.encode(), "m.pbtxt") == LabelMap(
        (
            LabelMapItem(1, "/m/a", 'it"s'),
            LabelMapItem(10, "/m/b", "café A'", (1, 1), (), KEYPOINTS),
            LabelMapItem(31, "only a name", "only a name"),
        )
    )


def test_fields_that_nobody_uses_here_are_kept() -> None:
    text = (
        'item {\n  name: "/m/a"\n  id: 4\n  display_name: "A"\n  keypoints {\n    id: 1\n    label: "nose"\n  }\n'
        "  frequency: RARE\n  instance_count: 12\n}\n"
    )
    parsed = parse_pbtxt(text.encode(), "m.pbtxt")
    assert format_pbtxt(parsed) == text
    assert format_pbtxt(reuse_ids(parsed, ["/m/a"], {})) == text


def test_skips_unknown_fields_of_every_kind_and_a_byte_order_mark() -> None:
    text = """\ufeffversion: 2 meta { tags: ["a", 'b'] deep { x: -1.5e3 y { } } }
    item { name: "/m/a" frequency: FREQUENT instance_count: 12 boxes: [{ id: 5 }, < id: 6 >] id: 4 }"""
    unused = StringIntLabelMap.FromString(b"\n\x04\x38\x01\x40\x0c").item[0].SerializeToString()
    assert parse_pbtxt(text.encode(), "m.pbtxt") == LabelMap((LabelMapItem(4, "/m/a", "/m/a", unused=unused),))


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", None, "no item"),
        ('items { name: "/m/a" id: 1 }\n', None, "no item"),
        ('item {\n  name: "/m/a"\n  id: 1\n', 3, 'Expected "}" (column 7)'),
        ('item {\n  name: "/m/a\n  id: 1\n}\n', 2, "missing ending quote"),
        ('item {\n  name: "/m/a"\n  id 1\n}\n', 3, 'm.pbtxt, line 3: Expected ":" (column 6). Correct'),
        ('item {\n  name: "/m/a"\n  id:\n}\n', 4, "parse integer: }"),
        # text_format names the place after a string that it cannot decode.
        ('item {\n  name: "\\377"\n id: 1\n}\n', 3, "can't decode byte 0xff"),
        ("item {\n  name: 5\n  id: 1\n}\n", 2, "Expected string"),
        ('item {\n  name: "/m/a"\n  id: 1.5\n}\n', 3, "parse integer: 1.5"),
        ('item {\n  name: "/m/a"\n  id: "1"\n}\n', 3, 'parse integer: "1"'),
        ('\nitem {\n  name: "/m/a"\n}\n', 2, "no id"),
        ("item {\n  id: 1\n}\n", 1, "no name"),
        ('item {\n  name: "/m/a"\n  id: 1\n  name: "/m/b"\n}\n', 4, 'multiple "name" fields'),
        ('item {\n  name: "/m/a"\n  id: 1\n  id: 1\n}\n', 4, 'multiple "id" fields'),
        ('item { name: "/m/a" id: 1 }\n}\n', 2, "Expected identifier"),
        ("item: 5\n", 1, 'Expected "{"'),
        ('item { name: "/m/a" id: 1 }\nitem { name: "/m/b" id: 0 }\n', 2, "ids go from 1"),
        ('item { name: "/m/a" id: 1 }\nitem { name: "/m/b" id: 1 }\n', 2, "the same id 1"),
        ('item { name: "/m/a" id: 1 }\n\nitem { name: "/m/a" id: 2 }\n', 3, "two ids, 1 and 2"),
        ('item { name: "/m/a" id: 1 ancestor_ids: 2 }\n', 1, "relative 2"),
        (
            'item { name: "#{" # item { }\n id: 1 }\nx { item { } } item: [{ name: "b" id: 2 },\n< id: 3 >]\n',
            4,
            "no name",
        ),
        ("a: [1 2]\n", 1, 'Expected ","'),
        ("$\n", 1, "got $"),
        ("\na: $\n", None, "Invalid field value: $"),
        ("a {" * 5000, None, "nested"),
        ("item { name: '/m/a' id: x }" * 1000, 1, "m.pbtxt, line 1: Couldn't parse integer: x (column 25). Correct"),
    ],
)
def test_refuses_a_bad_map_with_its_line(text: str, line: int | None, words: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_pbtxt(text.encode(), "d/m.pbtxt")
    assert caught.value.path == "d/m.pbtxt"
    assert caught.value.line == line
    assert words in str(caught.value)


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
    label_map = number_classes(list(descriptions), descriptions)
    assert format_pbtxt(label_map).encode() == read_real("oid_v4_label_map.pbtxt")
    assert all(item.display_name != item.name for item in label_map.items)


@needs_real_data
def test_v3_trainable_classes_give_the_published_ids() -> None:
    listed = read_class_list(read_real(f"{V3_CLASSES}/classes-bbox-trainable.txt"), "classes.txt")
    ours = number_classes(listed, read_real_descriptions(f"{V3_CLASSES}/class-descriptions.csv"))
    published = parse_pbtxt(read_real("oid_bbox_trainable_label_map.pbtxt"), "published")
    assert len(ours.items) == 545
    assert ours.id_of == published.id_of
    # The published map was made with the names of V2, and these two had changed by V3.
    renamed = {
        mine.id: (known.display_name, mine.display_name)
        for mine, known in zip(ours.items, published.items, strict=True)
        if mine != known
    }
    assert renamed == {118: ("Football", "General football"), 269: ("studio couch", "Studio couch")}


@needs_real_data
@pytest.mark.parametrize(
    ("name", "classes"), [("oid_bbox_trainable_label_map.pbtxt", 545), ("oid_v4_label_map.pbtxt", 601)]
)
def test_published_maps_are_written_back_byte_for_byte(name: str, classes: int) -> None:
    label_map = parse_pbtxt(read_real(name), name)
    assert len(label_map.items) == classes
    assert format_pbtxt(label_map).encode() == read_real(name)


@needs_real_data
def test_all_names_of_v3_survive_protobuf_text() -> None:
    descriptions = read_real_descriptions(f"{V3_CLASSES}/class-descriptions.csv")
    label_map = number_classes(sorted(descriptions), descriptions)
    assert parse_pbtxt(format_pbtxt(label_map).encode(), "m.pbtxt") == label_map
