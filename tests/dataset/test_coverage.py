import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.dataset.coverage import Unit, describe_coverage, find_losses
from tests.dataset.test_manifest import range_result

SIZE = 1000
START = 100


def ranges_of(*borders: int, is_whole: bool = True) -> list[RangeAccount]:
    last = len(borders) - 2
    return [
        range_result("boxes", index, start=first, end=end, is_last=is_whole and index == last)
        for index, (first, end) in enumerate(itertools.pairwise(borders))
    ]


def split_of(ranges: list[RangeAccount], unit: Unit = Unit.BYTES, start: int = START, **entries: Any) -> dict[str, Any]:
    coverage = describe_coverage(unit, start, SIZE, ranges)
    shards = [f"train.tfrecord-{shard:05d}-of-00003" for shard in range(3)]
    return {
        "config": {"max_images": 0},
        "images": {"selected": 5},
        "tables": {"boxes": {}},
        "inputs": [{"table": "boxes", "path": "/data/b.csv", "coverage": coverage}],
        "shards": [{"file": file} for file in shards],
        **entries,
    }


def losses(ranges: list[RangeAccount], unit: Unit = Unit.BYTES, start: int = START) -> list[str]:
    found = list(find_losses(split_of(ranges, unit, start)))
    assert all(key == "inputs" for key, _ in found)
    assert all(detail.startswith("/data/b.csv: ") for _, detail in found)
    return [detail.removeprefix("/data/b.csv: ") for _, detail in found]


WHOLE = ranges_of(START, 300, 500, 700, SIZE)


def test_a_coverage_has_the_start_and_end_of_each_range() -> None:
    assert describe_coverage(Unit.BYTES, START, SIZE, WHOLE) == {
        "unit": "bytes",
        "start": START,
        "end": SIZE,
        "starts_of_ranges": [START, 300, 500, 700],
        "ends_of_ranges": [300, 500, 700, SIZE],
    }
    # The size of a packed file says nothing about the end of its unpacked bytes.
    packed = describe_coverage(Unit.UNPACKED_BYTES, START, 77, WHOLE)
    assert (packed["unit"], packed["end"]) == ("unpacked bytes", SIZE)
    assert describe_coverage(Unit.FILES, 0, 77, WHOLE[:-1])["end"] is None


@pytest.mark.parametrize("unit", [Unit.BYTES, Unit.UNPACKED_BYTES])
def test_ranges_that_cover_a_file_lose_nothing_in_any_order(unit: Unit) -> None:
    assert losses(WHOLE, unit) == losses(WHOLE[::-1], unit) == []


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        ([1, 2, 3], ["bytes 100 to 299 were lost"]),
        ([0, 2, 3], ["bytes 300 to 499 were lost"]),
        ([0, 3], ["bytes 300 to 699 were lost"]),
        ([0, 2], ["bytes 300 to 499 were lost", "bytes 700 to 999 were lost"]),
        ([0, 1, 2], ["bytes 700 to 999 were lost"]),
        ([], ["bytes 100 to 999 were lost"]),
        ([0, 0, 1, 2, 3], ["bytes 100 to 299 were read twice"]),
        ([0, 1, 2, 3, 3], ["bytes 700 to 999 were read twice"]),
        ([0, 1, 2, 3, 2, 1], ["bytes 300 to 699 were read twice"]),
        ([0, 0, 0, 1, 3], ["bytes 500 to 699 were lost", "bytes 100 to 299 were read twice"]),
    ],
)
def test_lost_and_doubled_ranges_are_named_by_their_bytes(kept: list[int], expected: list[str]) -> None:
    found = losses([WHOLE[index] for index in kept])
    assert list(dict.fromkeys(found)) == expected


def test_ranges_that_overlap_are_doubled_where_they_overlap() -> None:
    assert losses([*ranges_of(START, 400), *ranges_of(300, SIZE)]) == ["bytes 300 to 399 were read twice"]
    within = [*ranges_of(START, 900, SIZE), *ranges_of(300, 400)]
    assert losses(within) == ["bytes 300 to 399 were read twice"]


