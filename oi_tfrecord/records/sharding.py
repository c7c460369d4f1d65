"""Which shard an image belongs to, in which order, and how many shards there are.

The order of a dataset is the order of `hash_ids(ImageID)`, a bijection of the 64-bit
ImageID, and a shard is a range of hashes. So the order does not depend on the number of
shards, two images never tie, and neighbouring ImageIDs are spread over all shards.
"""

import numpy as np

SHARD_BYTES = 150_000_000
"""Size of a shard: 100 to 200 MB give enough files to shuffle by file, and few enough to list."""

MAX_SHARDS = 100_000

_SHIFT_32 = np.uint64(32)

_LOW_32 = np.uint64(0xFFFFFFFF)


def choose_num_shards(output_bytes: float) -> int:
    """Returns the number of shards nearest to SHARD_BYTES each, within two thirds and four thirds of it if possible."""
    shards = max(round(output_bytes / SHARD_BYTES), 1)
    shards += output_bytes / shards > SHARD_BYTES * 4 / 3
    return min(shards, MAX_SHARDS)


def shard_of(hashes: np.ndarray, num_shards: int) -> np.ndarray:
    """Returns the shard of each hash: `(hash * num_shards) >> 64`.

    Args:
        hashes: uint64 array [n].
        num_shards: 1 to MAX_SHARDS.

    Returns:
        uint32 array [n] in [0, num_shards).
    """
    count = np.uint64(num_shards)
    # The 96-bit product is the sum of two 64-bit products, because numpy has no wider integer.
    low = (hashes & _LOW_32) * count >> _SHIFT_32
    return (((hashes >> _SHIFT_32) * count + low) >> _SHIFT_32).astype(np.uint32)


def overlapping_shards(shard: int, num_shards: int, other_num_shards: int) -> range:
    """Returns which of `other_num_shards` shards share hashes with shard `shard` of `num_shards`."""
    return range(shard * other_num_shards // num_shards, -(-(shard + 1) * other_num_shards // num_shards))
