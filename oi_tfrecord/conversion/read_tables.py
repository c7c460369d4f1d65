"""CSV files and archives to batches of rows by shard, and an account of each range."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator

import apache_beam as beam
from apache_beam.typehints import KV

from oi_tfrecord.conversion.list_archive import list_archive
from oi_tfrecord.conversion.read_range import BlockResult, RangeJob, ScanJob, read_table_range
from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.engine.progress_reports import READ, SCAN
from oi_tfrecord.engine.step_metrics import StepMetrics
from oi_tfrecord.engine.threaded_fn import ThreadedFn
from oi_tfrecord.join.shuffle_files import write_rows
from oi_tfrecord.openimages.csv.file_ranges import FileRange, needs_scan, plan_ranges, resolve_ranges, scan_range
from oi_tfrecord.openimages.csv.record_boundaries import BlockScan
from oi_tfrecord.openimages.schema import RangeKey
from oi_tfrecord.sources.archive_listing import ArchiveFile

ACCOUNTS = "accounts"

BATCHES = "batches"


class ReadTables(beam.PTransform):
    """Reads the CSV files of a split, and lists the images of its archives, for the runner's shuffle.

    Output: `batches` of (shard, batch of rows), and `accounts`, a RangeAccount per block of a range.
    """

    def __init__(self, job: RangeJob):
        """Reads nothing yet.

        Args:
            job: the conversion.
        """
        super().__init__()
        self._job = job

    def expand(self, root):  # type: ignore[no-untyped-def]
        """Adds the steps to a pipeline."""
        # One range at a time: batches of several would be held while they go to the runner.
        ranges = plan_exact_ranges(root, self._job, threads=1)
        # (shard, batch), RangeAccount
        return ranges | "ReadRanges" >> beam.ParDo(_ReadRange(self._job)).with_outputs(ACCOUNTS, main=BATCHES)


class ReadTablesToFiles(beam.PTransform):
    """Reads the CSV files of a split, and lists the images of its archives; the rows go to the shuffle's files.

    Output: a RangeAccount per block of a range.
    """

    def __init__(self, job: RangeJob, threads: int):
        """Reads nothing yet.

        Args:
            job: the conversion.
            threads: ranges that a worker process reads at once.
        """
        super().__init__()
        self._job = job
        self._threads = threads

    def expand(self, root: beam.Pipeline) -> beam.PCollection:
        """Adds the steps to a pipeline."""
        ranges = plan_exact_ranges(root, self._job, self._threads)
        # RangeAccount
        return ranges | "ReadRanges" >> beam.ParDo(_ReadRangeToFile(self._job, self._threads))


def plan_exact_ranges(root: beam.Pipeline, job: RangeJob, threads: int) -> beam.PCollection:
    """Adds the steps that cut the inputs in ranges of whole records.

    Args:
        root: the pipeline.
        job: the conversion.
        threads: ranges that a worker process searches at once for quoted line breaks.

    Returns:
        FileRanges, spread over the workers.
    """
    nominal = [file_range for file in job.files.values() for file_range in plan_ranges(file, job.block_bytes)]
    exact = (
        root
        # FileRange
        | "CreateQuotedRanges" >> beam.Create([item for item in nominal if needs_scan(item)], reshuffle=True)
        # (table, file number), BlockScan
        | "ScanQuotes"
        >> beam.ParDo(_ScanQuotes(job.scan_job, threads)).with_output_types(KV[tuple[str, int], BlockScan])
        # (table, file number), BlockScans
        | "GroupByFile" >> beam.GroupByKey()
        # FileRange
        | "ResolveRanges" >> beam.FlatMap(_resolve, job.scan_job)
    )
    of_lines = [item for item in nominal if not needs_scan(item)]
    whole = [whole_archive(archive) for archive in job.archives.values()]
    # FileRange
    lines = root | "CreateLineRanges" >> beam.Create([*of_lines, *whole], reshuffle=False)
    return (
        (exact, lines)
        # Spread behind and not before, as Flink's and Spark's runners cannot flatten what a shuffle yields with
        # what none does (https://github.com/apache/beam/issues/34647).
        | "FlattenRanges" >> beam.Flatten()
        | "SpreadRanges" >> beam.Reshuffle()
    )


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


class _ScanQuotes(ThreadedFn):
    def __init__(self, job: ScanJob, threads: int):
        super().__init__(job.work, SCAN, threads)
        self._job = job

    def process(self, nominal: FileRange) -> Iterator[object]:
        yield from self.run(self._scan, nominal)

    def _scan(self, nominal: FileRange) -> list[tuple[tuple[str, int], BlockScan]]:
        file_key = (str(nominal.key.table), nominal.key.file)
        with relay_errors(self._job.work):
            scan = scan_range(self._job.files[file_key], nominal)
            self._reporter.add_bytes(scan.end - scan.start)
            return [(file_key, scan)]


def _resolve(grouped: tuple[tuple[str, int], Iterable[BlockScan]], job: ScanJob) -> list[FileRange]:
    file_key, scans = grouped
    with relay_errors(job.work):
        return resolve_ranges(job.files[file_key], scans)


@beam.typehints.with_output_types(KV[int, bytes])
class _ReadRange(ThreadedFn):
    """Hands the batches of a range to the runner, one by one."""

    def __init__(self, job: RangeJob):
        super().__init__(job.work, READ, threads=1)
        self._job = job

    def process(self, file_range: FileRange) -> Iterator[object]:
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
                count_range(account, self._metrics)
                yield beam.pvalue.TaggedOutput(ACCOUNTS, account)
                began = time.thread_time()


@beam.typehints.with_output_types(RangeAccount)
class _ReadRangeToFile(ThreadedFn):
    """Writes the rows of each block to a file of the shuffle."""

    def __init__(self, job: RangeJob, threads: int):
        super().__init__(job.work, READ, threads)
        self._job = job

    def process(self, file_range: FileRange) -> Iterator[object]:
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
            count_range(account, self._metrics)
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
