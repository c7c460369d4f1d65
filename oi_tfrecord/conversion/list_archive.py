"""Lists the images of one archive as rows by shard: a row says where the bytes of an image are in the archive."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from oi_tfrecord.conversion.read_range import BlockResult, RangeJob, ignore_bytes
from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.join.batches import sort_by_shard
from oi_tfrecord.openimages.csv.check_rows import TableRows
from oi_tfrecord.openimages.csv.file_ranges import FileRange
from oi_tfrecord.openimages.csv.filters import RowFilters
from oi_tfrecord.openimages.image_id import IMAGE_ID, IdForm
from oi_tfrecord.openimages.schema import FILE_NAME, IMAGE_FILE_ROW, RangeKey, Table
from oi_tfrecord.reasons import Drop
from oi_tfrecord.sources.archive_listing import ArchiveFile, ArchiveListing, FoundImage, find_name

BLOCK_MEMBERS = 1 << 18
"""Images of a block: some 12 MB of rows."""

_LARGEST = (1 << 32) - 1


def list_archive(
    job: RangeJob, file_range: FileRange, on_bytes: Callable[[int], None] = ignore_bytes
) -> Iterator[BlockResult]:
    """Yields the result of each block of images of an archive.

    Args:
        job: the conversion.
        file_range: the whole archive.
        on_bytes: called with the bytes of the archive that were passed since the last call.
    """
    archive = job.archives[file_range.key.table, file_range.key.file]
    listing = ArchiveListing(archive, on_bytes, job.kept)
    images = listing.images()
    first = 0
    for index in itertools.count():
        block = list(itertools.islice(images, BLOCK_MEMBERS))
        is_last = len(block) < BLOCK_MEMBERS
        end = listing.members if is_last else block[-1].number + 1
        rows = make_file_rows(block, first, end - first, job.filters, archive)
        key = RangeKey(archive.listing, archive.number, index)
        if is_last:
            # Shards read the damage once all rows are there, so it is stored before the last rows.
            _store_damage(job.work, archive, listing.damage)
        sorted_rows = sort_by_shard(key, rows, job.num_shards, job.finished_shards)
        yield BlockResult(sorted_rows, _count_block(key, listing, rows, (first, end), is_last=is_last))
        if is_last:
            return
        first = end


def _store_damage(work: WorkFolder, archive: ArchiveFile, damage: str) -> None:
    work.write_damage(f"{archive.listing}-{archive.number:05d}", f"{archive.path} {damage}" if damage else "")


def _count_block(
    key: RangeKey, listing: ArchiveListing, rows: TableRows, members: tuple[int, int], *, is_last: bool
) -> RangeAccount:
    first, end = members
    return RangeAccount(
        table=str(key.table),
        file=key.file,
        index=key.index,
        start=first,
        end=end,
        # Of all members up to the end of the block; of a tar.gz only the last block has one.
        crc32c=listing.content,
        line_count=end - first,
        rows_read=rows.rows_read,
        rejected={},
        dropped={str(reason): count for reason, count in rows.dropped.items()},
        class_rows={},
        ends_open=False,
        is_last=is_last,
        damage=listing.damage if is_last else "",
    )


def make_file_rows(
    block: Sequence[FoundImage], first: int, members: int, filters: RowFilters, archive: ArchiveFile
) -> TableRows:
    """Returns images of an archive as rows.

    Args:
        block: the images, in the order of the archive.
        first: number of the block's first member.
        members: number of the block's members, images or not.
        filters: images that are left out.
        archive: the archive.
    """
    rows = _fill_rows(block, first)
    # An image has many masks, so the name of the file identifies the mask.
    texts = _names_of(block) if archive.listing is Table.MASK_FILES else {}
    if archive.id_form is not IdForm.HEX:
        texts[IMAGE_ID] = pa.array([find_name(archive, found.member.name) for found in block], pa.binary())
    dropped = {Drop.NO_IMAGE_NAME: members - len(block)} if members > len(block) else {}
    keep_mask = np.ones(len(rows), bool)
    # Images are filtered as the rows of the metadata are.
    for reason, indices in filters.find_dropped(Table.METADATA, rows, (), texts):
        dropped[reason] = len(indices)
        keep_mask[indices] = False
    if not keep_mask.all():
        rows, texts = rows[keep_mask], {name: column.filter(pa.array(keep_mask)) for name, column in texts.items()}
    return TableRows(rows, (), texts, [], dropped, np.zeros(0, np.int64), members, members)


def _fill_rows(block: Sequence[FoundImage], first: int) -> np.ndarray:
    """Returns an IMAGE_FILE_ROW array; `line` counts members from the block's first."""
    rows = np.zeros(len(block), IMAGE_FILE_ROW)
    rows["image_id"] = np.array([found.image_id for found in block], np.uint64)
    rows["line"] = [found.number - first for found in block]
    rows["size"] = [min(found.member.size, _LARGEST) for found in block]
    rows["crc32"] = [found.member.crc32 for found in block]
    rows["storing"] = [found.member.storing for found in block]
    rows["offset"] = [found.member.offset for found in block]
    rows["stored"] = [min(found.member.stored, _LARGEST) for found in block]
    return rows


def _names_of(block: Sequence[FoundImage]) -> dict[str, pa.Array]:
    names = [found.member.name.rpartition("/")[2].encode("utf-8", "surrogateescape") for found in block]
    return {FILE_NAME: pa.array(names, pa.binary())}
