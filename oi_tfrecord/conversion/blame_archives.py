"""Names the damaged archives where an image, or a mask, is in no archive: it may lie where the damage is."""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

from oi_tfrecord.conversion.shard_images import ImageOutcome
from oi_tfrecord.dataset.rejects_csv import Rejected
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.join.join_account import JoinFault
from oi_tfrecord.openimages.schema import Listing, Table
from oi_tfrecord.reasons import Reject

Item = TypeVar("Item", Rejected, JoinFault)


def blame_archives(outcome: ImageOutcome, work: WorkFolder) -> ImageOutcome:
    """Returns the outcome of a shard in which nothing is missing where an archive is damaged, but unreadable.

    Args:
        outcome: what became of the images and masks.
        work: the work folder, in which the listing of each archive left what is wrong with it.
    """
    rejects = _blame_all(outcome.rejects, work, Table.IMAGE_FILES)
    faults = _blame_all(outcome.masks.faults, work, Table.MASK_FILES)
    return dataclasses.replace(outcome, rejects=rejects, masks=dataclasses.replace(outcome.masks, faults=faults))


def _blame_all(rejects: tuple[Item, ...], work: WorkFolder, listing: Listing) -> tuple[Item, ...]:
    if not any(reject.reason is Reject.IMAGE_MISSING for reject in rejects):
        return rejects
    damage = work.damage(listing)
    return tuple(_blame(reject, damage) for reject in rejects)


def _blame(reject: Item, damage: Sequence[str]) -> Item:
    if reject.reason is not Reject.IMAGE_MISSING or not damage:
        return reject
    more = f"; {len(damage) - 1} more archives are damaged" if len(damage) > 1 else ""
    return dataclasses.replace(reject, reason=Reject.IMAGE_UNREADABLE, detail=f"not found, {damage[0]}{more}")
