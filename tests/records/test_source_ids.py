import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.records.sharding import shard_of
from oi_tfrecord.records.source_ids import MAX_SOURCE_ID, number_images


def number_all(hashes: np.ndarray, num_shards: int) -> tuple[list[int], int]:
    hashes = np.sort(hashes)
    shards = shard_of(hashes, num_shards)
    parts = [number_images(hashes[shards == shard], shard, num_shards) for shard in range(num_shards)]
    return [n for numbers, _ in parts for n in numbers.tolist()], sum(int(moved.sum()) for _, moved in parts)


@given(
    st.sets(st.integers(0, (1 << 64) - 1) | st.integers(0, 40).map(lambda n: n << 38), max_size=60),
    st.integers(1, 300),
)
def test_numbers_are_unique_in_order_and_in_range(hashes: set[int], num_shards: int) -> None:
    numbers, _ = number_all(np.array(sorted(hashes), np.uint64), num_shards)
    assert len(numbers) == len(hashes)
    assert all(first < second for first, second in itertools.pairwise(numbers))
    assert all(0 <= number < MAX_SOURCE_ID for number in numbers)


def test_an_image_without_a_collision_has_the_number_of_its_hash_for_any_number_of_shards() -> None:
    hashes = np.array([5 << 40, 9 << 40, (MAX_SOURCE_ID - 1) << 40], np.uint64)
    for num_shards in (1, 2, 7, 2048):
        assert number_all(hashes, num_shards) == ([5, 9, MAX_SOURCE_ID - 1], 0)


def test_an_image_whose_number_is_taken_gets_the_next_free_one_or_the_last_free_ones_at_the_end() -> None:
    assert number_all(np.array([(5 << 40) + n for n in range(3)] + [6 << 40], np.uint64), 1) == ([5, 6, 7, 8], 3)
    last = MAX_SOURCE_ID - 1
    numbers, moved = number_all(np.array([(last << 40) + n for n in range(3)], np.uint64), 1)
    assert numbers == [last - 2, last - 1, last]
    assert moved == 2


def test_collisions_are_as_many_as_the_birthday_bound_says() -> None:
    """41,620 images (V3 validation) into 2^24 numbers: n^2 / 2m pairs are expected, with a Poisson spread."""
    count = 41_620
    hashes = hash_ids(np.random.default_rng(3).integers(0, 1 << 64, count, np.uint64, endpoint=False))
    pairs = count - len(np.unique(hashes >> np.uint64(40)))
    expected = count**2 / 2 / MAX_SOURCE_ID
    assert abs(pairs - expected) < 5 * math.sqrt(expected)
    numbers, moved = number_all(hashes, 16)
    assert len(set(numbers)) == count
    assert pairs <= moved <= 1.1 * pairs + 16


def test_nine_million_images_fit() -> None:
    hashes = np.sort(hash_ids(np.arange(9_011_219, dtype=np.uint64)))
    numbers, moved = number_images(hashes, 0, 1)
    assert (np.diff(numbers) > 0).all()
    assert numbers[0] >= 0
    assert numbers[-1] < MAX_SOURCE_ID
    assert 0.2 < moved.mean() < 0.8


def test_more_images_than_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="3 images for 2 numbers"):
        number_images(np.zeros(3, np.uint64), 0, MAX_SOURCE_ID // 2)
