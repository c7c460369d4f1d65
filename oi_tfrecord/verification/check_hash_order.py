"""Checks the records of a shard against each other: no image twice, hash order, and the shard's own range of hashes."""

from collections.abc import Iterator, Sequence

import numpy as np

from oi_tfrecord.records.sharding import shard_of
from oi_tfrecord.verification.faults import FaultKind, Finding, RecordPlace, format_image_id

Located = tuple[RecordPlace, Finding]
"""The place of a record, and a fault of the record."""


def find_duplicates(places: Sequence[RecordPlace], ids: np.ndarray) -> Iterator[Located]:
    """Yields the records of images that an earlier record of the shard has.

    Args:
        places: of the records.
        ids: uint64 array [records], see `id_key`.
    """
    order = np.argsort(ids, kind="stable")
    for position in np.flatnonzero(ids[order][1:] == ids[order][:-1]).tolist():
        earlier, again = places[order[position]], places[order[position + 1]]
        # Ids that are hashes may be equal where the ImageIDs are not.
        if earlier.image_id == again.image_id:
            detail = f"also in record {earlier.record} at byte {earlier.offset}"
            yield again, Finding(FaultKind.DUPLICATE_IMAGE, "", detail)


def find_out_of_order(places: Sequence[RecordPlace], hashes: np.ndarray) -> Iterator[Located]:
    """Yields the records whose hash is below the one of the record before.

    Args:
        places: of the records.
        hashes: uint64 array [records], `hash_ids` of their ImageIDs.
    """
    for index in (np.flatnonzero(hashes[1:] < hashes[:-1]) + 1).tolist():
        before = format_image_id(places[index - 1].image_id)
        yield (
            places[index],
            Finding(FaultKind.OUT_OF_ORDER, "", f"its hash is below that of {before}, which it follows"),
        )


def find_of_other_shards(
    places: Sequence[RecordPlace], hashes: np.ndarray, shard: int, num_shards: int
) -> Iterator[Located]:
    """Yields the records whose hash belongs to another shard.

    Args:
        places: of the records.
        hashes: uint64 array [records], `hash_ids` of their ImageIDs.
        shard: number of the shard, from 0.
        num_shards: number of shards of the split.
    """
    shards = shard_of(hashes, num_shards)
    for index in np.flatnonzero(shards != shard).tolist():
        detail = f"its hash belongs to shard {shards[index]} of {num_shards}"
        yield places[index], Finding(FaultKind.WRONG_SHARD, "", detail)
