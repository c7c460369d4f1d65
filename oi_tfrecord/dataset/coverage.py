"""Checks that ranges cover each input file, and none of it twice, and that each shard has an account.

The balance of rows cannot show that a runner lost a whole range, because its account is lost with its rows. The gap
that the other ranges leave in the file shows it.
"""

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.reasons import Drop
from oi_tfrecord.records.shard_names import parse_shard_file


class Unit(enum.StrEnum):
    """The unit in which the ranges of an input file count."""

    BYTES = "bytes"
    UNPACKED_BYTES = "unpacked bytes"
    FILES = "files"
    """Files of an archive."""


def describe_coverage(unit: Unit, start: int, size: int, ranges: Sequence[RangeAccount]) -> dict[str, Any]:
    """Returns the entry `coverage` of an input file.

    Args:
        unit: The unit of the ranges.
        start: Where the first row starts.
        size: Bytes of the file as stored. Ranges of BYTES must end there, all others at the end of the last range.
        ranges: The accounts of the ranges that were read, in file order.
    """
    ends = [account.end for account in ranges if account.is_last]
    return {
        "unit": str(unit),
        "start": start,
        "end": size if unit is Unit.BYTES else max(ends, default=None),
        "starts_of_ranges": [account.start for account in ranges],
        "ends_of_ranges": [account.end for account in ranges],
    }


def find_losses(split: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Finds what a conversion lost, used twice or read from two versions of a file, by the manifest of its split.

    Args:
        split: The manifest. A manifest of a version that wrote no `coverage` says nothing of ranges.

    Yields:
        (key in the manifest, problem).
    """
    for path, change in split.get("changed_inputs", {}).items():
        yield "changed_inputs", f"{path}: {change}"
    yield from _find_lost_ranges(split)
    yield from _find_lost_shards([shard["file"] for shard in split["shards"]])
    yield from _find_lost_class_counts(split)
    # A split that is made from records has no inputs, and may be merged from several limited splits.
    if split["inputs"]:
        yield from _find_broken_limit(split)


def _find_lost_ranges(split: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    inputs = [item for item in split["inputs"] if "coverage" in item]
    for item in inputs:
        for detail in _find_gaps(item["coverage"]):
            yield "inputs", f"{item['path']}: {detail}"
    for table in sorted({item["table"] for item in inputs} - set(split["tables"])):
        yield f"tables.{table}", f"the table {table} has input files and no balance"


def _find_lost_class_counts(split: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    config = split.get("config", {})
    if config.get("label_order") == "frequency" and not config.get("label_map"):
        order = [(-item["rows"], item["mid"]) for item in split["classes"] if "rows" in item]
        if order != sorted(order):
            yield "classes", "ids are not in the order of frequency: some counts were lost before the ids were given"


def _find_broken_limit(split: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    limit, selected = split.get("config", {}).get("max_images", 0), split["images"]["selected"]
    if 0 < limit < selected:
        yield "images", f"{selected} images are selected, more than max_images={limit}: some counts of images were lost"
    if selected < limit and _dropped_by_limit(split):
        problem = f"{selected} images are selected, fewer than max_images={limit}, though max_images leaves out rows"
        yield "images", problem


def _dropped_by_limit(split: Mapping[str, Any]) -> int:
    return sum(int(table["dropped"].get(Drop.OVER_MAX_IMAGES, 0)) for table in split["tables"].values())


def _find_gaps(coverage: Mapping[str, Any]) -> Iterator[str]:
    place, end, unit = coverage["start"], coverage["end"], coverage["unit"]
    lost, doubled = [], []
    if place < 0:
        yield f"{unit} begin at {place}"
    for first, last in sorted(zip(coverage["starts_of_ranges"], coverage["ends_of_ranges"], strict=True)):
        if first > place:
            lost.append((place, first))
        elif first < place:
            doubled.append((first, min(place, last)))
        place = max(place, last)
    if end is not None and place < end:
        lost.append((place, end))
    if end is not None and place > end:
        yield f"{unit} {end} to {place - 1} were read beyond the end"
    for spans, what in ((lost, "were lost"), (doubled, "were read twice")):
        for first, last in _join_adjacent(spans):
            yield f"{unit} {first} to {last - 1} {what}"
    if end is None:
        yield f"all {unit} from {place} on were lost"


def _join_adjacent(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for first, last in spans:
        if joined and joined[-1][1] == first:
            first = joined.pop()[0]
        joined.append((first, last))
    return joined


def _find_lost_shards(files: Sequence[str]) -> Iterator[tuple[str, str]]:
    if not files:
        yield "shards", "no shard is listed"
    names = [name for name in map(parse_shard_file, files) if name]
    listed = Counter(name.shard for name in names)
    planned = max((name.num_shards for name in names), default=0)
    for shard in range(planned):
        if listed[shard] != 1:
            fault = f"is listed {listed[shard]} times" if listed[shard] else "is missing"
            yield "shards", f"shard {shard} of {planned} {fault}"
