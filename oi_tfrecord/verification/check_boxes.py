"""Checks the boxes of a record: their sides, and the keys that `convert` computes from the sides and flags."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from oi_tfrecord.records.keys import AREA_KEY, BBOX_KEYS, HEIGHT_KEY, IS_CROWD_KEY, WIDTH_KEY, flag_key
from oi_tfrecord.verification.faults import FaultKind, Finding

_GROUP_OF_KEY = flag_key("group_of")

_AREA_TOLERANCE = 1e-5
"""Relative; a float32 has seven digits."""


def check_boxes(lists: Mapping[str, list], ours: bool, reported: Collection[str]) -> Iterator[Finding]:
    """Yields the faults of the boxes of a record.

    Args:
        lists: values of the keys whose kind and length are right, see `check_values`.
        ours: whether `oi-tfrecord convert` wrote the record: it rejects boxes without area, and computes further keys.
        reported: keys that are known to be faulty.
    """
    present = [key for key in BBOX_KEYS if key in lists]
    if len(present) < len(BBOX_KEYS):
        if present and not any(key in BBOX_KEYS for key in reported):
            missing = next(key for key in BBOX_KEYS if key not in present)
            yield Finding(FaultKind.KEY_MISSING, missing, "the record has sides of its boxes, but not this one")
        return
    ymin_key, xmin_key, ymax_key, xmax_key = BBOX_KEYS
    yield from _check_sides(ymin_key, lists[ymin_key], lists[ymax_key], ours)
    yield from _check_sides(xmin_key, lists[xmin_key], lists[xmax_key], ours)
    if ours:
        yield from _check_areas(lists)
        yield from _check_crowds(lists)


def _check_sides(key: str, low: Sequence[float], high: Sequence[float], ours: bool) -> Iterator[Finding]:
    """Yields the first box whose sides are in the wrong order, or, in our records, equal."""
    for index, (start, end) in enumerate(zip(low, high, strict=True)):
        if start > end or (ours and start == end):
            yield Finding(FaultKind.BAD_BOX, key, f"box {index} goes from {start!r} to {end!r}")
            return


def _check_areas(lists: Mapping[str, list]) -> Iterator[Finding]:
    """Yields the first area that differs from the area of its box."""
    height, width, areas = lists.get(HEIGHT_KEY), lists.get(WIDTH_KEY), lists.get(AREA_KEY)
    if not (height and width and areas):
        return
    pixels = height[0] * width[0]
    sides = [lists[key] for key in BBOX_KEYS]
    for index, (area, ymin, xmin, ymax, xmax) in enumerate(zip(areas, *sides, strict=True)):
        expected = (ymax - ymin) * (xmax - xmin) * pixels
        # The difference of two float32 is rounded, too, by up to the last digit of the larger.
        if abs(area - expected) > _AREA_TOLERANCE * abs(expected) + 2e-7 * pixels:
            yield Finding(
                FaultKind.BAD_VALUE, AREA_KEY, f"value {index} is {area:.6g}, and the box has {expected:.6g} pixels"
            )
            return


def _check_crowds(lists: Mapping[str, list]) -> Iterator[Finding]:
    crowd, group = lists.get(IS_CROWD_KEY), lists.get(_GROUP_OF_KEY)
    if crowd is not None and group is not None and crowd != group:
        yield Finding(FaultKind.BAD_VALUE, IS_CROWD_KEY, f"not equal to {_GROUP_OF_KEY}")
