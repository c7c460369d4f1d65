import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.records.example_reader import (
    ExampleError,
    RecordFault,
    Values,
    check_lengths,
    decode,
    get_bytes,
    get_classes,
    get_integer,
    get_numbers,
    get_strings,
    parse_example,
)

EXAMPLE = {
    "ids/label": np.array([1, 9]),
    "texts/text": [b"/m/a", b"\xff"],
    "texts/label": np.array([5, 6]),
    "none": None,
    "empty": [],
}


def test_values_have_the_kind_that_the_function_names() -> None:
    assert get_numbers(EXAMPLE, "ids/label").tolist() == [1, 9]
    assert get_strings(EXAMPLE, "texts/text") == [b"/m/a", b"\xff"]
    assert (get_integer(EXAMPLE, "ids/label"), get_bytes(EXAMPLE, "texts/text")) == (1, b"/m/a")


@pytest.mark.parametrize("key", ["absent", "none", "empty"])
def test_an_absent_key_has_no_values(key: str) -> None:
    assert (len(get_numbers(EXAMPLE, key)), get_strings(EXAMPLE, key)) == (0, [])
    assert (get_integer(EXAMPLE, key), get_bytes(EXAMPLE, key)) == (0, b"")


def test_a_key_of_the_wrong_kind_is_a_fault() -> None:
    with pytest.raises(RecordFault, match="holds bytes"):
        get_numbers(EXAMPLE, "texts/text")
    with pytest.raises(RecordFault, match="holds numbers"):
        get_strings(EXAMPLE, "ids/label")


def test_classes_are_by_text_or_by_id() -> None:
    assert get_classes(EXAMPLE, "texts", {5: "/m/other"}) == ["/m/a", "\ufffd"]
    assert get_classes(EXAMPLE, "ids", {1: "/m/one"}) == ["/m/one", "id 9"]


def test_lengths_must_be_equal() -> None:
    check_lengths({"a": 2}, 2)
    with pytest.raises(RecordFault, match="3 values of b"):
        check_lengths({"a": 2, "b": 3}, 2)


def test_bytes_that_are_no_utf8_become_a_replacement_character() -> None:
    assert decode("é".encode() + b"\xe9") == "é\ufffd"


floats = st.floats(width=32, allow_nan=False)
int64s = st.integers(-(1 << 63), (1 << 63) - 1)
features = st.dictionaries(
    st.text(max_size=8),
    st.one_of(
        st.tuples(st.just("bytes_list"), st.lists(st.binary(max_size=8), max_size=4)),
        st.tuples(st.just("float_list"), st.lists(floats, max_size=4)),
        st.tuples(st.just("int64_list"), st.lists(int64s, max_size=4)),
        st.just(None),
    ),
    max_size=5,
)


def kind_and_values(values: Values) -> tuple[str, list] | None:
    if values is None:
        return None
    if isinstance(values, list):
        return "bytes_list", values
    return {np.dtype("f4"): "float_list", np.dtype("i8"): "int64_list"}[values.dtype], values.tolist()


@given(features=features)
def test_reads_what_tensorflow_writes(features: dict[str, tuple[str, list] | None]) -> None:
    tf = pytest.importorskip("tensorflow")
    example = tf.train.Example()
    for key, value in features.items():
        feature = example.features.feature[key]
        if value is not None:
            getattr(feature, value[0]).SetInParent()
            getattr(feature, value[0]).value.extend(value[1])
    parsed = parse_example(example.SerializeToString())
    assert {key: kind_and_values(values) for key, values in parsed.items()} == features
    assert list(parsed) == sorted(features)


@pytest.mark.parametrize("data", [b"\x0a\x05", b"\x0a\x02\x0a\x00\xff", b"<html>"])
def test_bytes_that_are_no_example_are_an_error(data: bytes) -> None:
    with pytest.raises(ExampleError, match=r"not a tf\.train\.Example"):
        parse_example(data)


def test_no_bytes_are_an_example_without_keys() -> None:
    assert parse_example(b"") == {}
