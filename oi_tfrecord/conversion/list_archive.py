"""Lists the images of one archive as rows, by shard: the rows say where the bytes are, and the bytes stay there."""

import itertools
from collections.abc import Callable, Iterator, Sequence

import google_crc32c
import numpy as np
import pyarrow as pa

from oi_tfrecord.conversion.read_range import RangeJob
from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.join.batches import partition
from oi_tfrecord.openimages.csv.check_rows import TableRows
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.schema import FILE_NAME, IMAGE_FILE_ROW, WINDOW, Listing, RangeKey, Table
from oi_tfrecord.reasons import Drop
from oi_tfrecord.sources.archive_format import Storing
from oi_tfrecord.sources.archive_listing import ArchiveListing, FoundImage

BLOCK_MEMBERS = 1 << 18
"""Images of an archive that are handed on together: some 12 MB of rows, and with windows some 100 MB."""

_LARGEST = (1 << 32) - 1


def read_archive(
    job: RangeJob, file: InputFile, on_progress: Callable[[int], None] = lambda size: None
) -> Iterator[tuple[int, bytes] | RangeAccount]:
    """Yields the (shard, batch) pairs of an archive's images, then the result of each block of them.

    Args:
        job: the conversion.
        file: the archive.
        on_progress: called with the bytes of the archive that were passed since the last call.
    """
    listing = ArchiveListing(file, on_progress)
    images = listing.images()
    index = first = 0
    while True:
        block = list(itertools.islice(images, BLOCK_MEMBERS))
        ends = len(block) < BLOCK_MEMBERS
        members = listing.members if ends else block[-1].number + 1
        rows = make_file_rows(block, first, members - first, job, with_names=file.table == Listing.MASK_FILES)
        key = RangeKey(file.table, file.number, index)
        yield from partition(key, rows, job.num_shards, job.finished_shards)
        yield RangeAccount(
            table=str(file.table),
            file=file.number,
            index=index,
            start=first,
            end=members,
            # Of the listing: the archive as a whole may be too large to sum.
            crc32c=google_crc32c.value(rows.rows.tobytes()),
            line_count=members - first,
            rows_read=rows.rows_read,
            rejected={},
            dropped={str(reason): count for reason, count in rows.dropped.items()},
            class_rows={},
            ends_open=False,
            is_last=ends,
            damage=listing.damage if ends else "",
        )
        if ends:
            return
        index, first = index + 1, members


def make_file_rows(
    block: Sequence[FoundImage], first: int, members: int, job: RangeJob, *, with_names: bool = False
) -> TableRows:
    """Returns images of an archive as rows.

    Args:
        block: the images, in the order of the archive.
        first: number of the block's first member.
        members: of the block, images or not.
        job: the conversion, for what it leaves out.
        with_names: whether to keep FILE_NAME beside the rows, as an image has many masks.
    """
    rows = np.zeros(len(block), IMAGE_FILE_ROW)
    rows["image_id"] = np.array([found.image_id for found in block], np.uint64)
    rows["line"] = [found.number - first for found in block]
    rows["size"] = [min(found.member.size, _LARGEST) for found in block]
    rows["crc32"] = [found.member.crc32 for found in block]
    # A member of a compressed archive is read as a part of the gzip file.
    rows["storing"] = [Storing.GZIP if found.part else found.member.storing for found in block]
    places = [found.part or found.member for found in block]
    rows["offset"] = [place.offset for place in places]
    rows["stored"] = [min(place.stored, _LARGEST) for place in places]
    parts = [found.part for found in block if found.part]
    texts = {}
    if with_names:
        names = [found.member.name.rpartition("/")[2].encode("utf-8", "surrogateescape") for found in block]
        texts[FILE_NAME] = pa.array(names, pa.binary())
    if parts:
        gzipped = rows["storing"] == Storing.GZIP
        rows["skip"][gzipped] = [min(part.skip, _LARGEST) for part in parts]
        rows["bits"][gzipped] = [part.bits for part in parts]
        windows = [found.part.packed_window if found.part else b"" for found in block]
        texts[WINDOW] = pa.array(windows, pa.binary())
    kept = np.ones(len(rows), bool)
    dropped = {Drop.NO_IMAGE_NAME: members - len(block)} if members > len(block) else {}
    # The filters of images are those of the metadata.
    for reason, indices in job.filters.find_dropped(Table.METADATA, rows, ()):
        dropped[reason] = len(indices)
        kept[indices] = False
    if not kept.all():
        rows, texts = rows[kept], {name: column.filter(pa.array(kept)) for name, column in texts.items()}
    return TableRows(rows, (), texts, [], dropped, np.zeros(0, np.int64), members, members)
