import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.engine.progress_line import format_size


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (999.5, "1.00 KB"),
        (1000, "1.00 KB"),
        (9_996, "10.0 KB"),
        (235_400, "235 KB"),
        (999_499, "999 KB"),
        (999_500, "1.00 MB"),
        (4_640_000, "4.64 MB"),
        (9_500_000, "9.50 MB"),
        (9_994_000, "9.99 MB"),
        (9_996_000, "10.0 MB"),
        (99_940_000, "99.9 MB"),
        (99_960_000, "100 MB"),
        (45_678_900, "45.7 MB"),
        (150_000_000, "150 MB"),
        (513e9, "513 GB"),
        (18.4e12, "18.4 TB"),
        (12_345e12, "12,345 TB"),
    ],
)
def test_a_size_has_three_digits_and_a_fitting_unit(size: float, text: str) -> None:
    assert format_size(size) == text


@given(st.floats(0, 1e15))
def test_no_size_is_told_as_more_or_less_than_it_is(size: float) -> None:
    number, unit = format_size(size).split()
    scale = {"TB": 1e12, "GB": 1e9, "MB": 1e6, "KB": 1e3}.get(unit, 1)
    assert float(number.replace(",", "")) * scale == pytest.approx(size, rel=0.006, abs=0.5)
    assert scale == 1 or re.fullmatch(r"\d\.\d\d|\d\d\.\d|\d\d\d|[\d,]{5,}", number)
