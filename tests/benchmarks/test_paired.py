from collections.abc import Callable, Iterator

import pytest

from .paired import Spread, pair_ratios, run_in_turn, spread


def test_programs_run_in_turn_each_after_the_preparation() -> None:
    calls: list[str] = []

    def program(name: str, results: Iterator[int]) -> Callable[[], int]:
        def run() -> int:
            calls.append(name)
            return next(results)

        return run

    programs = {"a": program("a", iter((1, 2))), "b": program("b", iter((10, 20)))}
    results = run_in_turn(programs, 2, lambda: calls.append("before"))
    assert calls == ["before", "a", "before", "b"] * 2
    assert results == {"a": [1, 2], "b": [10, 20]}


def test_a_run_that_fails_ends_the_measurement() -> None:
    def fail() -> float:
        raise OSError("no such program")

    with pytest.raises(OSError, match="no such program"):
        run_in_turn({"a": lambda: 1.0, "b": fail}, 2, lambda: None)


@pytest.mark.parametrize("rounds", [0, -1])
def test_no_round_is_an_error(rounds: int) -> None:
    with pytest.raises(ValueError, match="rounds"):
        run_in_turn({"a": lambda: 1.0}, rounds, lambda: None)


def test_ratios_are_taken_within_each_pair() -> None:
    # The second round met another load: both took ten times as long, b once more than a.
    a, b = [1.0, 10.0, 2.0], [2.0, 40.0, 6.0]
    assert pair_ratios(b, a) == [2.0, 4.0, 3.0]


def test_a_load_on_a_whole_round_leaves_the_median_of_ratios_alone() -> None:
    a, b = [1.0, 1.0, 1.0, 1.0, 1.0], [3.0, 3.0, 3.0, 3.0, 3.0]
    loads = [1.0, 7.0, 2.0, 9.0, 1.0]
    loaded_a = [value * load for value, load in zip(a, loads, strict=True)]
    loaded_b = [value * load for value, load in zip(b, loads, strict=True)]
    assert spread(pair_ratios(loaded_b, loaded_a)) == Spread(3.0, 3.0, 3.0)


@pytest.mark.parametrize(
    ("numerators", "denominators"),
    [([1.0, 2.0], [1.0]), ([1.0], [1.0, 2.0]), ([1.0], [0.0]), ([1.0], [-1.0])],
)
def test_what_makes_no_pairs_is_an_error(numerators: list[float], denominators: list[float]) -> None:
    with pytest.raises(ValueError, match=r"pairs|denominator"):
        pair_ratios(numerators, denominators)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5.0], Spread(5.0, 5.0, 5.0)),
        ([9.0, 1.0, 2.0], Spread(2.0, 1.0, 9.0)),
        ([4.0, 1.0, 100.0, 2.0], Spread(3.0, 1.0, 100.0)),
    ],
)
def test_spread(values: list[float], expected: Spread) -> None:
    assert spread(values) == expected


def test_no_values_have_no_spread() -> None:
    with pytest.raises(ValueError, match="no values"):
        spread([])
