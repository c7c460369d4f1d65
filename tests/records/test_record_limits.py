"""Records whose few bytes would fill the memory once they are parsed."""

import pytest

from oi_tfrecord.records import record_limits
from oi_tfrecord.records.example_reader import ExampleError, parse_example
from oi_tfrecord.records.example_writer import bytes_feature, encode_example, float_feature, int64_feature, varint
from oi_tfrecord.records.record_limits import TooManyValues, check_values_fit

LIMIT = 1000


@pytest.fixture(autouse=True)
def small_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FREE_BYTES", "MAX_NUMBER_BYTES", "MAX_VALUES", "MAX_KEYS"):
        monkeypatch.setattr(record_limits, name, LIMIT)


def test_what_an_image_has_passes() -> None:
    check_values_fit(
        encode_example({"image/encoded": bytes_feature([bytes(100 * LIMIT)]), "a": int64_feature([1, -1])})
    )
    check_values_fit(encode_example({"a": bytes_feature([b"x"] * LIMIT), "b": float_feature(bytes(LIMIT - 8))}))


@pytest.mark.parametrize(
    ("features", "problem"),
    [
        ({"a": int64_feature([1] * (LIMIT + 1))}, "bytes of numbers"),
        # Numbers that are not packed: each has a tag.
        ({"a": b"\x1a" + varint(2 * LIMIT) + b"\x08\x01" * LIMIT}, "bytes of numbers"),
        ({"a": float_feature(bytes(600)), "b": float_feature(bytes(600))}, "bytes of numbers"),
        ({"a": bytes_feature([b""] * (LIMIT + 1))}, "values of one key"),
        ({f"{number}": int64_feature([]) for number in range(LIMIT + 1)}, "keys"),
    ],
)
def test_too_many_values_are_refused(features: dict[str, bytes], problem: str) -> None:
    data = encode_example(features)
    with pytest.raises(TooManyValues, match=problem):
        check_values_fit(data)
    with pytest.raises(ExampleError, match="not an image with annotations"):
        parse_example(data)


@pytest.mark.parametrize(
    "data", [b"\xff" * 5000, b"\x0a" * 5000, b"\x0b" * 5000, bytes(5000), b"\x0a\xff\xff\xff\x7f" * 2000]
)
def test_bytes_that_are_no_message_are_left_to_the_parser(data: bytes) -> None:
    check_values_fit(data)
