"""Converts one shard: join, load and check images, encode, write, count."""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.conversion.encode_records import RecordEncoder
from oi_tfrecord.conversion.shard_account import count_shard
from oi_tfrecord.conversion.shard_images import ShardImages
from oi_tfrecord.dataset.accounts import ShardAccount, encode_account
from oi_tfrecord.dataset.attribution_csv import format_attribution
from oi_tfrecord.dataset.rejects_csv import format_piece, reject_row
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.images.values import ImageOptions
from oi_tfrecord.join.batches import Batch
from oi_tfrecord.join.expand_hierarchy import Expansion, expand_shard
from oi_tfrecord.join.image_facts import ImageFacts, turn_shard
from oi_tfrecord.join.join_shard import JoinRules, join_shard
from oi_tfrecord.openimages.hierarchy import Hierarchy
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.keys import ExtraKeys, RecordLayout
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.shard_names import shard_file
from oi_tfrecord.records.shard_writer import WrittenShard, write_shard
from oi_tfrecord.sources.masks import MaskSource
from oi_tfrecord.sources.protocol import ImageSource


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """What all shards of a conversion have in common.

    Attributes:
        split: name of the split.
        num_shards: number of shards.
        output_dir: folder of the shard files.
        work: folder of what is unfinished.
        driver: table whose ImageIDs are the images.
        select: which of them are written (`join_shard`).
        files: table or listing to the paths of its files.
        mids: MID of each vocabulary code.
        layout: keys of the records.
        source: where image bytes come from.
        image_options: how they are checked and encoded.
        source_id: `hex` or `numeric`.
        turn_images: whether images and boxes are turned by the metadata's Rotation.
        read_threads: images read at once; 0 chooses by storage.
        hierarchy: by which boxes and labels are expanded; None if they are not.
        dry_run: whether to join and count only, as if every image were there.
        masks: where the masks of boxes come from; None for records without masks.
        attribution_csv: whether to list whom each record's image is by.
        has_spare_cores: whether there are fewer shards than workers.
    """

    split: str
    num_shards: int
    output_dir: str
    work: WorkFolder
    driver: Table
    select: str
    files: dict[Table, tuple[str, ...]]
    mids: tuple[str, ...]
    layout: RecordLayout
    source: ImageSource
    image_options: ImageOptions
    read_threads: int
    hierarchy: Hierarchy | None = None
    dry_run: bool = False
    masks: MaskSource | None = None
    source_id: str = "hex"
    turn_images: bool = False
    attribution_csv: bool = False
    has_spare_cores: bool = False

    @functools.cached_property
    def _code_of(self) -> dict[str, int]:
        return {mid: code for code, mid in enumerate(self.mids)}

    @functools.cached_property
    def _last_label_ids(self) -> list[tuple[LabelMap | None, np.ndarray]]:
        return [(None, np.zeros(0, np.int64))]

    def label_ids(self, label_map: LabelMap) -> np.ndarray:
        """Returns the label map id of each vocabulary code, 0 for those not in the label map."""
        # One worker does thousands of shards with one label map, which may have 20,000 classes.
        known, ids = self._last_label_ids[-1]
        if known is not label_map:
            ids = np.zeros(len(self.mids), np.int64)
            codes = [self._code_of[item.name] for item in label_map.items]
            ids[codes] = [item.id for item in label_map.items]
            self._last_label_ids[:] = [(label_map, ids)]
        return ids


def convert_shard(
    job: ShardJob,
    shard: int,
    batches: Iterable[Batch],
    label_map: LabelMap,
    on_progress: Callable[[int, int, int, float], None] = lambda records, image_bytes, rejects, share: None,
) -> ShardAccount:
    """Writes one shard file, its list of rejects, and its result beside it.

    Args:
        job: the conversion.
        shard: number of the shard.
        batches: all rows of the shard.
        label_map: ids of the classes.
        on_progress: called after each record with the counts so far in this shard, and the share of it done.

    Returns:
        The result, which is also stored, so that a rerun need not do the shard again.
    """
    began = time.thread_time()
    joined = join_shard(batches, JoinRules(job.driver, job.select, job.masks.rules if job.masks else None))
    label_ids = job.label_ids(label_map)
    if job.hierarchy is not None:
        joined = expand_shard(joined, Expansion.of(job.hierarchy, job.mids, label_ids))
    facts = ImageFacts.of(
        joined,
        shard,
        job.num_shards,
        with_rotation=job.turn_images or ExtraKeys.ROTATION in job.layout.extra_keys,
        turn=job.turn_images,
        numeric_ids=job.source_id == "numeric",
    )
    images = ShardImages(
        joined,
        facts,
        job.source,
        job.image_options,
        job.masks,
        job.turn_images,
        threads=job.read_threads,
        has_spare_cores=job.has_spare_cores,
    )
    if job.turn_images:
        joined = turn_shard(joined, facts.rotations)

    def examples() -> Iterator[Sequence[bytes]]:
        encoder = RecordEncoder(joined, job.mids, label_ids, job.layout, facts.source_ids, facts.to_turn.tolist())
        for index, image, masks in images:
            yield encoder.encode(index, image, masks)
            rejects = len(joined.faults) + len(images.rejects) + len(images.masks.faults)
            on_progress(images.records, images.image_bytes, rejects, (index + 1) / len(joined.image_ids))

    name = shard_file(job.split, shard, job.num_shards)
    if job.dry_run:
        images.has_record[:] = True
        images.masks.written[:] = True
        images.records = len(images.has_record)
        written = WrittenShard(images.records, 0, "")
    else:
        written = write_shard(
            storage.join(job.output_dir, name), job.work.temporary, examples(), has_spare_cores=job.has_spare_cores
        )
    faults = joined.faults + images.masks.faults
    rejects = [reject_row(fault.key, job.files[fault.key.table][fault.key.file], fault) for fault in faults]
    if job.attribution_csv and not job.dry_run:
        job.work.write_attribution(shard, format_attribution(joined, images.has_record))
    job.work.write_rejects(f"shard-{shard:05d}", format_piece(rejects + images.rejects))
    result = count_shard(shard, name, joined, images, written, label_ids)
    if job.dry_run:
        result = dataclasses.replace(result, cpu_seconds=time.thread_time() - began)
    job.work.write_result(shard, encode_account(result))
    return result
