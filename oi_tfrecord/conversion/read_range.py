"""Reads one CSV range: parse, check, split by shard, count."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import Any

import google_crc32c
import numpy as np

from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.dataset.filter_warnings import count_values, pack_found
from oi_tfrecord.dataset.rejects_csv import format_piece, reject_row
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.join.batches import partition
from oi_tfrecord.openimages.classes import Vocabulary
from oi_tfrecord.openimages.csv.check_rows import RowRules, TableRows, columns_to_parse, make_rows
from oi_tfrecord.openimages.csv.columns import Columns
from oi_tfrecord.openimages.csv.file_ranges import Block, FileRange, read_range
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.csv.filters import VALUE_FILTERS, RowFilters
from oi_tfrecord.openimages.csv.parse import parse_rows
from oi_tfrecord.openimages.schema import QUOTED_LINE_BREAKS, RangeKey, Table


@dataclasses.dataclass(frozen=True)
class ScanJob:
    """What the search for quoted line breaks needs.

    Attributes:
        files: as of RangeJob.
        work: where an error is told.
    """

    files: dict[tuple[str, int], InputFile]
    work: WorkFolder


@dataclasses.dataclass(frozen=True)
class RangeJob:
    """What all ranges of a conversion have in common.

    Attributes:
        files: by (table, file number).
        vocabulary: MIDs and their codes.
        kept_codes: bool array [len(vocabulary)], classes of the class list.
        filters: what else is left out.
        texts: metadata columns kept beside the rows.
        num_shards: number of shards.
        finished_shards: shards that take no rows any more.
        block_bytes: size of the blocks of a compressed file.
        work: folder of the lists of rejects.
        shuffle_folder: folder of files that batches go to; empty for the runner's shuffle.
        counted: table whose rows of each class are counted.
    """

    files: dict[tuple[str, int], InputFile]
    vocabulary: Vocabulary
    kept_codes: np.ndarray
    filters: RowFilters
    texts: frozenset[str]
    num_shards: int
    finished_shards: frozenset[int]
    block_bytes: int
    work: WorkFolder
    shuffle_folder: str = ""
    counted: Table = Table.BOXES

    @property
    def scan_job(self) -> ScanJob:
        """What of it the search for quoted line breaks needs: a job is sent with each step, and this one is small."""
        return ScanJob(self.files, self.work)


def read_table_range(job: RangeJob, file_range: FileRange) -> Iterator[tuple[int, bytes] | RangeAccount]:
    """Yields the (shard, batch) pairs of a range, then the result of each of its blocks.

    Args:
        job: the conversion.
        file_range: the range; its list of rejects is stored in the work folder.
    """
    file = job.files[file_range.key.table, file_range.key.file]
    last: RangeAccount | None = None
    for block in read_range(file, file_range, job.block_bytes):
        if last is not None:
            yield last
        key = block.key
        rows, last = _take_rows(job, file, block)
        # The text is the largest part of a range, and the next one of this process may need its place.
        del block
        yield from partition(key, rows, job.num_shards, job.finished_shards)
        _store_rejects(job.work, file, key, rows)
    if last is not None:
        # Of a compressed file only the end of its stream tells which block was the last.
        yield dataclasses.replace(last, is_last=file.compressed or last.end == file.size)


def _take_rows(job: RangeJob, file: InputFile, block: Block) -> tuple[TableRows, RangeAccount]:
    kinds = columns_to_parse(file.table, file.names, job.texts, bool(job.filters.subsets))
    parsed = parse_rows(block.data, file.names, kinds, quoted_line_breaks=file.table in QUOTED_LINE_BREAKS)
    rows = make_rows(file.table, parsed, RowRules(job.vocabulary, job.kept_codes, job.filters))
    found = _find_named(job.filters, file.table, parsed.columns)
    return rows, dataclasses.replace(_result(job, block, rows), **found)


def _find_named(filters: RowFilters, table: Table, columns: Columns) -> dict[str, Any]:
    """Returns the fields of the result that tell which of what filters name is in the range, filtered or not."""
    found: dict[str, Any] = {}
    if (named := filters.named_values.get(table)) and (column := VALUE_FILTERS[table][1]) in columns.categories:
        found["values"] = count_values(columns.categories[column].values, columns.categories[column].codes, named)
    if filters.image_ids is not None:
        found["found_ids"] = pack_found(columns.numbers["ImageID"], filters.image_ids)
    return found


def _store_rejects(work: WorkFolder, file: InputFile, key: RangeKey, rows: TableRows) -> None:
    piece = format_piece(reject_row(key, file.path, fault) for fault in rows.faults)
    work.write_rejects(f"range-{key.table}-{key.file:05d}-{key.index:06d}", piece)


def _result(job: RangeJob, block: Block, rows: TableRows) -> RangeAccount:
    key, start, data = block
    # Only one table decides an order by frequency; the classes of all would fill the results.
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
