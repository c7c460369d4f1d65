import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord.openimages.image_id import image_ids


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**64 - 1), max_size=20))
def test_image_ids_are_read_from_hex(numbers: list[int]) -> None:
    digits = np.frombuffer("".join(f"{number:016x}" for number in numbers).encode(), np.uint8)
    found = image_ids(digits)
    assert found is not None
    assert found.tolist() == numbers


def test_only_lower_case_hex_digits_are_image_ids() -> None:
    for place in range(32):
        for byte in range(256):
            digits = np.full(32, ord("7"), np.uint8)
            digits[place] = byte
            assert (image_ids(digits) is not None) == (byte in b"0123456789abcdef"), (place, byte)


def test_image_ids_are_read_across_the_pieces_of_long_columns() -> None:
    numbers = np.arange(50_000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    digits = np.frombuffer("".join(f"{number:016x}" for number in numbers.tolist()).encode(), np.uint8)
    np.testing.assert_array_equal(image_ids(digits), numbers)
