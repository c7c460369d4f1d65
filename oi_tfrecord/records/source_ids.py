"""Numeric source ids, for readers that parse `image/source_id` as a number.

Model Garden's parser reads the source id as an int64 (`official/vision/dataloaders/utils.py`,
`process_source_id`), and its COCO evaluation matches detections to ground truth by it; up to 2^24 an id also
survives a float32. A hash into so few numbers collides: of the 41,620 images of V3's validation split 51 pairs
would be expected to share a number, and evaluation would take each pair for one image. So an image whose number
is taken gets the next free one.
"""

import numpy as np

MAX_SOURCE_ID = 1 << 24

_HASH_BITS = np.uint64(40)


def number_images(hashes: np.ndarray, shard: int, num_shards: int) -> tuple[np.ndarray, np.ndarray]:
    """Gives each image of a shard a number that no other image of the split has.

    Args:
        hashes: uint64 array [n], the images' hashes in ascending order, all of this shard (`shard_of`).
        shard: number of the shard.
        num_shards: number of shards of the split.

    Returns:
        (int64 array [n], ascending, from 0 to below MAX_SOURCE_ID; bool array [n], whether it is not the upper
        24 bits of the image's own hash, as another image has those). Which number an image gets depends on the other
        images of the split, near the bounds of a shard also on the number of shards.

    Raises:
        ValueError: if the shard has more images than numbers.
    """
    lowest, end = (-(-MAX_SOURCE_ID * number // num_shards) for number in (shard, shard + 1))
    count = len(hashes)
    if count > end - lowest:
        raise ValueError(f"{count} images for {end - lowest} numbers")
    own = (hashes >> _HASH_BITS).astype(np.int64)
    order = np.arange(count)
    # The next free number after those of the images before; at the end of the shard, as many are left as needed.
    numbers = np.maximum.accumulate(np.maximum(own, lowest) - order) + order
    numbers = np.minimum(numbers, end - count + order)
    return numbers, numbers != own
