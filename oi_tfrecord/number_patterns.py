"""Regular expressions of numbers within bounds, of what POSIX's extended ones have."""

import itertools
from collections.abc import Iterator


def whole_numbers(low: int, high: int) -> str:
    """Returns the pattern of the whole numbers from `low` to `high` as Python writes them.

    Args:
      low: at least 0.
      high: at least `low`.
    """
    # Numbers of as many digits are compared digit by digit.
    edges = [low, *(10**digits for digits in range(len(str(low)), len(str(high)))), high + 1]
    spans = [(str(start), str(end - 1)) for start, end in itertools.pairwise(edges)]
    # All numbers of some lengths are one part.
    free = [len(start) - 1 for start, end in spans if int(start) and int(end) + 1 == 10 * int(start)]
    parts = [f"[1-9][0-9]{{{free[0]},{free[-1]}}}"] if len(free) > 1 else []
    for start, end in spans:
        if len(free) < 2 or len(start) - 1 not in free:
            parts += _same_length(start, end)
    return "|".join(parts)


def _same_length(low: str, high: str) -> Iterator[str]:
    rest = len(low) - 1
    if not rest:
        yield _digit(low, high)
        return
    if low[0] == high[0]:
        for part in _same_length(low[1:], high[1:]):
            yield low[0] + part
        return
    # The first digit decides but for the lowest and the highest, which the other digits may be free of too.
    first, last = int(low[0]), int(high[0])
    if low[1:] != "0" * rest:
        for part in _same_length(low[1:], "9" * rest):
            yield low[0] + part
        first += 1
    if high[1:] != "9" * rest:
        last -= 1
    if first <= last:
        yield _digit(str(first), str(last)) + (f"[0-9]{{{rest}}}" if rest > 1 else "[0-9]")
    if high[1:] != "9" * rest:
        for part in _same_length("0" * rest, high[1:]):
            yield high[0] + part


def _digit(low: str, high: str) -> str:
    return low if low == high else f"[{low}-{high}]"


def decimals(low: int, high: int, *, above_low: bool = False) -> str:
    """Returns the pattern of the decimal numbers from `low` to `high`, also with an exponent as Python writes 0.00001.

    Args:
      low: at least 0.
      high: above `low`.
      above_low: whether `low` is left out; it must be 0 then.
    """
    parts = [rf"{high}(\.0+)?"]
    if low:
        parts.append(rf"({whole_numbers(low, high - 1)})(\.[0-9]+)?")
        return "|".join(parts)
    if high > 1:
        parts.append(rf"({whole_numbers(1, high - 1)})(\.[0-9]+)?")
    # Not so many zeros that nothing is left of what follows them.
    parts.append(r"0?\.0{0,250}[1-9][0-9]*")
    parts.append(r"[1-9](\.[0-9]+)?e-(0[1-9]|[1-9][0-9]|[12][0-9][0-9])")
    if not above_low:
        parts.append(r"0(\.0*)?")
    return "|".join(parts)
