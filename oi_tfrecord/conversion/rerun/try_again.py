"""Reads images again that a finished conversion rejected for a reason that the user may have corrected."""

import concurrent.futures
import dataclasses
from collections.abc import Iterator, Mapping

from oi_tfrecord.conversion.planning.plan import ConvertPlan
from oi_tfrecord.conversion.shard_images import REMOTE_THREADS
from oi_tfrecord.dataset.accounts import ShardAccount, decode_account
from oi_tfrecord.dataset.output_state import OutputState, can_try_again, count_correctable, reopen_split
from oi_tfrecord.engine.progress_line import Progress
from oi_tfrecord.images.prepare import prepare
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import CORRECTABLE, Reject
from oi_tfrecord.settings.plan_records import image_options
from oi_tfrecord.sources.archives import ArchiveSource
from oi_tfrecord.sources.files import PatternSource
from oi_tfrecord.sources.urls import UrlSource

_LOCAL_THREADS = 4


@dataclasses.dataclass(frozen=True)
class RejectedItems:
    """The images and masks of a shard that were rejected for a reason that may have passed since.

    Attributes:
        shard: number of the shard.
        images: ImageID to reason.
        masks: number of masks.
    """

    shard: int
    images: Mapping[str, str]
    masks: int


def try_again(plan: ConvertPlan, state: OutputState, progress: Progress) -> OutputState:
    """Returns how a run starts, with the shards unfinished whose rejected images or masks may be there now.

    Args:
        plan: the conversion.
        state: how the run starts by the output folder alone.
        progress: takes a line about what is tried again.
    """
    if state.complete is None or not (count := count_correctable(state.complete)):
        return state
    if not can_try_again(plan.work, state.complete):
        progress.note(f"{count:,} images or masks were rejected; after you correct them, give --overwrite.")
        return state
    rejected = list(find_rejected(plan))
    changed = [item.shard for item in rejected if item.masks and not plan.config.mask_archives]
    changed += _find_changed_images(plan, rejected)
    if not changed:
        progress.note(
            f"{count:,} images or masks are rejected as before: correct them, and run the same command again."
        )
        return state
    shards = frozenset(changed)
    progress.note(
        f"Rejected images or masks can be tried again: {len(shards):,} of {plan.num_shards:,} shards are written again."
    )
    return reopen_split(plan.target, shards)


def find_rejected(plan: ConvertPlan) -> Iterator[RejectedItems]:
    """Yields the correctable rejects of each shard that has some, from its stored account."""
    for account in map(decode_account, plan.work.results()):
        masks = _count_masks(account)
        if account.to_try_again or masks:
            yield RejectedItems(account.shard, account.to_try_again, masks)


def _count_masks(account: ShardAccount) -> int:
    table = account.tables.get(Table.MASKS)
    return sum(count for reason, count in table.rejected.items() if reason in CORRECTABLE) if table else 0


def _find_changed_images(plan: ConvertPlan, rejected: list[RejectedItems]) -> list[int]:
    """Returns the shards with an image that may no longer be rejected for the same reason."""
    source = plan.source
    if isinstance(source, ArchiveSource):
        # Changed archives have another fingerprint, which makes another conversion.
        return []
    if isinstance(source, UrlSource):
        return [item.shard for item in rejected if Reject.DOWNLOAD_FAILED in item.images.values()]
    if not isinstance(source, PatternSource):
        return [item.shard for item in rejected if item.images]
    images = [(item.shard, image_id, reason) for item in rejected for image_id, reason in item.images.items()]
    threads = REMOTE_THREADS if source.is_remote else _LOCAL_THREADS
    with concurrent.futures.ThreadPoolExecutor(threads) as executor:
        reasons = executor.map(lambda image: find_reason(plan, source, image[1]), images)
        return [shard for (shard, _, before), now in zip(images, reasons, strict=True) if now != before]


def find_reason(plan: ConvertPlan, source: PatternSource, image_id: str) -> str:
    """Returns the reason for which an image is rejected now, empty if it is not.

    Args:
        plan: the conversion.
        source: where images are.
        image_id: the image.
    """
    try:
        prepare(source.read(image_id), image_options(plan.config))
    except ImageRejected as rejected:
        return str(rejected.reason)
    return ""
