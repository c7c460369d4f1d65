import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord.openimages.image_id import IdForm, choose_form, id_key, id_keys, image_ids, is_image_name


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


def test_the_key_of_a_published_id_is_its_value() -> None:
    assert id_key(b"00000000000000ff") == 255
    assert id_keys([b"ffffffffffffffff"]).tolist() == [2**64 - 1]


@pytest.mark.parametrize(
    "name", [b"00000000000000FF", b"0x000000000000ff", b"+00000000000000f", b"0000_0000_00000f", b"255"]
)
def test_the_key_of_any_other_name_is_a_hash(name: bytes) -> None:
    assert id_key(name) == int.from_bytes(hashlib.blake2b(name, digest_size=8).digest(), "little")


@pytest.mark.parametrize("name", [b"a", b"x" * 255, "猫".encode() * 85, b"...", b".a", "a\u2028b".encode(), b" "])
def test_a_name(name: bytes) -> None:
    assert is_image_name(name)


@pytest.mark.parametrize(
    "name",
    [b"", b"x" * 256, "猫".encode() * 86, b".", b"..", b"a/b", b"a\0", b"\x1f", b"\x7f", b"\xff", "\x9b".encode()],
)
def test_no_name(name: bytes) -> None:
    assert not is_image_name(name)


@pytest.mark.parametrize(
    ("names", "form"),
    [
        ([], IdForm.HEX),
        ([b"0" * 16, b"img_1"], IdForm.HEX),
        ([b"0" * 16, b"1" * 16, b"img_1", b"img_2", b"img_2"], IdForm.HEX),
        ([b"0" * 16, b"img_1", b"img_2"], IdForm.NAME),
        ([b"0" * 15 + b"A"], IdForm.NAME),
        ([b"a.jpg", b"b.PNG", b"c"], IdForm.FILE_NAME),
        ([b"a.jpg", b"b"], IdForm.NAME),
        ([b"a.b", b"b.c"], IdForm.NAME),
    ],
)
def test_the_form_is_that_of_most_ids(names: list[bytes], form: IdForm) -> None:
    assert choose_form(names) is form
