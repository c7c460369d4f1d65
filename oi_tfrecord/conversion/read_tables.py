"""CSV files and archives to batches of rows by shard, and an account of each range."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator

from oi_tfrecord.conversion.list_archive import list_archive
from oi_tfrecord.conversion.read_range import BlockResult, RangeJob, ScanJob, read_table_range
from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.engine.progress_reports import READ, SCAN
from oi_tfrecord.engine.step import Step, Tagged
from oi_tfrecord.engine.step_metrics import StepMetrics
from oi_tfrecord.join.shuffle_files import write_rows
from oi_tfrecord.openimages.csv.file_ranges import FileRange, needs_scan, plan_ranges, resolve_ranges, scan_range
from oi_tfrecord.openimages.csv.record_boundaries import BlockScan
from oi_tfrecord.openimages.schema import RangeKey
from oi_tfrecord.sources.archive_listing import ArchiveFile

ACCOUNTS = "accounts"


def whole_archive(archive: ArchiveFile) -> FileRange:
    """Returns an archive as one range."""
    return FileRange(RangeKey(archive.listing, archive.number, 0), 0, archive.size, exact=True)


def read_input(job: RangeJob, file_range: FileRange, on_bytes: Callable[[int], None]) -> Iterator[BlockResult]:
    """Returns the results of the blocks of a range of a CSV file, or of an archive.

    Args:
        job: the conversion.
        file_range: the range.
        on_bytes: called with the number of bytes that were read.
    """
    read = list_archive if file_range.key.table.is_listing else read_table_range
    return read(job, file_range, on_bytes)


def ranges_to_scan(job: RangeJob) -> list[FileRange]:
    """Returns the ranges whose bounds are only known after a search for quoted line breaks."""
    return [item for item in _nominal_ranges(job) if needs_scan(item)]


def ranges_without_scan(job: RangeJob) -> list[FileRange]:
    """Returns the ranges of whole lines, and the archives."""
    of_lines = [item for item in _nominal_ranges(job) if not needs_scan(item)]
    return [*of_lines, *map(whole_archive, job.archives.values())]


def _nominal_ranges(job: RangeJob) -> list[FileRange]:
    return [file_range for file in job.files.values() for file_range in plan_ranges(file, job.block_bytes)]


class ScanQuotes(Step):
    """Searches ranges for quoted line breaks."""

    def __init__(self, job: ScanJob, threads: int):
        """Searches nothing yet.

        Args:
            job: the tables.
            threads: ranges to search at once.
        """
        super().__init__(job.work, SCAN, threads)
        self._job = job

    def process(self, nominal: FileRange) -> Iterator[object]:
        """Yields ((table, file number), BlockScan)."""
        yield from self.run(self._scan, nominal)

    def _scan(self, nominal: FileRange) -> list[tuple[tuple[str, int], BlockScan]]:
        file_key = (str(nominal.key.table), nominal.key.file)
        with relay_errors(self._job.work):
            scan = scan_range(self._job.files[file_key], nominal)
            self._reporter.add_bytes(scan.end - scan.start)
            return [(file_key, scan)]


def resolve(grouped: tuple[tuple[str, int], Iterable[BlockScan]], job: ScanJob) -> list[FileRange]:
    """Returns the ranges of whole records of a file.

    Args:
        grouped: (table, file number), and the results of `ScanQuotes` for the file.
        job: the tables.
    """
    file_key, scans = grouped
    with relay_errors(job.work):
        return resolve_ranges(job.files[file_key], scans)


class ReadRange(Step):
    """Hands the batches of a range to the runner, one by one."""

    def __init__(self, job: RangeJob):
        """Reads nothing yet.

        Args:
            job: the conversion.
        """
        super().__init__(job.work, READ, threads=1)
        self._job = job

    def process(self, file_range: FileRange) -> Iterator[object]:
        """Yields (shard, batch of rows), and to ACCOUNTS a RangeAccount per block."""
        yield from self.run(self._read, file_range)

    def _read(self, file_range: FileRange) -> Iterator[object]:
        with relay_errors(self._job.work):
            began = time.thread_time()
            for block in read_input(self._job, file_range, self._reporter.add_bytes):
                shuffled_bytes = 0
                for shard, batch in block.rows.batches():
                    shuffled_bytes += len(batch)
                    yield shard, batch
                account = with_costs(block.account, shuffled_bytes, time.thread_time() - began)
                self._reporter.add_rows(account.rows_read, sum(account.rejected.values()))
                count_range(account, self.metrics)
                yield Tagged(ACCOUNTS, account)
                began = time.thread_time()


class ReadRangeToFile(Step):
    """Writes the rows of each block to a file of the shuffle."""

    def __init__(self, job: RangeJob, threads: int):
        """Reads nothing yet.

        Args:
            job: the conversion.
            threads: ranges to read at once.
        """
        super().__init__(job.work, READ, threads)
        self._job = job

    def process(self, file_range: FileRange) -> Iterator[object]:
        """Yields a RangeAccount per block."""
        yield from self.run(self._read, file_range)

    def _read(self, file_range: FileRange) -> list[RangeAccount]:
        with relay_errors(self._job.work):
            return list(self._write_blocks(file_range))

    def _write_blocks(self, file_range: FileRange) -> Iterator[RangeAccount]:
        began = time.thread_time()
        for block in read_input(self._job, file_range, self._reporter.add_bytes):
            account = block.account
            shuffled_bytes = write_rows(self._job.shuffle_folder, block.rows)
            self._reporter.add_rows(account.rows_read, sum(account.rejected.values()))
            count_range(account, self.metrics)
            yield with_costs(account, shuffled_bytes, time.thread_time() - began)
            began = time.thread_time()


def count_range(account: RangeAccount, metrics: StepMetrics) -> None:
    """Counts a block that is read.

    Args:
        account: of the block.
        metrics: takes `rows` and `rejects_REASON`.
    """
    metrics.count("rows", account.rows_read)
    for reason, number in account.rejected.items():
        metrics.count(f"rejects_{reason}", number)


def with_costs(account: RangeAccount, shuffled_bytes: int, cpu_seconds: float) -> RangeAccount:
    """Returns the account of a block with what its rows cost, for estimates."""
    return dataclasses.replace(account, shuffled_bytes=shuffled_bytes, cpu_seconds=cpu_seconds)
