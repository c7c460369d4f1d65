import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from templates.dataflow.make_metadata import decimals, whole_numbers

BOUNDS = [(0, 0), (0, 1), (1, 9), (0, 65_535), (1, 86_399), (7, 10), (99, 101), (1, 2**31 - 2**20), (123, 98_765)]


@pytest.mark.parametrize(
    ("low", "high"), [(low, high) for high in range(125) for low in (0, 1, 7, 10, 99) if low <= high]
)
def test_every_small_number_matches_if_it_is_within(low: int, high: int) -> None:
    pattern = re.compile(whole_numbers(low, high))
    assert [number for number in range(1300) if pattern.fullmatch(str(number))] == list(range(low, high + 1))


@given(st.integers(0, 2**50), st.integers(0, 2**50), st.data())
def test_a_number_matches_if_it_is_within(one: int, other: int, data: st.DataObject) -> None:
    low, high = sorted((one, other))
    near = st.sampled_from([low, high]).flatmap(lambda bound: st.integers(max(bound - 2, 0), bound + 2))
    number = data.draw(st.one_of(near, st.integers(0, 2**51), st.integers(low, high)))
    assert bool(re.fullmatch(whole_numbers(low, high), str(number))) == (low <= number <= high)


@pytest.mark.parametrize(("low", "high"), BOUNDS)
@pytest.mark.parametrize("text", ["", "007", "-1", "+1", "1_0", "1.0", "1e3", " 1", "a"])
def test_no_other_text_is_a_whole_number(low: int, high: int, text: str) -> None:
    assert not re.fullmatch(whole_numbers(low, high), text)


@pytest.mark.parametrize(
    ("low", "high", "above_low"), [(0, 1, False), (0, 1, True), (1, 86_400, False), (0, 12, False)]
)
@given(data=st.data())
def test_a_decimal_matches_if_it_is_within(low: int, high: int, above_low: bool, data: st.DataObject) -> None:
    texts = st.from_regex(re.compile(r"[0-9]{0,6}(\.[0-9]{1,20})?(e-[0-9]{2,3})?"), fullmatch=True).filter(is_number)
    numbers = st.floats(0, high * 1.5).map(repr)
    text = data.draw(st.one_of(texts, numbers, st.from_regex(decimals(low, high, above_low=above_low), fullmatch=True)))
    within = low < float(text) <= high if above_low else low <= float(text) <= high
    if re.fullmatch(decimals(low, high, above_low=above_low), text):
        assert within
    elif within:
        # What Python writes itself matches, but for numbers of hundreds of zeros.
        assert repr(float(text)) != text or float(text) < 1e-290


def is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@pytest.mark.parametrize(
    "text", ["0.5", ".5", "1", "1.0", "1.000", "0.0000001", "1e-07", "2.5e-12", "0.999999999999999999999"]
)
def test_ways_to_write_a_share(text: str) -> None:
    assert re.fullmatch(decimals(0, 1, above_low=True), text)


@pytest.mark.parametrize("text", ["0", "0.0", ".", "0.", "1.0001", "2", "-0.5", "nan", "inf", "1e3", "1e-00", ""])
def test_what_is_no_share(text: str) -> None:
    assert not re.fullmatch(decimals(0, 1, above_low=True), text)
