"""Whether the ranges that were read cover each input file, none of it twice, and each shard has a result.

The balance of rows cannot tell of a range that a runner loses whole, its rows with its result. What the ranges that
arrived leave of the file tells.
"""

import enum
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.reasons import Drop
from oi_tfrecord.records.shard_names import parse_shard_file


class Unit(enum.StrEnum):
    """What the ranges of an input file count."""

    BYTES = "bytes"
    UNPACKED_BYTES = "unpacked bytes"
    FILES = "files"
    """Of an archive."""


def describe_coverage(unit: Unit, start: int, size: int, ranges: Sequence[RangeAccount]) -> dict[str, Any]:
    """Returns what the manifest says of the ranges of an input file.

    Args:
        unit: what they count.
        start: where the first row is.
        size: bytes of the file as stored, where ranges of BYTES must end. Others end where the last of them says.
        ranges: those that were read, in their order.
    """
    ends = [result.end for result in ranges if result.is_last]
    return {
        "unit": str(unit),
        "start": start,
        "end": size if unit is Unit.BYTES else max(ends, default=None),
        "starts_of_ranges": [result.start for result in ranges],
        "ends_of_ranges": [result.end for result in ranges],
    }


def find_losses(split: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Finds what was lost or doubled whole on its way through a conversion, by the manifest of its split.

    Args:
        split: the manifest. One that was written before it had a `coverage` says nothing of ranges.

    Yields:
        (key in the manifest, what is wrong).
    """
    inputs = [item for item in split["inputs"] if "coverage" in item]
    for item in inputs:
        for detail in _find_gaps(item["coverage"]):
            yield "inputs", f"{item['path']}: {detail}"
    for table in sorted({item["table"] for item in inputs} - set(split["tables"])):
        yield f"tables.{table}", f"the table {table} has input files and no balance"
    for detail in _find_lost_shards([shard["file"] for shard in split["shards"]]):
        yield "shards", detail
    config = split.get("config", {})
    if config.get("label_order") == "frequency" and not config.get("label_map"):
        order = [(-item["rows"], item["mid"]) for item in split["classes"] if "rows" in item]
        if order != sorted(order):
            yield "classes", "ids are not in the order of frequency: counts were lost before they were given"
    most, selected = config.get("max_images", 0), split["images"]["selected"]
    # A derived split, which has no inputs, may be merged of several that were bounded each.
    if split["inputs"] and 0 < most < selected:
        yield (
            "images",
            f"{selected} images are selected, more than max_images={most}: their bound was found from a part",
        )
    if split["inputs"] and selected < most and _left_out_by_limit(split):
        yield (
            "images",
            f"{selected} images are selected, fewer than max_images={most}, and others are left out beyond them",
        )


def _left_out_by_limit(split: Mapping[str, Any]) -> int:
    return sum(int(table["dropped"].get(Drop.OVER_MAX_IMAGES, 0)) for table in split["tables"].values())


def _find_gaps(coverage: Mapping[str, Any]) -> Iterator[str]:
    place, end, unit = coverage["start"], coverage["end"], coverage["unit"]
    lost, doubled = [], []
    for first, last in sorted(zip(coverage["starts_of_ranges"], coverage["ends_of_ranges"], strict=True)):
        if first > place:
            lost.append((place, first))
        elif first < place:
            doubled.append((first, min(place, last)))
        place = max(place, last)
    if end is not None and place < end:
        lost.append((place, end))
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


def _find_lost_shards(files: Sequence[str]) -> Iterator[str]:
    if not files:
        yield "no shard has a result"
    places = [place for place in map(parse_shard_file, files) if place]
    results = Counter(shard for _, shard, _ in places)
    planned = max((total for _, _, total in places), default=0)
    for shard in range(planned):
        if results[shard] != 1:
            yield f"shard {shard} of {planned} has {results[shard] or 'no'} result{'s' if results[shard] else ''}"