def test_a_packed_file_ends_with_its_last_range() -> None:
    for unit in (Unit.UNPACKED_BYTES, Unit.FILES):
        assert losses(WHOLE[:-1], unit) == [f"all {unit} from 700 on were lost"]
        assert losses(WHOLE[1:], unit) == [f"{unit} 100 to 299 were lost"]
        assert losses([], unit) == [f"all {unit} from 100 on were lost"]


def test_a_file_without_rows_has_nothing_to_lose() -> None:
    assert losses([], Unit.BYTES, start=SIZE) == []
    assert losses(ranges_of(START, START), Unit.UNPACKED_BYTES) == []
    # Without an account of the empty file, nothing shows that the file was read.
    assert losses(ranges_of(START, START, is_whole=False), Unit.UNPACKED_BYTES) != []


@given(borders=st.sets(st.integers(START + 1, SIZE - 1)), data=st.data())
def test_any_range_that_is_lost_or_doubled_is_noticed(borders: set[int], data: st.DataObject) -> None:
    whole = ranges_of(START, *sorted(borders), SIZE)
    unit = data.draw(st.sampled_from(Unit))
    assert losses(data.draw(st.permutations(whole)), unit) == []
    one = data.draw(st.sampled_from(whole))
    assert losses([item for item in whole if item is not one], unit)
    assert losses([*whole, one], unit) == [f"{unit} {one.start} to {one.end - 1} were read twice"]


def test_every_input_is_checked_and_has_a_balance() -> None:
    split = split_of(WHOLE)
    lost = {
        "table": "metadata",
        "path": "/data/i.csv",
        "coverage": describe_coverage(Unit.BYTES, 0, 9, []),
    }
    assert list(find_losses(split | {"inputs": [*split["inputs"], lost]})) == [
        ("inputs", "/data/i.csv: bytes 0 to 8 were lost"),
        ("tables.metadata", "the table metadata has input files and no balance"),
    ]


def test_every_planned_shard_is_listed_once() -> None:
    split = split_of(WHOLE)
    shards = split["shards"]
    assert list(find_losses(split)) == []
    cases = {
        (0, 2): ["shard 1 of 3 is missing"],
        (2,): ["shard 0 of 3 is missing", "shard 1 of 3 is missing"],
        (0, 1, 1, 2): ["shard 1 of 3 is listed 2 times"],
        (): ["no shard is listed"],
    }
    for kept, details in cases.items():
        found = list(find_losses(split | {"shards": [shards[index] for index in kept]}))
        assert found == [("shards", detail) for detail in details]


def test_more_images_than_max_images_show_that_counts_were_lost() -> None:
    split = split_of(WHOLE, config={"max_images": 4})
    [(key, detail)] = find_losses(split)
    assert key == "images"
    assert "5 images are selected, more than max_images=4" in detail
    assert list(find_losses(split | {"config": {"max_images": 5}})) == []
    # A split may be merged from several splits that were limited separately.
    assert list(find_losses(split | {"inputs": []})) == []


def test_fewer_images_than_max_images_show_that_counts_were_lost_if_the_limit_left_out_rows() -> None:
    left_out = {"dropped": {"over_max_images": 1}}
    for dropped, limit, has_fault in ((left_out, 6, True), (left_out, 5, False), ({"dropped": {}}, 6, False)):
        split = split_of(WHOLE, config={"max_images": limit}, tables={"boxes": dropped, "metadata": {"dropped": {}}})
        found = list(find_losses(split))
        expected = "5 images are selected, fewer than max_images=6, though max_images leaves out rows"
        assert found == ([("images", expected)] if has_fault else [])


def test_a_manifest_without_coverage_has_no_fault() -> None:
    split = split_of(WHOLE, tables={})
    older = [{name: value for name, value in item.items() if name != "coverage"} for item in split["inputs"]]
    assert list(find_losses(split | {"inputs": older})) == []
    assert list(find_losses(split)) != []
