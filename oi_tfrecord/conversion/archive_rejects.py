"""Rejects of images and masks in archives: files that repeat an image, and damage that may hide one."""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

from oi_tfrecord.conversion.shard_images import ImageOutcome
from oi_tfrecord.conversion.shard_job import ShardJob
from oi_tfrecord.dataset.rejects_csv import Rejected
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.join.archive_places import RepeatedFiles
from oi_tfrecord.join.join_account import DroppedRows, JoinAccount, JoinFault
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.join.shard_rows import ShardRows
from oi_tfrecord.openimages.schema import FILE_NAME, Listing, Table
from oi_tfrecord.reasons import Drop, Reject
from oi_tfrecord.sources.archives import ArchiveSource
from oi_tfrecord.storage.read_ahead import map_in_order

_LOCAL_THREADS, _REMOTE_THREADS = 1, 32

_NOTE_BYTES = 1 << 20


def account_repeats(job: ShardJob, joined: JoinedShard) -> JoinedShard:
    """Returns a shard whose repeated files are counted: left out if they lose nothing, else rejected."""
    accounts = [_compare(_source_of(job, repeats), repeats) for repeats in joined.repeated_files]
    return joined.with_account(JoinAccount.sum_of(accounts)) if accounts else joined


def _source_of(job: ShardJob, repeats: RepeatedFiles) -> ArchiveSource:
    if repeats.files.keys[0].table is Table.MASK_FILES and job.masks is not None:
        return job.masks.archives
    assert isinstance(job.source, ArchiveSource)
    return job.source


def _compare(source: ArchiveSource, repeats: RepeatedFiles) -> JoinAccount:
    details = list(_find_differences(source, repeats))
    faults = tuple(
        repeats.files.fault(index, Reject.DUPLICATE, detail) for index, detail in enumerate(details) if detail
    )
    listing = repeats.files.keys[0].table
    return JoinAccount(faults, (DroppedRows(listing, Drop.REPEATED, len(details) - len(faults)),))


def _find_differences(source: ArchiveSource, repeats: RepeatedFiles) -> Iterator[str]:
    """Yields for each file how its bytes differ from those that occur before; empty if they do not."""

    def find(index: int) -> str:
        if repeats.files.rows["size"][index] != repeats.originals.rows["size"][index]:
            return "occurs before in the archives, with another size"
        try:
            equal = _read(source, repeats.files, index) == _read(source, repeats.originals, index)
        except ImageRejected as rejected:
            return f"occurs before in the archives, and the bytes cannot be compared: {rejected.detail}"
        return "" if equal else "occurs before in the archives, with other bytes"

    return map_in_order(
        find,
        np.arange(len(repeats.files.rows)).tolist(),
        threads=_REMOTE_THREADS if source.is_remote else _LOCAL_THREADS,
        max_bytes=_NOTE_BYTES,
        size_of=len,
    )


def _read(source: ArchiveSource, files: ShardRows, index: int) -> bytes:
    name = files.text_columns[FILE_NAME][index].as_py() if FILE_NAME in files.text_columns else b""
    return source.read(int(files.file_of[index]), files.rows[index], name.decode() if name.isascii() else "")


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
