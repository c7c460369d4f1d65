"""Joins the tables before the conversion does: for the limit of `max_images`, and for the images that are chosen.

The limit is a bound of the sample hash that as many images are below. The chosen images decide what is kept of tar.gz
archives, which are unpacked in one pass.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.conversion.shard_job import ShardJob
from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.join.join_shard import join_shard
from oi_tfrecord.join.shard_rows import ShardRows
from oi_tfrecord.openimages.csv.filters import limit_below_of, lowest_hashes, sample_hash
from oi_tfrecord.openimages.schema import Table


def hash_images(tables: Mapping[Table, ShardRows], job: ShardJob, max_images: int) -> bytes:
    """Returns the `max_images` + 1 lowest sample hashes of the selected images of a shard, uint64 as bytes.

    Args:
        tables: the rows of the shard.
        job: the conversion.
        max_images: number of images to keep of all shards.
    """
    joined = join_shard(tables, job.join_rules)
    return lowest_hashes(sample_hash(joined.image_ids), max_images + 1).tobytes()


def store_limit(pieces: Iterable[bytes], job: ShardJob, max_images: int) -> None:
    """Stores `RowFilters.limit_below` for `max_images` in the work folder; the next pipeline of the run reads it there.

    Args:
        pieces: hashes of each shard, as of `hash_images`.
        job: the conversion.
        max_images: number of images to keep.
    """
    hashes = np.zeros(0, np.uint64)
    for piece in pieces:
        # A runner may pass on a piece twice; the union has each image once, as their hashes differ.
        both = np.union1d(hashes, np.frombuffer(piece, np.uint64))
        hashes = lowest_hashes(both, max_images + 1)
    limit = limit_below_of(hashes, max_images)
    with relay_errors(job.work):
        job.work.write_limit(limit)


def select_images(tables: Mapping[Table, ShardRows], job: ShardJob) -> bytes:
    """Returns the keys of the selected images of a shard, uint64 as bytes.

    Args:
        tables: the rows of the shard.
        job: the conversion.
    """
    return join_shard(tables, job.join_rules).image_ids.astype("<u8").tobytes()


def store_images(pieces: Iterable[bytes], job: ShardJob) -> None:
    """Stores which images are selected in the work folder; the next pipeline of the run reads it there.

    Args:
        pieces: keys of each shard, as of `select_images`.
        job: the conversion.
    """
    # A runner may pass on a piece twice, so each image is taken once.
    chosen = np.unique(np.frombuffer(b"".join(pieces), "<u8"))
    with relay_errors(job.work):
        storage.write(job.work.chosen_images, chosen.tobytes(), job.work.temporary)
