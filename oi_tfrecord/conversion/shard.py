"""Converts one shard: join, load and check images, encode, write, count."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.conversion.archive_rejects import account_repeats, blame_archives
from oi_tfrecord.conversion.shard_account import count_shard
from oi_tfrecord.conversion.shard_images import ImageOutcome, ShardImages
from oi_tfrecord.conversion.shard_job import ShardJob
from oi_tfrecord.dataset.accounts import ShardAccount, decode_account, encode_account
from oi_tfrecord.dataset.attribution_csv import format_attribution
from oi_tfrecord.dataset.rejects_csv import format_piece, reject_row
from oi_tfrecord.dataset.shard_index import write_index
from oi_tfrecord.errors import EngineError
from oi_tfrecord.join.encode_records import RecordEncoder
from oi_tfrecord.join.expand_hierarchy import Expansion, expand_shard
from oi_tfrecord.join.image_facts import ImageFacts, turn_shard
from oi_tfrecord.join.join_shard import JoinedShard, join_shard
from oi_tfrecord.join.label_conflicts import leave_out_repeated_labels, resolve_label_conflicts
from oi_tfrecord.join.shard_rows import ShardRows
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.shard_names import shard_file
from oi_tfrecord.records.shard_writer import WrittenShard, write_shard

OnProgress = Callable[[int, int, int, float], None]
"""Takes records, image bytes and rejects until now, and the share of the shard that is done, 0 to 1."""


def ignore_progress(records: int, image_bytes: int, rejects: int, share: float) -> None:
    """Ignores the progress of a shard; the arguments are those of OnProgress."""


def convert_shard(
    job: ShardJob,
    shard: int,
    read_rows: Callable[[], Mapping[Table, ShardRows]],
    label_map: LabelMap,
    on_progress: OnProgress = ignore_progress,
) -> ShardAccount:
    """Writes one shard file and its index, and its account, with its list of rejects, to the work folder.

    Args:
        job: the conversion.
        shard: number of the shard.
        read_rows: returns all rows of the shard.
        label_map: ids of the classes.
        on_progress: called after each record.

    Returns:
        The account, which is also stored (but for `read_seconds`), so that a resumed run need not do the shard again.
    """
    began = time.thread_time()
    label_ids = job.label_ids(label_map)
    joined = _join(job, read_rows(), label_ids)
    facts = ImageFacts.of(
        joined,
        shard,
        job.num_shards,
        with_rotation=job.uses_rotation,
        turn=job.turn_images,
        numeric_ids=job.source_id == "numeric",
    )
    name = shard_file(job.split, shard, job.num_shards)
    if job.dry_run:
        images = ImageOutcome.all_written(joined, facts)
        unwritten = WrittenShard(images.records, 0, "")
        account = count_shard(shard, name, joined, images, unwritten, label_ids, label_map.expanded_boxes)
        account = dataclasses.replace(account, cpu_seconds=time.thread_time() - began)
    else:
        images, written = _write_records(job, storage.join(job.output_dir, name), joined, facts, label_ids, on_progress)
        write_index(job.output_dir, name, written.lengths, job.work.temporary)
        account = count_shard(shard, name, joined, images, written, label_ids, label_map.expanded_boxes)
        if job.attribution_csv:
            job.work.write_attribution(shard, format_attribution(joined, images.has_record))
    account = dataclasses.replace(account, conversion=job.conversion, rejects=_format_rejects(job, joined, images))
    job.work.write_result(shard, encode_account(account))
    # Not stored, as a shard that is written again must have the same result.
    return dataclasses.replace(account, read_seconds=images.read_seconds)


def find_finished(job: ShardJob, shard: int) -> ShardAccount | None:
    """Returns the account of a shard that this conversion wrote already, as an engine may try a bundle again.

    Args:
        job: the conversion.
        shard: number of the shard.

    Returns:
        The account, None if there is none or if the file has another size.
    """
    stored = job.work.find_result(shard)
    if stored is None or job.dry_run:
        return None
    account = decode_account(stored)
    path = storage.join(job.output_dir, shard_file(job.split, shard, job.num_shards))
    is_whole = account.conversion == job.conversion and storage.size(path) == account.size
    return account if is_whole else None


def _join(job: ShardJob, tables: Mapping[Table, ShardRows], label_ids: np.ndarray) -> JoinedShard:
    joined = resolve_label_conflicts(account_repeats(job, join_shard(tables, job.join_rules)))
    if not job.layout.has_boxes:
        joined = leave_out_repeated_labels(joined)
    if job.hierarchy is None:
        return joined
    # A label map that is given may have classes that are not chosen.
    chosen_ids = np.where(job.is_chosen, label_ids, 0)
    return expand_shard(joined, Expansion.of(job.hierarchy, job.mids, chosen_ids, job.is_listed))


def _write_records(
    job: ShardJob,
    path: str,
    joined: JoinedShard,
    facts: ImageFacts,
    label_ids: np.ndarray,
    on_progress: OnProgress,
) -> tuple[ImageOutcome, WrittenShard]:
    images = ShardImages(job, joined, facts)
    boxes_turned = turn_shard(joined, facts.rotations) if job.turn_images else joined
    encoder = RecordEncoder(boxes_turned, job.mids, label_ids, job.layout, facts.source_ids, facts.to_turn.tolist())
    examples = _encode_examples(images, encoder, len(joined.faults), len(joined.image_ids), on_progress)
    written = write_shard(
        path,
        job.work.temporary,
        _check_at_end(job, examples),
        has_spare_cores=job.has_spare_cores,
        with_sha256=job.shard_sha256,
    )
    outcome = blame_archives(images.outcome(), job.work)
    return outcome.skip_missing() if job.skips_missing else outcome, written


def _check_at_end(job: ShardJob, examples: Iterator[Sequence[bytes]]) -> Iterator[Sequence[bytes]]:
    """Yields examples; raises before the shard appears if its conversion was replaced meanwhile.

    Raises:
        EngineError: if another conversion of the split was started, whose shard this one would replace.
    """
    yield from examples
    if job.conversion and job.work.conversion() != job.conversion:
        problem = f"another conversion of {job.split!r} was started in {job.output_dir}, and this one writes no more"
        raise EngineError(problem, "Cancel this job; give another --output_dir to have both")


def _encode_examples(
    images: ShardImages, encoder: RecordEncoder, row_rejects: int, image_count: int, on_progress: OnProgress
) -> Iterator[Sequence[bytes]]:
    """Yields the Example of each readable image."""
    for index, image, masks in images:
        yield encoder.encode(index, image, masks)
        on_progress(images.records, images.image_bytes, row_rejects + images.reject_count, (index + 1) / image_count)


def _format_rejects(job: ShardJob, joined: JoinedShard, images: ImageOutcome) -> str:
    faults = (*joined.faults, *images.masks.faults)
    rows = [reject_row(fault.key, job.files[fault.key.table][fault.key.file], fault) for fault in faults]
    return format_piece([*rows, *images.rejects])
