import pytest
from google.protobuf import text_format

from oi_tfrecord.records.message_types import StringIntLabelMap
from oi_tfrecord.training.text_proto import find_lines, find_values, has, keep_first_message, quote, remove, set_value

TEXT = """\
# A "comment { with" brackets.
model {  # inside
  ssd < num_classes: 90; scale: - 1.5e-3, name: 'it\\'s' "two" >
  [ext.field] { a: 1 }
}
reader: { path: "a#{b" path: ["c", "d"]
  list: [ { x: 1 }, { x: 2 } ]
}
"""


def test_values_are_found_whatever_the_brackets_separators_and_quotes() -> None:
    assert find_values(TEXT, ("model", "ssd", "num_classes")) == ["90"]
    assert find_values(TEXT, ("model", "ssd", "scale")) == ["- 1.5e-3"]
    assert find_values(TEXT, ("model", "ssd", "name")) == ["'it\\'s' \"two\""]
    assert find_values(TEXT, ("model", "[ext.field]", "a")) == ["1"]
    assert find_values(TEXT, ("reader", "path")) == ['"a#{b"', '["c", "d"]']
    assert find_values(TEXT, ("reader", "list", "x")) == ["1", "2"]
    assert has(TEXT, ("model", "ssd"))
    assert not has(TEXT, ("model", "comment"))


def test_a_value_replaces_all_others_and_the_rest_stays() -> None:
    edited = set_value(TEXT, ("reader", "path"), quote("new"))
    assert edited == TEXT.replace('path: "a#{b" path: ["c", "d"]', ' path: "new"')
    assert set_value(TEXT, ("model", "ssd", "num_classes"), "7") == TEXT.replace("90", "7")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 'item {\n  name: "x"\n}\n'),
        ("other: 1", 'other: 1\nitem {\n  name: "x"\n}\n'),
        ("item { id: 1 }\n", 'item { id: 1 name: "x" }\n'),
        ("item {\n  id: 1  # one\n}\n", 'item {\n  id: 1  # one\n  name: "x"\n}\n'),
        ("  item {\n  }\n", '  item {\n    name: "x"\n  }\n'),
        ("item {}", 'item { name: "x" }'),
    ],
)
def test_a_field_that_lacks_is_added_in_its_message(text: str, expected: str) -> None:
    edited = set_value(text, ("item", "name"), '"x"')
    assert edited == expected
    message = text_format.Parse(edited, StringIntLabelMap(), allow_unknown_field=True)
    assert message.item[0].name == "x"


def test_removal_takes_lines_that_are_empty_then_and_no_others() -> None:
    assert remove("a: 1\nb: 2;\nc: 3\n", ("b",)) == "a: 1\nc: 3\n"
    assert remove("a: 1 b: 2\n", ("b",)) == "a: 1 \n"
    assert remove("b: 2  # why\n", ("b",)) == "  # why\n"
    assert remove(TEXT, ("none", "such")) == TEXT


def test_the_first_of_repeated_messages_is_kept() -> None:
    assert keep_first_message("r { a: 1 }\nr { a: 2 }\n", ("r",)) == "r { a: 1 }\n"
    assert keep_first_message("r: [{ a: 1 }, { a: 2 }]\n", ("r",)) == "r: { a: 1 }\n"
    assert keep_first_message("b: 1\n", ("r",)) == "b: 1\n"


def test_lines_of_a_word_are_those_of_values() -> None:
    assert find_lines('# WORD\na: 1\nb: "x/WORD"\n', "WORD") == [3]


def test_paths_are_quoted() -> None:
    assert find_values("a: " + quote('x"y é'), ("a",)) == ['"x\\"y é"']
