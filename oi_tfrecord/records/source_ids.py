"""Numeric source ids, for readers that parse `image/source_id` as a number.

Model Garden's parser reads the source id as an int64 (`official/vision/dataloaders/utils.py`,
`process_source_id`), and its COCO evaluation matches detections to ground truth by this id; up to 2^24 an id also
survives a float32. A hash into so few numbers collides: of the 41,620 images of V3's validation split, 51 pairs
would be expected to share a number, and evaluation would take each pair for one image. So an image whose number
is taken gets the next free number.
"""

import numpy as np

MAX_SOURCE_ID = 1 << 24

_HASH_BITS = np.uint64(40)


def number_images(hashes: np.ndarray, shard: int, num_shards: int) -> tuple[np.ndarray, np.ndarray]:
    """Gives each image of a shard a number that no other image of the split has.

    Args:
        hashes: uint64 array [n], hashes of the images of the shard (`shard_of`) in ascending order.
        shard: Number of the shard.
        num_shards: Number of shards of the split.

    Returns:
        (int64 array [n], the numbers, ascending and from 0 to below MAX_SOURCE_ID; bool array [n], whether the number
        differs from the upper 24 bits of the image's hash, because another image has these). The number of an image
        depends on the other images of the split and, near the bounds of a shard, on the number of shards.

    Raises:
        ValueError: If the shard has more images than numbers.
    """
    lowest, end = (-(-MAX_SOURCE_ID * number // num_shards) for number in (shard, shard + 1))
    count = len(hashes)
    if count > end - lowest:
        raise ValueError(f"{count} images for {end - lowest} numbers")
    own = (hashes >> _HASH_BITS).astype(np.int64)
    order = np.arange(count)
    # An image gets at least the number after that of the image before it. At the end of the shard, it leaves as many
    # numbers as images follow.
    numbers = np.maximum.accumulate(np.maximum(own, lowest) - order) + order
    numbers = np.minimum(numbers, end - count + order)
    return numbers, numbers != own
