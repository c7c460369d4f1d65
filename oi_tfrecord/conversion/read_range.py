"""Reads one range of a CSV file: its rows are parsed, checked, split by shard and counted."""

import dataclasses
import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

import google_crc32c
import numpy as np

from oi_tfrecord.conversion.kept_lists import KeptLists
from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.dataset.filter_warnings import count_values, pack_found
from oi_tfrecord.dataset.rejects_csv import format_piece, reject_row
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.join.batches import RowsByShard, sort_by_shard
from oi_tfrecord.openimages.classes import Vocabulary
from oi_tfrecord.openimages.csv.check_rows import RowRules, TableRows, columns_to_parse, make_rows
from oi_tfrecord.openimages.csv.columns import Columns
from oi_tfrecord.openimages.csv.file_ranges import Block, FileRange, read_range
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.csv.filters import VALUE_FILTERS, RowFilters
from oi_tfrecord.openimages.csv.parse import parse_rows
from oi_tfrecord.openimages.schema import QUOTED_LINE_BREAKS, RangeKey, Table
from oi_tfrecord.sources.archive_listing import ArchiveFile
from oi_tfrecord.sources.kept_images import KeptFolder

Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class ScanJob:
    """What the search for quoted line breaks needs.

    Attributes:
        files: as of RangeJob.
        work: folder that takes an error.
    """

    files: dict[tuple[str, int], InputFile]
    work: WorkFolder


@dataclasses.dataclass(frozen=True)
class RangeJob:
    """What all ranges of a conversion have in common.

    Attributes:
        files: the CSV files by (table, number).
        archives: the archives of images and masks by (listing, number).
        vocabulary: MIDs and their codes.
        kept_codes: bool array [len(vocabulary)], classes of the class list.
        job_filters: rows and images that are left out, without long lists.
        kept_lists: where the long lists are.
        text_columns: metadata columns kept beside the rows.
        num_shards: number of shards.
        finished_shards: shards that take no rows any more.
        block_bytes: size of the blocks of a compressed file.
        work: folder of the lists of rejects.
        shuffle_folder: folder of files that batches go to; empty for the runner's shuffle.
        counted: table whose rows of each class are counted.
        kept: where images of tar.gz archives are kept.
    """

    files: dict[tuple[str, int], InputFile]
    archives: dict[tuple[str, int], ArchiveFile]
    vocabulary: Vocabulary
    kept_codes: np.ndarray
    job_filters: RowFilters
    kept_lists: KeptLists
    text_columns: frozenset[str]
    num_shards: int
    finished_shards: frozenset[int]
    block_bytes: int
    work: WorkFolder
    shuffle_folder: str = ""
    counted: Table = Table.BOXES
    kept: KeptFolder = dataclasses.field(default_factory=KeptFolder)

    @property
    def filters(self) -> RowFilters:
        """Rows and images that are left out."""
        return self.kept_lists.fill(self.job_filters)

    @property
    def scan_job(self) -> ScanJob:
        """The part that the search for quoted line breaks needs; it is small, as a job is sent with each step."""
        return ScanJob(self.files, self.work)


@dataclasses.dataclass(frozen=True)
class BlockResult:
    """The outcome of one block.

    Attributes:
        rows: the rows that are kept, by shard.
        account: the rows by what became of them; its costs are not known before the rows are on their way.
    """

    rows: RowsByShard
    account: RangeAccount


def ignore_bytes(size: int) -> None:
    """Ignores the progress of a reader.

    Args:
        size: bytes that were read.
    """


def read_table_range(
    job: RangeJob, file_range: FileRange, on_bytes: Callable[[int], None] = ignore_bytes
) -> Iterator[BlockResult]:
    """Yields the result of each block of a range; its list of rejects is stored in the work folder.

    Args:
        job: the conversion.
        file_range: the range.
        on_bytes: called with the number of bytes that were read.
    """
    file = job.files[file_range.key.table, file_range.key.file]
    # Only the end of its stream shows which block of a compressed file is the last.
    for block, is_last_of_range in mark_last(_read_blocks(job, file, file_range)):
        is_last = is_last_of_range if file.compressed else block.account.end == file.size
        account = dataclasses.replace(block.account, is_last=is_last)
        rows = sort_by_shard(block.key, block.rows, job.num_shards, job.finished_shards)
        # The next block needs memory while the rows of this one are on their way.
        del block
        yield BlockResult(rows, account)
        on_bytes(account.end - account.start)


