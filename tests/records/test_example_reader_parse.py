import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.records.example_reader import ExampleError, Values, parse_example
from tests.support.optional import tensorflow as tf

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


def told(values: Values) -> tuple[str, list] | None:
    if values is None:
        return None
    if isinstance(values, list):
        return "bytes_list", values
    return {np.dtype("f4"): "float_list", np.dtype("i8"): "int64_list"}[values.dtype], values.tolist()


@given(features=features)
def test_reads_what_tensorflow_writes(features: dict[str, tuple[str, list] | None]) -> None:
    example = tf.train.Example()
    for key, value in features.items():
        feature = example.features.feature[key]
        if value is not None:
            getattr(feature, value[0]).SetInParent()
            getattr(feature, value[0]).value.extend(value[1])
    parsed = parse_example(example.SerializeToString())
    assert {key: told(values) for key, values in parsed.items()} == features
    assert list(parsed) == sorted(features)


@pytest.mark.parametrize("data", [b"\x0a\x05", b"\x0a\x02\x0a\x00\xff", b"<html>"])
def test_what_is_no_example_is_an_error(data: bytes) -> None:
    with pytest.raises(ExampleError, match=r"not a tf\.train\.Example"):
        parse_example(data)


def test_no_bytes_are_an_example_without_keys() -> None:
    assert parse_example(b"") == {}
