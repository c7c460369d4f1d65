"""The parts of a conversion's pipelines as transforms of Beam; the modules of the steps say what each does."""

from collections.abc import Collection, Iterable
from typing import Any

import apache_beam as beam
from apache_beam.typehints import KV

from oi_tfrecord.conversion.finish import FinishJob
from oi_tfrecord.conversion.finish_dataset import Finished, finish
from oi_tfrecord.conversion.limit_images import hash_images, select_images, store_images, store_limit
from oi_tfrecord.conversion.read_range import RangeJob
from oi_tfrecord.conversion.read_tables import (
    ACCOUNTS,
    ReadRange,
    ReadRangeToFile,
    ScanQuotes,
    ranges_to_scan,
    ranges_without_scan,
    resolve,
)
from oi_tfrecord.conversion.shard_job import ShardJob
from oi_tfrecord.conversion.write_shards import ReadRows, WriteShard
from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.engine.step_fn import StepFn
from oi_tfrecord.openimages.csv.record_boundaries import BlockScan

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
        step = StepFn(ReadRange(self._job)).with_output_types(KV[int, bytes])
        # (shard, batch), RangeAccount
        return ranges | "ReadRanges" >> beam.ParDo(step).with_outputs(ACCOUNTS, main=BATCHES)


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
        step = StepFn(ReadRangeToFile(self._job, self._threads)).with_output_types(RangeAccount)
        return ranges | "ReadRanges" >> beam.ParDo(step)


def plan_exact_ranges(root: beam.Pipeline, job: RangeJob, threads: int) -> beam.PCollection:
    """Adds the steps that cut the inputs in ranges of whole records.

    Args:
        root: the pipeline.
        job: the conversion.
        threads: ranges that a worker process searches at once for quoted line breaks.

    Returns:
        FileRanges, spread over the workers.
    """
    exact = (
        root
        # FileRange
        | "CreateQuotedRanges" >> beam.Create(ranges_to_scan(job), reshuffle=True)
        # (table, file number), BlockScan
        | "ScanQuotes"
        >> beam.ParDo(StepFn(ScanQuotes(job.scan_job, threads)).with_output_types(KV[tuple[str, int], BlockScan]))
        # (table, file number), BlockScans
        | "GroupByFile" >> beam.GroupByKey()
        # FileRange
        | "ResolveRanges" >> beam.FlatMap(resolve, job.scan_job)
    )
    # FileRange
    lines = root | "CreateLineRanges" >> beam.Create(ranges_without_scan(job), reshuffle=False)
    return (
        (exact, lines)
        # Spread behind and not before, as Flink's and Spark's runners cannot flatten what a shuffle yields with
        # what none does (https://github.com/apache/beam/issues/34647).
        | "FlattenRanges" >> beam.Flatten()
        | "SpreadRanges" >> beam.Reshuffle()
    )


class WriteShards(beam.PTransform):
    """Joins and writes each shard.

    Input: (key of a shard, what the shuffle grouped for the shard), as of `GroupBatches` or `GroupFiles`. Output: the
    number of each shard, whose account is in the work folder. Images are read here, after the shuffle, so no shuffle
    has their bytes.
    """

    def __init__(self, job: ShardJob, label_map: beam.pvalue.AsSingleton, threads: int, read_rows: ReadRows):
        """Writes nothing yet.

        Args:
            job: the conversion.
            label_map: side input with the packed label map.
            threads: shards that a worker process writes at once.
            read_rows: returns the rows of a shard.
        """
        super().__init__()
        self._job = job
        self._label_map = label_map
        self._thread_count = threads
        self._read_rows = read_rows

    def expand(self, grouped: beam.PCollection) -> beam.PCollection:
        """Adds the step to a pipeline."""
        # number of the shard
        return grouped | "WriteShard" >> beam.ParDo(
            StepFn(WriteShard(self._job, self._thread_count, self._read_rows)), self._label_map
        )


