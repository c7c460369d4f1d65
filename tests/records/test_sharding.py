import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.records.sharding import MAX_SHARDS, shard_of

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
