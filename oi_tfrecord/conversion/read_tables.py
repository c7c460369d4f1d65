"""CSV files, and lists of what archives hold, to batches of rows by shard."""

import dataclasses
import time
from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.typehints import KV

from oi_tfrecord.conversion.list_archive import read_archive
from oi_tfrecord.conversion.read_range import RangeJob, ScanJob, read_table_range
from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.engine.progress_reports import READ, SCAN
from oi_tfrecord.engine.threaded_fn import ThreadedFn
from oi_tfrecord.join.shuffle_files import write_batches
from oi_tfrecord.openimages.csv.file_ranges import FileRange, needs_scan, plan_ranges, resolve_ranges, scan_range
from oi_tfrecord.openimages.csv.files import InputFile
from oi_tfrecord.openimages.csv.record_boundaries import BlockScan
from oi_tfrecord.openimages.schema import Listing

RESULTS = "results"

BATCHES = "batches"


class ReadTables(beam.PTransform):
    """Reads the CSV files of a split, and lists the images of its archives.

    Output: `batches` of (shard, batch of rows), unless they go to files, and `results`, one
    RangeAccount per range.
    """

    def __init__(self, job: RangeJob, threads: int = 1):
        """Initializes the instance.

        Args:
            job: the conversion.
            threads: ranges that a worker process reads at once. Without a shuffle through files it reads one: what goes
                to a runner would be held meanwhile.
        """
        super().__init__()
        self._job = job
        self._thread_count = threads if job.shuffle_folder else 1

    def expand(self, root):  # type: ignore[no-untyped-def]
        job = self._job
        archives = [file for file in job.files.values() if isinstance(file.table, Listing)]
        tables = [file for file in job.files.values() if not isinstance(file.table, Listing)]
        nominal = [item for file in tables for item in plan_ranges(file, job.block_bytes)]
        exact = (
            root
            # FileRange
            | "CreateQuotedRanges" >> beam.Create([item for item in nominal if needs_scan(item)], reshuffle=True)
            # (table, file number), BlockScan
            | "ScanQuotes"
            >> beam.ParDo(_ScanQuotes(job.scan_job, self._thread_count)).with_output_types(
                KV[tuple[str, int], BlockScan]
            )
            | "GroupByFile" >> beam.GroupByKey()
            # FileRange
            | "ResolveRanges" >> beam.FlatMap(_resolve, job.scan_job)
        )
        lines = root | "CreateLineRanges" >> beam.Create(
            [item for item in nominal if not needs_scan(item)], reshuffle=False
        )
        ranges = [exact, lines]
        if archives:
            # InputFile
            ranges.append(root | "CreateArchives" >> beam.Create(archives, reshuffle=False))
        return (
            ranges
            # Spread behind and not before, as Flink's and Spark's runners cannot flatten what a shuffle yields with
            # what none does (https://github.com/apache/beam/issues/34647).
            | "FlattenRanges" >> beam.Flatten()
            | "SpreadRanges" >> beam.Reshuffle()
            | "ReadRanges" >> beam.ParDo(_ReadRange(job, self._thread_count)).with_outputs(RESULTS, main=BATCHES)
        )


class _ScanQuotes(ThreadedFn):
    def __init__(self, job: ScanJob, threads: int):
        super().__init__(job.work, SCAN, threads)
        self._job = job

    def process(self, nominal: FileRange) -> Iterator[object]:
        yield from self.run(self._scan, nominal)

    def _scan(self, nominal: FileRange) -> list[tuple[tuple[str, int], BlockScan]]:
        file_key = (str(nominal.key.table), nominal.key.file)
        with self._job.work.reported():
            scan = scan_range(self._job.files[file_key], nominal)
            self._reporter.add_range(0, scan.end - scan.start, 0)
            return [(file_key, scan)]


def _resolve(grouped: tuple[tuple[str, int], Iterable[BlockScan]], job: ScanJob) -> list[FileRange]:
    file_key, scans = grouped
    with job.work.reported():
        return resolve_ranges(job.files[file_key], scans)


@beam.typehints.with_output_types(KV[int, bytes])
class _ReadRange(ThreadedFn):
    def __init__(self, job: RangeJob, threads: int):
        super().__init__(job.work, READ, threads)
        self._job = job

    def process(self, item: FileRange | InputFile) -> Iterator[object]:
        yield from self.run(self._read_to_files if self._job.shuffle_folder else self._read, item)

    def _read_to_files(self, item: FileRange | InputFile) -> list[object]:
        # Without the batches it is little.
        return list(self._read(item))

    def _read(self, item: FileRange | InputFile) -> Iterator[object]:
        with self._job.work.reported():
            if isinstance(item, InputFile):
                yield from self._hand_on(read_archive(self._job, item, self._pass_bytes), in_archive=True)
            else:
                yield from self._hand_on(read_table_range(self._job, item))

    def _pass_bytes(self, size: int) -> None:
        # An archive takes long; what is passed of it counts at once.
        self._reporter.add_range(0, size, 0)

    def _hand_on(self, items: Iterable[tuple[int, bytes] | RangeAccount], in_archive: bool = False) -> Iterator[object]:
        folder = self._job.shuffle_folder
        to_file: list[tuple[int, bytes]] = []
        shuffled_bytes, began = 0, time.thread_time()
        for item in items:
            if isinstance(item, RangeAccount):
                seconds = time.thread_time() - began
                item = dataclasses.replace(item, shuffled_bytes=shuffled_bytes, cpu_seconds=seconds)
                shuffled_bytes, began = 0, time.thread_time()
                if folder:
                    write_batches(folder, f"{item.table}-{item.file}-{item.index}", to_file)
                    to_file = []
                self._reporter.add_range(
                    item.rows_read, 0 if in_archive else item.end - item.start, sum(item.rejected.values())
                )
                yield beam.pvalue.TaggedOutput(RESULTS, item)
                continue
            shuffled_bytes += len(item[1])
            if folder:
                to_file.append(item)
            else:
                yield item
