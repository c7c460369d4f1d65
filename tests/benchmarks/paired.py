"""Compares programs that run in turn on one machine, so that its changing load meets all of them alike."""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

Result = TypeVar("Result")


@dataclasses.dataclass(frozen=True)
class Spread:
    """The middle and the ends of some measurements.

    Attributes:
        median: of the values; of an even number, the mean of the middle two.
        least: smallest value.
        most: largest value.
    """

    median: float
    least: float
    most: float


def spread(values: Sequence[float]) -> Spread:
    """Returns the spread of values.

    Args:
        values: at least one.

    Raises:
        ValueError: if there is none.
    """
    if not values:
        raise ValueError("no values")
    return Spread(statistics.median(values), min(values), max(values))


def pair_ratios(numerators: Sequence[float], denominators: Sequence[float]) -> list[float]:
    """Returns the ratio within each pair.

    The median of these is not the ratio of the two medians: a round that was slow for both programs
    keeps its ratio, while it may move either median alone.

    Args:
        numerators: one program's measurements by round.
        denominators: the other's, of the same rounds, above 0.

    Raises:
        ValueError: if the numbers of rounds differ or a denominator is not above 0.
    """
    if len(numerators) != len(denominators):
        raise ValueError(f"{len(numerators)} and {len(denominators)} measurements are no pairs")
    if any(denominator <= 0 for denominator in denominators):
        raise ValueError("a denominator is not above 0")
    return [numerator / denominator for numerator, denominator in zip(numerators, denominators, strict=True)]


def run_in_turn(
    programs: Mapping[str, Callable[[], Result]], rounds: int, before_each: Callable[[], object]
) -> dict[str, list[Result]]:
    """Runs programs in turn: A B A B ..., never A A B B.

    Args:
        programs: name to program, in the order of a round.
        rounds: how often each runs, at least 1.
        before_each: called before each run, to make its start equal.

    Returns:
        Each program's results, by round.

    Raises:
        ValueError: if there is no round.
    """
    if rounds < 1:
        raise ValueError(f"{rounds} rounds")
    results: dict[str, list[Result]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name, program in programs.items():
            before_each()
            results[name].append(program())
    return results
