import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from oi_tfrecord.openimages.schema import ATTRIBUTION, COORDINATES, FLAGS
from oi_tfrecord.records.example_writer import (
    EntryEncoder,
    assemble,
    bytes_feature,
    bytes_value,
    encode_example,
    float_feature,
    int64_feature,
    joined_bytes_feature,
    joined_int64_feature,
    varint,
)
from tests.support.optional import tensorflow as tf


def free_of_prefixes(keys: set[str]) -> bool:
    """Whether no key begins with another.

    protobuf's C implementation puts the longer of two such keys first, its Python implementation the shorter.
    No two keys of our records are such.
    """
    return not any(one != other and other.startswith(one) for one in keys for other in keys)


KEYS = st.text(max_size=40)
FEATURES = st.one_of(
    st.tuples(st.just("bytes"), st.lists(st.binary(max_size=400), max_size=6)),
    st.tuples(st.just("float"), st.lists(st.floats(width=32, allow_nan=False), max_size=200)),
    st.tuples(st.just("int64"), st.lists(st.integers(-(2**63), 2**63 - 1), max_size=200)),
)


def without_tensorflow(kind: str, values: list) -> bytes:
    if kind == "bytes":
        return bytes_feature(values)
    if kind == "float":
        return float_feature(np.array(values, "<f4").tobytes())
    return int64_feature(values)


def with_tensorflow(features: dict[str, tuple[str, list]]) -> bytes:
    example = tf.train.Example()
    for key, (kind, values) in features.items():
        feature = example.features.feature[key]
        chosen = getattr(feature, f"{kind}_list")
        chosen.SetInParent()
        chosen.value.extend(values)
    # The message is there even when it holds no feature.
    example.features.SetInParent()
    return example.SerializeToString(deterministic=True)


@given(features=st.dictionaries(KEYS, FEATURES, max_size=8))
def test_equals_what_tensorflow_serialises(features: dict[str, tuple[str, list]]) -> None:
    encoded = encode_example({key: without_tensorflow(*value) for key, value in features.items()})
    if free_of_prefixes(set(features)):
        assert encoded == with_tensorflow(features)
    assert tf.train.Example.FromString(encoded) == tf.train.Example.FromString(with_tensorflow(features))


@given(
    before=st.dictionaries(st.text("abc", min_size=1, max_size=4), FEATURES, max_size=4),
    value=st.binary(max_size=70_000),
    after=st.dictionaries(st.text("xyz", min_size=1, max_size=4), FEATURES, max_size=4),
)
def test_a_large_value_is_passed_on_without_being_copied(
    before: dict[str, tuple[str, list]], value: bytes, after: dict[str, tuple[str, list]]
) -> None:
    assume(free_of_prefixes({*before, *after}))

    def entries(features: dict[str, tuple[str, list]]) -> bytes:
        return b"".join(EntryEncoder(key).encode(without_tensorflow(*features[key])) for key in sorted(features))

    head = entries(before) + EntryEncoder("m").encode_around(len(value))
    pieces = assemble(head, value, entries(after))
    assert pieces[1] is value
    assert b"".join(pieces) == with_tensorflow(before | {"m": ("bytes", [value])} | after)


def test_no_key_of_a_record_begins_with_another() -> None:
    keys = {
        *(f"image/{name}" for name in ("encoded", "filename", "format", "height", "width", "source_id", "key/sha256")),
        *(f"image/object/{name}" for name in ("area", "is_crowd", "source", "class/text", "class/label", *FLAGS)),
        *(f"image/object/bbox/{name}" for name in (*COORDINATES, "confidence")),
        *(f"image/{kind}/{name}" for kind in ("class", "machine_class") for name in ("text", "label", "confidence")),
        "image/class/source",
        *(f"image/attribution/{name}" for name in ATTRIBUTION),
    }
    assert free_of_prefixes(keys)


@given(value=st.integers(0, 2**64 - 1))
def test_varint_is_base_128(value: int) -> None:
    encoded = varint(value)
    assert sum((byte & 0x7F) << 7 * place for place, byte in enumerate(encoded)) == value
    assert [byte >> 7 for byte in encoded] == [1] * (len(encoded) - 1) + [0]


@given(values=st.lists(st.binary(max_size=200), max_size=5), numbers=st.lists(st.integers(0, 2**40), max_size=5))
def test_joined_features_equal_those_made_at_once(values: list[bytes], numbers: list[int]) -> None:
    assert joined_bytes_feature(b"".join(map(bytes_value, values))) == bytes_feature(values)
    assert joined_int64_feature(b"".join(map(varint, numbers))) == int64_feature(numbers)
