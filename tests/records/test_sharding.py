import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.records.sharding import MAX_SHARDS, SHARD_BYTES, choose_num_shards, overlapping_shards, shard_of

UINT64 = st.integers(0, 2**64 - 1)


def fmix64(value: int) -> int:
    """The finaliser of MurmurHash3 (Austin Appleby, MurmurHash3.cpp), in Python's integers."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = (value ^ (value >> 33)) * factor % 2**64
    return value ^ (value >> 33)


def unmix64(value: int) -> int:
    """The inverse of fmix64: a shift by 33 undoes itself, the factors are odd."""
    for factor in (0xC4CEB9FE1A85EC53, 0xFF51AFD7ED558CCD):
        value = (value ^ (value >> 33)) * pow(factor, -1, 2**64) % 2**64
    return value ^ (value >> 33)


@given(ids=st.lists(UINT64, max_size=50))
def test_the_hash_is_murmurs_finaliser_and_a_bijection(ids: list[int]) -> None:
    hashes = hash_ids(np.array(ids, np.uint64)).tolist()
    assert hashes == [fmix64(image_id) for image_id in ids]
    assert [unmix64(value) for value in hashes] == ids


@given(hashes=st.lists(UINT64, min_size=1, max_size=50), shards=st.integers(1, MAX_SHARDS))
def test_a_shard_is_a_range_of_the_hash(hashes: list[int], shards: int) -> None:
    ordered = sorted([*hashes, 0, 2**64 - 1])
    found = shard_of(np.array(ordered, np.uint64), shards).tolist()
    assert found == [value * shards >> 64 for value in ordered]
    assert found == sorted(found)
    assert (found[0], found[-1]) == (0, shards - 1)


@given(shards=st.integers(2, MAX_SHARDS), shard=st.integers(1, MAX_SHARDS - 1))
def test_the_borders_of_the_shards_are_exact(shards: int, shard: int) -> None:
    shard = shard % (shards - 1) + 1
    first = -(-(shard << 64) // shards)
    assert shard_of(np.array([first - 1, first], np.uint64), shards).tolist() == [shard - 1, shard]


def test_the_number_of_a_shard_has_32_bits() -> None:
    assert shard_of(np.zeros(1, np.uint64), 3).dtype == np.uint32


def test_shards_are_near_their_size() -> None:
    sizes = {0: 1, 1: 1, SHARD_BYTES: 1, 4 / 3 * SHARD_BYTES: 1, 4 / 3 * SHARD_BYTES + 3: 2, 1.6 * SHARD_BYTES: 2}
    sizes |= {2.4 * SHARD_BYTES: 2, 10 * SHARD_BYTES: 10, 1e6 * SHARD_BYTES: MAX_SHARDS}
    assert {size: choose_num_shards(size) for size in sizes} == sizes


def test_shards_overlap_where_they_share_hashes() -> None:
    assert [list(overlapping_shards(shard, 3, 5)) for shard in range(3)] == [[0, 1], [1, 2, 3], [3, 4]]
    assert [list(overlapping_shards(shard, 4, 2)) for shard in range(4)] == [[0], [0], [1], [1]]
    assert list(overlapping_shards(0, 1, 4)) == [0, 1, 2, 3]
