"""Finds the images that a conversion chooses, and the limit that `max_images` stands for.

The limit is a bound of the sample hash that as many images are below.
"""

from collections.abc import Iterable
from typing import Any

import apache_beam as beam
import numpy as np

from oi_tfrecord.conversion.group_by_shard import ReadRows
from oi_tfrecord.conversion.shard_job import ShardJob
from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.dataset.work_folder import WorkFolder
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


class ListImages(beam.PTransform):
    """Lists the images that the conversion chooses, in a file of the work folder for each shard (`read_listed`).

    Input: (shard, what the shuffle grouped for the shard). Output: nothing.
    """

    def __init__(self, job: ShardJob, read_rows: ReadRows):
        """Lists nothing yet.

        Args:
            job: the conversion.
            read_rows: returns the rows of a shard.
        """
        super().__init__()
        self._job = job
        self._read_rows = read_rows

    def expand(self, grouped: beam.PCollection) -> beam.PCollection:
        """Adds the step to a pipeline."""
        # nothing
        return grouped | "ListImages" >> beam.FlatMap(_list_images, self._job, self._read_rows)


def read_listed(work: WorkFolder) -> list[str]:
    """Returns the ImageIDs that ListImages stored."""
    return [image_id.decode() for data in work.attribution() for image_id in data.splitlines()]


def _list_images(grouped: tuple[int, Any], job: ShardJob, read_rows: ReadRows) -> list[int]:
    with relay_errors(job.work):
        joined = join_shard(read_rows(grouped[1]), job.join_rules)
        job.work.write_attribution(grouped[0] % job.num_shards, "".join(f"{i}\n" for i in joined.id_texts).encode())
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
