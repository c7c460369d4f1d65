"""Serialises `tf.train.Example` without TensorFlow, to the same bytes as TensorFlow's deterministic serialisation.

Wire format: tensorflow/core/example/{example,feature}.proto; map entries are written in the
order of their keys, as `SerializeToString(deterministic=True)` does.
"""

import functools
from collections.abc import Sequence

_SMALL_VARINTS = tuple(
    bytes((value,)) if value < 0x80 else bytes((value & 0x7F | 0x80, value >> 7)) for value in range(1 << 14)
)

_BYTES, _FLOAT, _INT64 = b"\x0a", b"\x12", b"\x1a"

_KEPT_STARTS = 1 << 10
"""Lengths of lists for which the bytes before the list are kept, as the lists of most images are short."""


def varint(value: int) -> bytes:
    """Returns a non-negative integer below 2**64 in protobuf's base-128 form."""
    if value < 1 << 14:
        return _SMALL_VARINTS[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def bytes_value(value: bytes) -> bytes:
    """Returns one element of a BytesList."""
    return b"\x0a" + varint(len(value)) + value


def bytes_feature(values: Sequence[bytes]) -> bytes:
    """Returns a Feature with a BytesList of `values`."""
    return joined_bytes_feature(b"".join(map(bytes_value, values)))


def joined_bytes_feature(elements: bytes) -> bytes:
    """Returns a Feature with a BytesList whose elements are already encoded by `bytes_value`."""
    return _BYTES + varint(len(elements)) + elements


def float_feature(packed: bytes) -> bytes:
    """Returns a Feature with a FloatList.

    Args:
        packed: The values as little-endian float32, 4 bytes each.
    """
    return _packed(_FLOAT, packed)


def int64_feature(values: Sequence[int]) -> bytes:
    """Returns a Feature with an Int64List of `values`, each in [-2**63, 2**63)."""
    return joined_int64_feature(b"".join(varint(value & 0xFFFFFFFFFFFFFFFF) for value in values))


def joined_int64_feature(packed: bytes) -> bytes:
    """Returns a Feature with an Int64List whose values are already encoded by `varint`."""
    return _packed(_INT64, packed)


def _packed(kind: bytes, packed: bytes) -> bytes:
    return _start_packed(kind, len(packed)) + packed if packed else kind + b"\x00"


@functools.lru_cache(_KEPT_STARTS)
def _start_packed(kind: bytes, length: int) -> bytes:
    """Returns what comes before `length` bytes of packed numbers."""
    start = b"\x0a" + varint(length)
    return kind + varint(len(start) + length) + start


class EntryEncoder:
    """Encodes the map entry of one feature key."""

    def __init__(self, key: str):
        """Encodes what all entries of `key` begin with."""
        encoded = key.encode()
        self.key = key
        self._prefix = b"\x0a" + varint(len(encoded)) + encoded + b"\x12"
        self._start = functools.lru_cache(_KEPT_STARTS)(self._make_start)

    def encode(self, feature: bytes) -> bytes:
        """Returns the entry of this key with `feature` as value."""
        return self._start(len(feature)) + feature

    def _make_start(self, length: int) -> bytes:
        """Returns what comes before a feature of `length` bytes."""
        start = self._prefix + varint(length)
        return b"\x0a" + varint(len(start) + length) + start

    def encode_around(self, value_length: int) -> bytes:
        """Returns the entry of a BytesList with one value of `value_length` bytes, up to that value.

        The value is the end of the entry, so it can be written without being copied.
        """
        element = b"\x0a" + varint(value_length)
        list_length = len(element) + value_length
        feature = _BYTES + varint(list_length) + element
        feature_length = len(feature) + value_length
        body = self._prefix + varint(feature_length) + feature
        return b"\x0a" + varint(len(body) + value_length) + body


def assemble(before: bytes, value: bytes, after: bytes) -> tuple[bytes, bytes, bytes]:
    """Returns the pieces of an Example from the entries before and after a large value.

    Args:
        before: Encoded entries; the last one is the start of an entry that `encode_around` returned.
        value: The large value; it is passed on, not copied.
        after: The encoded entries that follow.

    Returns:
        Three pieces whose concatenation is the serialised Example.
    """
    length = len(before) + len(value) + len(after)
    return b"\x0a" + varint(length) + before, value, after


def encode_example(features: dict[str, bytes]) -> bytes:
    """Returns a serialised Example.

    Args:
        features: Key to encoded Feature.
    """
    entries = b"".join(EntryEncoder(key).encode(features[key]) for key in sorted(features))
    return b"\x0a" + varint(len(entries)) + entries
