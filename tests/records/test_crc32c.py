import random

import google_crc32c
import numpy as np
import pytest

from oi_tfrecord.records.crc32c import combine


def combined(parts: list[bytes]) -> int:
    crcs = np.array([google_crc32c.value(part) for part in parts], np.uint32)
    return combine(crcs, np.array([len(part) for part in parts], np.int64))


@pytest.mark.parametrize(
    "sizes", [[], [0], [5], [0, 0, 3], [1] * 300, [12, 70_000, 4, 12, 0, 4, 12, 1 << 20, 4], [255, 256, 257, 65_536]]
)
def test_the_crc_of_parts_is_that_of_the_whole(sizes: list[int]) -> None:
    parts = [random.Random(7 + index).randbytes(size) for index, size in enumerate(sizes)]
    assert combined(parts) == google_crc32c.value(b"".join(parts))


def test_parts_may_be_longer_than_four_gigabytes() -> None:
    crc = google_crc32c.value(b"x")
    past_half = combine(np.array([crc, 0], np.uint32), np.array([1, 1 << 32], np.int64))
    past_both = combine(np.array([past_half, 0], np.uint32), np.array([1, 1 << 32], np.int64))
    assert past_both == combine(np.array([crc, 0], np.uint32), np.array([1, 1 << 33], np.int64)) != past_half
