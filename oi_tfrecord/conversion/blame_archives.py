"""Names the damaged archives where an image, or a mask, is in no archive: it may lie where the damage is."""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

from oi_tfrecord.dataset.rejects_csv import Rejected
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.join.join_account import JoinFault
from oi_tfrecord.openimages.schema import Listing
from oi_tfrecord.reasons import Reject

Item = TypeVar("Item", Rejected, JoinFault)


def blame_archives(rejects: Sequence[Item], work: WorkFolder, listing: Listing) -> list[Item]:
    """Returns rejects of which none is missing where an archive is damaged: such an image is unreadable.

    Args:
        rejects: of the images, or of the masks, of a shard.
        work: the work folder, in which the listing of each archive left what is wrong with it.
        listing: whether the archives hold images or masks.
    """
    if not any(reject.reason is Reject.IMAGE_MISSING for reject in rejects):
        return list(rejects)
    damage = work.damage(listing)
    return [_blame(reject, damage) for reject in rejects]


def _blame(reject: Item, damage: Sequence[str]) -> Item:
    if reject.reason is not Reject.IMAGE_MISSING or not damage:
        return reject
    more = f"; {len(damage) - 1} more archives are damaged" if len(damage) > 1 else ""
    return dataclasses.replace(reject, reason=Reject.IMAGE_UNREADABLE, detail=f"not found, {damage[0]}{more}")
