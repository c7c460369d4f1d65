"""Keys by which Flink groups elements evenly over its slots.

Beam's batch runner for Flink gives a group to the slot `murmur(Arrays.hashCode(key)) mod parallelism`, where the key is
the bytes of Beam's coder (`EncodedValueComparator` of Beam 2.62, `OutputEmitter` and `MathUtils` of Flink 1.19). With
consecutive numbers as keys, the busiest slot has up to 2.4 times its share. A shuffle behind the grouping would even
the groups, but all elements would be shuffled twice. So keys are chosen by the formula instead. An engine with another
formula groups by these keys as well as by any.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

_MOST_TRIES = 100_000
"""Keys that are tried for a number; a number whose tries all fail keeps itself as key, in a slot that is too full."""


def spread_keys(numbers: Sequence[int], step: int, slots: int) -> dict[int, int]:
    """Returns the key of each number, so that each slot has as many of them as any other, or one more.

    Args:
        numbers: numbers to group by, from 0 to `step` - 1.
        step: key mod `step` is the number.
        slots: slots of the job; 0 if unknown, then each number is its own key.
    """
    if slots <= 1:
        return {number: number for number in numbers}
    least, larger = divmod(len(numbers), slots)
    room = [least + (slot < larger) for slot in range(slots)]
    keys: dict[int, int] = {}
    for number in numbers:
        key = _first_with_room(range(number, number + step * _MOST_TRIES, step), room)
        room[slot_of(key, slots)] -= 1
        keys[number] = key
    return keys


def count_in_slots(keys: Iterable[int], slots: int) -> list[int]:
    """Returns the number of keys that Flink gives to each slot."""
    counts = Counter(slot_of(key, slots) for key in keys)
    return [counts[slot] for slot in range(slots)]


def slot_of(key: int, slots: int) -> int:
    """Returns the slot of a group, from 0.

    Args:
        key: of the group, not negative.
        slots: slots of the job.
    """
    return _murmur(_hash_of_bytes(_varint(key))) % slots


def _first_with_room(keys: Sequence[int], room: Sequence[int]) -> int:
    return next((key for key in keys if room[slot_of(key, len(room))] > 0), keys[0])


def _varint(key: int) -> Iterable[int]:
    """Returns the bytes of Beam's VarIntCoder, from -128 to 127 as those of Java."""
    while key >= 0x80:
        yield (key & 0x7F) - 0x80
        key >>= 7
    yield key


def _hash_of_bytes(data: Iterable[int]) -> int:
    """Returns `Arrays.hashCode` of signed bytes, as a number without sign."""
    code = 1
    for byte in data:
        code = 31 * code + byte & 0xFFFFFFFF
    return code


def _murmur(value: int) -> int:
    code = value * 0xCC9E2D51 & 0xFFFFFFFF
    code = _rotate(code, 15) * 0x1B873593 & 0xFFFFFFFF
    code = _rotate(code, 13) * 5 + 0xE6546B64 & 0xFFFFFFFF
    code ^= 4
    code = (code ^ code >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    code = (code ^ code >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    code ^= code >> 16
    # The absolute value of a signed number of 32 bits, 0 for the least of them.
    signed = code - (code >> 31 << 32)
    return abs(signed) & 0x7FFFFFFF


def _rotate(code: int, bits: int) -> int:
    return (code << bits | code >> 32 - bits) & 0xFFFFFFFF
