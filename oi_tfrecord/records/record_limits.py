"""Bounds what an Example takes in memory before it is parsed: a byte of a record may stand for a number of 8 bytes."""

from collections.abc import Iterator

FREE_BYTES = 8 << 20
"""A record of at most as many bytes is parsed whatever it holds."""

MAX_NUMBER_BYTES = 16 << 20
"""Bytes of all lists of numbers of a record: 4 million coordinates."""

MAX_VALUES = 1 << 20
"""Values of a list of bytes."""

MAX_KEYS = 10_000
"""Keys of a record; readers know some dozens."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

_FIXED_BYTES = {_FIXED64: 8, _FIXED32: 4}

_BYTES_LIST = 1


class TooManyValues(ValueError):
    """A record holds more values than the annotations of an image can be."""


def check_values_fit(data: bytes) -> None:
    """Checks that the lists of a serialised Example are not so long that they fill the memory.

    Args:
        data: the record. Bytes that are no Example pass: the parser refuses them.

    Raises:
        TooManyValues: if there are more numbers, keys or values than the limits of this module.
    """
    if len(data) <= FREE_BYTES:
        return
    view = memoryview(data)
    numbers = keys = 0
    for features in _messages(view, 1):
        for entry in _messages(features, 1):
            keys += 1
            check_keys_fit(keys)
            for kind, values in (field for feature in _messages(entry, 2) for field in _fields(feature)):
                if kind == _BYTES_LIST:
                    _check_count(values)
                else:
                    numbers += len(values)
    if numbers > MAX_NUMBER_BYTES:
        raise TooManyValues(f"has {numbers:,} bytes of numbers, and at most {MAX_NUMBER_BYTES:,} are read")


def check_keys_fit(keys: int) -> None:
    """Checks the number of keys of a record.

    Raises:
        TooManyValues: if there are too many.
    """
    if keys > MAX_KEYS:
        raise TooManyValues(f"has more than {MAX_KEYS:,} keys")


def _check_count(values: memoryview) -> None:
    for number, _ in enumerate(_fields(values), 1):
        if number > MAX_VALUES:
            raise TooManyValues(f"has more than {MAX_VALUES:,} values of one key")


def _messages(data: memoryview, number: int) -> Iterator[memoryview]:
    return (value for found, value in _fields(data) if found == number)


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yields (number, bytes) of each field of a message whose value has a length, up to bytes that are no message.

    Source: https://protobuf.dev/programming-guides/encoding.
    """
    place = 0
    while place < len(data):
        tag, place = _varint(data, place)
        kind = tag & 7
        if kind == _BYTES:
            length, place = _varint(data, place)
            yield tag >> 3, data[place : place + length]
            place += length
        elif kind == _VARINT:
            _, place = _varint(data, place)
        elif kind in _FIXED_BYTES:
            place += _FIXED_BYTES[kind]
        else:
            return


def _varint(data: memoryview, place: int) -> tuple[int, int]:
    """Returns a number in base-128 form and the place behind it."""
    value = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        place += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, place
        shift += 7
    return 0, len(data)