class FinishDataset(beam.PTransform):
    """Writes label map, rejects and manifest once all ranges and shards are done.

    Input: (accounts of ranges, numbers of the shards that are written). The accounts of shards, which hold counts of
    each class, are in the work folder, so that no runner has to keep them. Output: the manifest of the split.
    """

    def __init__(self, job: FinishJob, label_map: beam.pvalue.AsSingleton, finished: Iterable[int]):
        """Writes nothing yet.

        Args:
            job: the end of the conversion.
            label_map: side input with the packed label map.
            finished: shards that an earlier run finished.
        """
        super().__init__()
        self._job = job
        self._label_map = label_map
        self._finished = frozenset(finished)

    def expand(self, inputs):  # type: ignore[no-untyped-def]
        """Adds the steps to a pipeline."""
        accounts, shards = inputs
        return (
            {
                # (None, RangeAccount)
                "accounts": accounts | "KeyAccounts" >> beam.Map(_under_one_key),
                # (None, number of a shard)
                "shards": shards | "KeyShards" >> beam.Map(_under_one_key),
            }
            # (None, Finished)
            | "GroupResults" >> beam.CoGroupByKey()
            # manifest of the split
            | "WriteManifest" >> beam.Map(_finish, self._job, self._label_map, self._finished)
        )


def _under_one_key(value: object) -> tuple[None, object]:
    return None, value


class LimitImages(beam.PTransform):
    """Finds `RowFilters.limit_below` for `max_images`, and stores the limit in the work folder.

    Input: (shard, what the shuffle grouped for the shard). Output: nothing; the next pipeline of the run reads the
    work folder.
    """

    def __init__(self, job: ShardJob, max_images: int, read_rows: ReadRows):
        """Finds nothing yet.

        Args:
            job: the conversion.
            max_images: number of images to keep.
            read_rows: returns the rows of a shard.
        """
        super().__init__()
        self._job = job
        self._max_images = max_images
        self._read_rows = read_rows

    def expand(self, grouped: beam.PCollection) -> beam.PCollection:
        """Adds the steps to a pipeline."""
        return (
            grouped
            # (None, the max_images + 1 lowest sample hashes of the shard's selected images, uint64 as bytes)
            | "HashImages" >> beam.Map(_hash_under_one_key, self._job, self._max_images, self._read_rows)
            # (None, hashes of all shards)
            | "GroupHashes" >> beam.GroupByKey()
            # nothing
            | "StoreLimit" >> beam.FlatMap(_store_limit, self._job, self._max_images)
        )


class ChooseImages(beam.PTransform):
    """Finds the images that are selected, and stores their keys in the work folder.

    Input: (shard, what the shuffle grouped for the shard). Output: nothing; the next pipeline of the run reads the
    work folder.
    """

    def __init__(self, job: ShardJob, read_rows: ReadRows):
        """Finds nothing yet.

        Args:
            job: the conversion.
            read_rows: returns the rows of a shard.
        """
        super().__init__()
        self._job = job
        self._read_rows = read_rows

    def expand(self, grouped: beam.PCollection) -> beam.PCollection:
        """Adds the steps to a pipeline."""
        return (
            grouped
            # (None, keys of the shard's selected images, uint64 as bytes)
            | "SelectImages" >> beam.Map(_select_under_one_key, self._job, self._read_rows)
            # (None, keys of all shards)
            | "GroupImages" >> beam.GroupByKey()
            # nothing
            | "StoreImages" >> beam.FlatMap(_store_images, self._job)
        )


def _select_under_one_key(grouped: tuple[int, Any], job: ShardJob, read_rows: ReadRows) -> tuple[None, bytes]:
    with relay_errors(job.work):
        tables = read_rows(grouped[1])
    return None, select_images(tables, job)


def _store_images(grouped: tuple[None, Iterable[bytes]], job: ShardJob) -> list[int]:
    store_images(grouped[1], job)
    return []


def _hash_under_one_key(
    grouped: tuple[int, Any], job: ShardJob, max_images: int, read_rows: ReadRows
) -> tuple[None, bytes]:
    with relay_errors(job.work):
        tables = read_rows(grouped[1])
    return None, hash_images(tables, job, max_images)


def _store_limit(grouped: tuple[None, Iterable[bytes]], job: ShardJob, max_images: int) -> list[int]:
    store_limit(grouped[1], job, max_images)
    return []


def _finish(
    grouped: tuple[None, Finished], job: FinishJob, label_map: bytes, finished: Collection[int]
) -> dict[str, object]:
    return finish(grouped[1], job, label_map, finished)
