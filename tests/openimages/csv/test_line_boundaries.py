from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.csv.line_boundaries import MAX_LINE_BYTES, align_to_line, line_range


def reader_of(data: bytes) -> Callable[[int, int], bytes]:
    return lambda offset, length: data[offset : offset + length]


@settings(deadline=None)
@given(st.binary(max_size=60).map(lambda data: data.replace(b"x", b"\n")), st.integers(1, 20), st.integers(0, 60))
def test_line_ranges_partition_the_file_at_line_starts(data: bytes, block_size: int, rows: int) -> None:
    rows_start = data.find(b"\n", rows) + 1
    ranges = [
        line_range(reader_of(data), len(data), at, min(at + block_size, len(data)), "", rows_start)
        for at in range(rows_start, len(data), block_size)
    ]
    full = [(first, last) for first, last in ranges if first < last]
    assert b"".join(data[first:last] for first, last in ranges) == data[rows_start:]
    assert all(first == rows_start or data[first - 1] == 10 for first, _ in full)


def test_a_line_longer_than_one_read_is_followed_to_its_end() -> None:
    data = b"a" * 200_000 + b"\n" + b"b\n"
    assert align_to_line(reader_of(data), len(data), 10, "") == 200_001


def test_a_line_over_the_limit_is_an_input_error() -> None:
    data = b"a\n" + b"b" * (MAX_LINE_BYTES + 200_000) + b"\n"
    with pytest.raises(InputError, match="no line ends") as caught:
        align_to_line(reader_of(data), len(data), 5, "big.csv")
    assert caught.value.path == "big.csv"


def test_a_file_shorter_than_its_size_is_an_input_error() -> None:
    with pytest.raises(InputError, match="ends at byte 3"):
        align_to_line(reader_of(b"abc"), 10, 2, "a.csv")
