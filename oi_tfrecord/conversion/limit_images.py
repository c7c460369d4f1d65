"""Reads the tables before the conversion does: for the limit of `max_images`, and for the images that are chosen.

The limit is a bound of the sample hash that as many images are below. The chosen images decide what is kept of tar.gz
archives, which are unpacked in one pass.
"""

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.conversion.group_by_shard import ReadRows
from oi_tfrecord.conversion.shard_job import ShardJob
from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.join.join_shard import join_shard
from oi_tfrecord.openimages.csv.filters import limit_below_of, lowest_hashes, sample_hash


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
            | "HashImages" >> beam.Map(_hash_images, self._job, self._max_images, self._read_rows)
            # (None, hashes of all shards)
            | "GroupHashes" >> beam.GroupByKey()
            # nothing
            | "StoreLimit" >> beam.FlatMap(_store_limit, self._job, self._max_images)
        )


class ChooseImages(beam.PTransform):
    """Finds the images that are selected, and stores their keys in the work folder.

    Input: (shard, batches of rows). Output: nothing; the next pipeline of the run reads the work folder.
    """

    def __init__(self, job: ShardJob, read_rows: ReadRows):
        """Finds nothing yet.

        Args:
            job: the conversion.
            read_rows: reads the rows of a shard.
        """
        super().__init__()
        self._job = job
        self._read_rows = read_rows

    def expand(self, grouped: beam.PCollection) -> beam.PCollection:
        """Adds the steps to a pipeline."""
        return (
            grouped
            # (None, keys of the shard's selected images, uint64 as bytes)
            | "SelectImages" >> beam.Map(_select_images, self._job, self._read_rows)
            # (None, keys of all shards)
            | "GroupImages" >> beam.GroupByKey()
            # nothing
            | "StoreImages" >> beam.FlatMap(_store_images, self._job)
        )


def _select_images(grouped: tuple[int, Any], job: ShardJob, read_rows: ReadRows) -> tuple[None, bytes]:
    with relay_errors(job.work):
        tables = read_rows(grouped[1])
    return None, join_shard(tables, job.join_rules).image_ids.astype("<u8").tobytes()


def _store_images(grouped: tuple[None, Iterable[bytes]], job: ShardJob) -> list[int]:
    # A runner may pass on a piece twice, so each image is taken once.
    chosen = np.unique(np.frombuffer(b"".join(grouped[1]), "<u8"))
    with relay_errors(job.work):
        storage.write(job.work.chosen_images, chosen.tobytes(), job.work.temporary)
    return []


def _hash_images(grouped: tuple[int, Any], job: ShardJob, max_images: int, read_rows: ReadRows) -> tuple[None, bytes]:
    with relay_errors(job.work):
        tables = read_rows(grouped[1])
    joined = join_shard(tables, job.join_rules)
    return None, lowest_hashes(sample_hash(joined.image_ids), max_images + 1).tobytes()


def _store_limit(grouped: tuple[None, Iterable[bytes]], job: ShardJob, max_images: int) -> list[int]:
    hashes = np.zeros(0, np.uint64)
    for piece in grouped[1]:
        # A runner may pass on a piece twice; the union has each image once, as their hashes differ.
        both = np.union1d(hashes, np.frombuffer(piece, np.uint64))
        hashes = lowest_hashes(both, max_images + 1)
    limit = limit_below_of(hashes, max_images)
    with relay_errors(job.work):
        job.work.write_limit(limit)
    return []
