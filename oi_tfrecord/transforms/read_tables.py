"""CSV files to batches of rows by shard."""

from collections.abc import Iterable, Iterator

import apache_beam as beam
from apache_beam.typehints import KV

from oi_tfrecord.csv_input import FileRange, needs_scan, plan_ranges, resolve_ranges, scan_range
from oi_tfrecord.csv_ranges import BlockScan
from oi_tfrecord.progress import READ, SCAN, Reporter
from oi_tfrecord.range_job import RangeJob, read_table_range
from oi_tfrecord.results import RangeResult, to_json
from oi_tfrecord.shuffle_files import write_batches

RESULTS = "results"
BATCHES = "batches"


class ReadTables(beam.PTransform):
    """Reads the CSV files of a split.

    Output: `batches` of (shard, batch of rows), unless they go to files, and `results`, one JSON
    per range.
    """

    def __init__(self, job: RangeJob):
        super().__init__()
        self._job = job

    def expand(self, root):  # type: ignore[no-untyped-def]
        job = self._job
        nominal = [item for file in job.files.values() for item in plan_ranges(file, job.block_bytes)]
        exact = (
            root
            # FileRange
            | "CreateQuotedRanges" >> beam.Create([item for item in nominal if needs_scan(item)], reshuffle=True)
            # (table, file number), BlockScan
            | "ScanQuotes" >> beam.ParDo(_ScanQuotes(job)).with_output_types(KV[tuple[str, int], BlockScan])
            | "GroupByFile" >> beam.GroupByKey()
            # FileRange
            | "ResolveRanges" >> beam.FlatMap(_resolve, job)
            | "SpreadRanges" >> beam.Reshuffle()
        )
        lines = root | "CreateLineRanges" >> beam.Create(
            [item for item in nominal if not needs_scan(item)], reshuffle=True
        )
        return (
            (exact, lines)
            | "FlattenRanges" >> beam.Flatten()
            | "ReadRanges" >> beam.ParDo(_ReadRange(job)).with_outputs(RESULTS, main=BATCHES)
        )


class _ScanQuotes(beam.DoFn):
    def __init__(self, job: RangeJob):
        self._job = job

    def setup(self) -> None:
        self._reporter = Reporter(self._job.work, SCAN)

    def process(self, nominal: FileRange) -> Iterator[tuple[tuple[str, int], BlockScan]]:
        file_key = (str(nominal.key.table), nominal.key.file)
        with self._job.work.reported():
            scan = scan_range(self._job.files[file_key], nominal)
            self._reporter.add_range(0, scan.end - scan.start, 0)
            yield file_key, scan

    def teardown(self) -> None:
        self._reporter.flush()


def _resolve(grouped: tuple[tuple[str, int], Iterable[BlockScan]], job: RangeJob) -> list[FileRange]:
    file_key, scans = grouped
    with job.work.reported():
        return resolve_ranges(job.files[file_key], scans)


@beam.typehints.with_output_types(KV[int, bytes])
class _ReadRange(beam.DoFn):
    def __init__(self, job: RangeJob):
        self._job = job

    def setup(self) -> None:
        self._reporter = Reporter(self._job.work, READ)

    def process(self, file_range: FileRange) -> Iterator[object]:
        with self._job.work.reported():
            yield from self._read(file_range)

    def _read(self, file_range: FileRange) -> Iterator[object]:
        folder = self._job.shuffle_folder
        to_file: list[tuple[int, bytes]] = []
        for item in read_table_range(self._job, file_range):
            if isinstance(item, RangeResult):
                if folder:
                    write_batches(folder, f"{item.table}-{item.file}-{item.index}", to_file)
                    to_file = []
                self._reporter.add_range(item.rows_read, item.size, sum(item.rejected.values()))
                yield beam.pvalue.TaggedOutput(RESULTS, to_json(item))
            elif folder:
                to_file.append(item)
            else:
                yield item

    def teardown(self) -> None:
        self._reporter.flush()
