"""A conversion in one process of this machine: the steps of `pipeline`, one after the other and without Beam.

Importing Beam, and building and translating a pipeline, takes longer than the rest of a small conversion.
"""

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterator

from oi_tfrecord.conversion.finish_dataset import add_counts, finish, store_inputs, without_counts
from oi_tfrecord.conversion.limit_images import hash_images, select_images, store_images, store_limit
from oi_tfrecord.conversion.planning.plan import ConvertPlan
from oi_tfrecord.conversion.read_range import RangeJob
from oi_tfrecord.conversion.read_tables import (
    ReadRangeToFile,
    ScanQuotes,
    ranges_to_scan,
    ranges_without_scan,
    resolve,
)
from oi_tfrecord.conversion.write_shards import WriteShard
from oi_tfrecord.dataset.accounts import RangeAccount
from oi_tfrecord.dataset.error_relay import relay_errors
from oi_tfrecord.dataset.label_map_claim import claim_packed
from oi_tfrecord.engine.step import run_step
from oi_tfrecord.join.join_shard import join_shard
from oi_tfrecord.join.shuffle_files import ShardSlices, ShuffleIndex, read_index
from oi_tfrecord.openimages.csv.file_ranges import FileRange
from oi_tfrecord.openimages.csv.record_boundaries import BlockScan
from oi_tfrecord.records.packed_label_map import pack


def write_shards_here(plan: ConvertPlan, finished: Collection[int]) -> None:
    """Does what the pipeline of `build_pipeline` does.

    Args:
        plan: the conversion, whose rows are grouped through files.
        finished: the shards that an earlier run finished, whose accounts are in the work folder.
    """
    accounts = _read_tables(plan.range_job(frozenset(finished)), plan.threads)
    label_map = plan.classes.label_map
    if label_map is None:
        label_map = plan.classes.make_label_map(add_counts(account.class_rows for account in accounts))
    packed = claim_packed(pack(label_map), plan.config.output_dir, plan.config.split)
    store_inputs(packed, plan.work, [without_counts(account) for account in accounts])
    index = _read_index(plan)
    # (shard, places of its rows)
    grouped = ((shard, ShardSlices(index, shard)) for shard in range(plan.num_shards) if shard not in finished)
    written = list(run_step(WriteShard(plan.shard_job(), plan.threads, ShardSlices.tables), grouped, packed))
    finish({"accounts": accounts, "shards": written}, plan.finish_job(), packed, finished)


def limit_images_here(plan: ConvertPlan) -> None:
    """Does what the pipeline of `build_limit_pipeline` does.

    Args:
        plan: the conversion, whose rows are grouped through files.
    """
    index, job, max_images = _group_tables(plan), plan.shard_job(), plan.config.max_images
    with relay_errors(plan.work):
        pieces = [hash_images(index.tables(shard), job, max_images) for shard in range(plan.num_shards)]
    store_limit(pieces, job, max_images)


def choose_images_here(plan: ConvertPlan) -> None:
    """Does what the pipeline of `build_choice_pipeline` does.

    Args:
        plan: the conversion, whose rows are grouped through files.
    """
    index, job = _group_tables(plan), plan.shard_job()
    with relay_errors(plan.work):
        pieces = [select_images(index.tables(shard), job) for shard in range(plan.num_shards)]
    store_images(pieces, job)


def list_images_here(plan: ConvertPlan) -> list[str]:
    """Returns the ImageIDs of the images that a conversion would write if every image were there, by shard.

    Args:
        plan: the conversion, whose rows are grouped through files.
    """
    index, rules = _group_tables(plan), plan.shard_job().join_rules
    with relay_errors(plan.work):
        shards = [join_shard(index.tables(shard), rules).id_texts for shard in range(plan.num_shards)]
    return [image_id for ids in shards for image_id in ids]


def _group_tables(plan: ConvertPlan) -> ShuffleIndex:
    """Groups the rows of the tables by shard, without the places of images in archives, which do not matter yet."""
    _read_tables(dataclasses.replace(plan.range_job(frozenset()), archives={}), plan.threads)
    return _read_index(plan)


def _read_tables(job: RangeJob, threads: int) -> list[RangeAccount]:
    """Reads all tables into the files of the shuffle; returns the account of each block."""
    return list(run_step(ReadRangeToFile(job, threads), _exact_ranges(job, threads)))


def _exact_ranges(job: RangeJob, threads: int) -> Iterator[FileRange]:
    """Yields the ranges of all inputs, in whole records."""
    scans: defaultdict[tuple[str, int], list[BlockScan]] = defaultdict(list)
    for file_key, scan in run_step(ScanQuotes(job.scan_job, threads), ranges_to_scan(job)):
        scans[file_key].append(scan)
    for grouped in scans.items():
        yield from resolve(grouped, job.scan_job)
    yield from ranges_without_scan(job)


def _read_index(plan: ConvertPlan) -> ShuffleIndex:
    with relay_errors(plan.work):
        return read_index(plan.shuffle_folder)