def mark_last(items: Iterable[Item]) -> Iterator[tuple[Item, bool]]:
    """Yields each item, and whether it is the last; an item waits for the next one."""
    iterator = iter(items)
    for item in itertools.islice(iterator, 1):
        for following in iterator:
            yield item, False
            item = following
        yield item, True


class _ReadBlock(NamedTuple):
    """A block, its rows that are kept, and its account without its costs."""

    key: RangeKey
    rows: TableRows
    account: RangeAccount


def _read_blocks(job: RangeJob, file: InputFile, file_range: FileRange) -> Iterator[_ReadBlock]:
    for block in read_range(file, file_range, job.block_bytes):
        read = _read_block(job, file, block)
        # The text is the largest part of a range, and the next block of this process may need its memory.
        del block
        yield read


def _read_block(job: RangeJob, file: InputFile, block: Block) -> _ReadBlock:
    """Parses, checks and counts the rows of a block, and stores those that are rejected."""
    filters = job.filters
    kinds = columns_to_parse(file.table, file.names, job.text_columns, bool(filters.subsets), file.id_form)
    parsed = parse_rows(block.data, file.names, kinds, quoted_line_breaks=file.table in QUOTED_LINE_BREAKS)
    rows = make_rows(file.table, parsed, RowRules(job.vocabulary, job.kept_codes, filters))
    _store_rejects(job.work, file, block.key, rows)
    named = count_named_values(filters, file.table, parsed.columns)
    found_ids = find_listed_ids(filters, parsed.columns)
    account = dataclasses.replace(count_block(job, block, rows), values=named, found_ids=found_ids)
    return _ReadBlock(block.key, rows, account)


def _store_rejects(work: WorkFolder, file: InputFile, key: RangeKey, rows: TableRows) -> None:
    piece = format_piece(reject_row(key, file.path, fault) for fault in rows.faults)
    work.write_rejects(f"range-{key.table}-{key.file:05d}-{key.index:06d}", piece)


def count_named_values(filters: RowFilters, table: Table, columns: Columns) -> dict[str, int]:
    """Returns the rows of each value of the column that a filter names values of, filtered or not."""
    named = filters.named_values.get(table)
    if not named or (name := VALUE_FILTERS[table][1]) not in columns.categories:
        return {}
    column = columns.categories[name]
    return count_values(column.values, column.codes, named)


def find_listed_ids(filters: RowFilters, columns: Columns) -> str:
    """Returns which ImageIDs of the list to keep are in the block (`pack_found`); empty without a list."""
    return "" if filters.image_ids is None else pack_found(columns.numbers["ImageID"], filters.image_ids)


def count_block(job: RangeJob, block: Block, rows: TableRows) -> RangeAccount:
    """Returns the account of a block, as far as it follows from its rows.

    Args:
        job: the conversion.
        block: the block.
        rows: its rows by what became of them.
    """
    key, start, data = block
    # Only one table decides an order by frequency; the classes of all tables would fill the accounts.
    codes = np.flatnonzero(rows.class_rows) if key.table is job.counted else np.zeros(0, np.int64)
    return RangeAccount(
        table=key.table,
        file=key.file,
        index=key.index,
        start=start,
        end=start + len(data),
        crc32c=google_crc32c.value(data),
        line_count=rows.line_count,
        rows_read=rows.rows_read,
        rejected=dict(Counter(str(fault.reason) for fault in rows.faults)),
        dropped={str(reason): count for reason, count in rows.dropped.items()},
        class_rows={job.vocabulary.mids[code]: int(rows.class_rows[code]) for code in codes.tolist()},
        ends_open=bool(data) and not data.endswith(b"\n"),
        is_last=False,
    )
