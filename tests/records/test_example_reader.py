import numpy as np
import pytest

from oi_tfrecord.records.example_reader import (
    RecordFault,
    check_lengths,
    decode,
    get_bytes,
    get_classes,
    get_integer,
    get_numbers,
    get_strings,
)

EXAMPLE = {
    "ids/label": np.array([1, 9]),
    "texts/text": [b"/m/a", b"\xff"],
    "texts/label": np.array([5, 6]),
    "none": None,
    "empty": [],
}


def test_values_of_the_kind_asked_for() -> None:
    assert get_numbers(EXAMPLE, "ids/label").tolist() == [1, 9]
    assert get_strings(EXAMPLE, "texts/text") == [b"/m/a", b"\xff"]
    assert (get_integer(EXAMPLE, "ids/label"), get_bytes(EXAMPLE, "texts/text")) == (1, b"/m/a")


@pytest.mark.parametrize("key", ["absent", "none", "empty"])
def test_what_is_not_there_is_empty(key: str) -> None:
    assert (len(get_numbers(EXAMPLE, key)), get_strings(EXAMPLE, key)) == (0, [])
    assert (get_integer(EXAMPLE, key), get_bytes(EXAMPLE, key)) == (0, b"")


def test_another_kind_is_a_fault() -> None:
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


def test_text_that_is_no_utf8_is_shown() -> None:
    assert decode("é".encode() + b"\xe9") == "é\ufffd"
