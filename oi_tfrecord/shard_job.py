"""Converts one shard: join, load and check images, encode, write, count."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.attribution import format_attribution
from oi_tfrecord.batches import Batch
from oi_tfrecord.expansion import Expansion, expand_shard
from oi_tfrecord.hierarchy import Hierarchy
from oi_tfrecord.image_facts import ImageFacts, turn_shard
from oi_tfrecord.image_source import ImageSource
from oi_tfrecord.images import ImageOptions, ImageRejected, PreparedImage, prepare
from oi_tfrecord.join import JoinedShard, join_shard
from oi_tfrecord.label_map import LabelMap
from oi_tfrecord.mask_source import MaskSource
from oi_tfrecord.masks import ImageMasks
from oi_tfrecord.prefetch import map_in_order
from oi_tfrecord.reasons import Drop, Reject
from oi_tfrecord.record_keys import ExtraKeys, RecordLayout
from oi_tfrecord.records import RecordEncoder
from oi_tfrecord.rejects import Rejected, format_piece, reject_row
from oi_tfrecord.results import ShardResult, TableCount, to_json
from oi_tfrecord.rotation import ANGLES, NO_ANGLE, ROTATION_COLUMN
from oi_tfrecord.shard_file import WrittenShard, write_shard
from oi_tfrecord.shard_masks import LoadedMasks, ShardMasks
from oi_tfrecord.sharding import format_id, shard_file
from oi_tfrecord.tables import FLAGS, UNKNOWN, Listing, Table
from oi_tfrecord.work_folder import WorkFolder

PREFETCH_BYTES = 64 << 20
"""Bound on the image bytes that a worker holds ahead of the record it writes."""

_LOCAL_THREADS = 2
_REMOTE_THREADS = 32


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
    """

    split: str
    num_shards: int
    output_dir: str
    work: WorkFolder
    driver: Table
    select: str
    files: dict[Table | Listing, tuple[str, ...]]
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

    @functools.cached_property
    def _code_of(self) -> dict[str, int]:
        return {mid: code for code, mid in enumerate(self.mids)}

    @property
    def is_remote(self) -> bool:
        """Whether images or masks are not on this machine."""
        return self.source.is_remote or (self.masks is not None and self.masks.is_remote)

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
) -> ShardResult:
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
    mask_rules = job.masks.rules if job.masks else None
    joined = join_shard(batches, driver=job.driver, images=job.select, mask_rules=mask_rules)
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
    images = _Images(job, joined, facts)
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
        written = write_shard(storage.join(job.output_dir, name), job.work.temporary, examples())
    faults = joined.faults + images.masks.faults
    rejects = [reject_row(fault.key, job.files[fault.key.table][fault.key.file], fault) for fault in faults]
    if job.attribution_csv and not job.dry_run:
        job.work.write_attribution(shard, format_attribution(joined, images.has_record))
    job.work.write_rejects(f"shard-{shard:05d}", format_piece(rejects + images.rejects))
    result = _count(shard, name, joined, images, written, label_ids)
    if not job.dry_run:
        job.work.write_result(shard, to_json(result))
    return result


class _Images:
    """Iterates over the readable images of a shard; keeps count of the others."""

    def __init__(self, job: ShardJob, joined: JoinedShard, facts: ImageFacts):
        self._job = job
        self._facts = facts
        self._rotations = facts.rotations.tolist()
        self._rotation_texts = joined.texts.get(ROTATION_COLUMN, ())
        self._ids = joined.image_ids.tolist()
        self._stored = job.source.of_shard(joined)
        self.masks = ShardMasks(job.masks, joined)
        self.has_record = np.zeros(len(self._ids), bool)
        self.rejects: list[Rejected] = []
        self.reencoded: Counter[str] = Counter()
        self._changes: Counter[str] = Counter()
        self.records = 0
        self.image_bytes = 0

    def _load(self, index: int) -> tuple[PreparedImage, LoadedMasks] | ImageRejected:
        rotation = self._rotations[index]
        try:
            if rotation == NO_ANGLE:
                given = self._rotation_texts[index].as_py().decode("utf-8", "replace")
                detail = f"{ROTATION_COLUMN}={given!r} in the metadata; valid are empty and {ANGLES}"
                raise ImageRejected(Reject.BAD_ROTATION, detail)
            degrees = rotation if self._job.turn_images and rotation > 0 else 0
            image = prepare(self._stored.read(index), self._job.image_options, degrees)
        except ImageRejected as rejected:
            return rejected
        return image, self.masks.load(index, image.width, image.height, degrees)

    def __iter__(self) -> Iterator[tuple[int, PreparedImage, ImageMasks | None]]:
        job = self._job
        loaded = map_in_order(
            self._load,
            range(len(self._ids)),
            threads=job.read_threads or (_REMOTE_THREADS if job.is_remote else _LOCAL_THREADS),
            max_bytes=PREFETCH_BYTES,
            size_of=lambda item: 0 if isinstance(item, ImageRejected) else len(item[0].encoded) + item[1].size,
        )
        for index, item in enumerate(loaded):
            if isinstance(item, ImageRejected):
                image_id = format_id(self._ids[index])
                path = self._stored.path(index)
                self.rejects.append(Rejected("images", path, -1, image_id, item.reason, item.detail))
                continue
            image, loaded_masks = item
            self.has_record[index] = True
            self.records += 1
            self.image_bytes += len(image.encoded)
            if image.action == "reencoded":
                self.reencoded[image.source_format] += 1
            self._changes["stripped"] += image.action == "stripped"
            self._changes["resized"] += image.resized
            self._changes["turned"] += image.turned
            yield index, image, self.masks.take(index, loaded_masks)

    def counts(self) -> dict[str, int]:
        """Returns ShardResult.image_counts."""
        facts = {name: int(np.count_nonzero(of & self.has_record)) for name, of in self._facts.counted.items()}
        return {name: count for name, count in (self._changes | facts).items() if count}


def _count(
    shard: int, name: str, joined: JoinedShard, images: _Images, written: WrittenShard, label_ids: np.ndarray
) -> ShardResult:
    selected = len(joined.image_ids)
    tables: dict[str, TableCount] = {}
    sources: dict[str, dict[str, int]] = {}
    boxes_per_class: dict[str, int] = {}
    positive_per_class: dict[str, int] = {}
    negative_per_class: dict[str, int] = {}
    unknown_flags = most_boxes = over_100 = 0
    for table in joined.rejected:
        rejected = Counter({str(reason): count for reason, count in joined.rejected[table].items()})
        dropped = {str(reason): count for reason, count in joined.dropped[table].items()}
        if table in (Table.MASKS, Listing.MASK_FILES):
            tables[table] = images.masks.count(table, rejected, dropped)
            continue
        if isinstance(table, Listing):
            held = joined.image_files.archives >= 0 if joined.image_files else np.zeros(selected, bool)
            read = int(np.count_nonzero(held & images.has_record))
            if lost := int(np.count_nonzero(held)) - read:
                rejected[Reject.IMAGE_REJECTED] += lost
            tables[table] = TableCount(read, dict(rejected), dropped)
            continue
        if table not in joined.annotations:
            described = int(np.count_nonzero(joined.has_metadata & images.has_record))
            if lost := int(np.count_nonzero(joined.has_metadata)) - described:
                rejected[Reject.IMAGE_REJECTED] += lost
            tables[table] = TableCount(described, dict(rejected), dropped)
            continue
        annotations = joined.annotations[table]
        per_image = np.diff(annotations.offsets)
        in_record = np.repeat(images.has_record, per_image)
        is_added = np.zeros(len(in_record), bool) if annotations.added is None else annotations.added
        if lost := int(np.count_nonzero(~in_record & ~is_added)):
            rejected[Reject.IMAGE_REJECTED] += lost
        if table is Table.BOXES and (unmasked := images.masks.boxes_left_out):
            in_record[unmasked] = False
            dropped[Drop.NO_MASK] = dropped.get(Drop.NO_MASK, 0) + int(np.count_nonzero(~is_added[unmasked]))
        rows = annotations.rows[in_record]
        added = int(np.count_nonzero(in_record & is_added))
        tables[table] = TableCount(len(rows) - added, dict(rejected), dropped, added)
        per_source = np.bincount(rows["source"], minlength=len(annotations.sources)).tolist()
        sources[table] = {source: n for source, n in zip(annotations.sources, per_source, strict=True) if n}
        ids = label_ids[rows["label"]]
        if table is Table.BOXES:
            boxes_per_class = _per_value(ids)
            unknown_flags = sum(int(np.count_nonzero(rows[flag] == UNKNOWN)) for flag in FLAGS)
            until = np.append(0, np.cumsum(in_record))
            per_record = np.diff(until[annotations.offsets])[images.has_record]
            most_boxes = int(per_record.max(initial=0))
            over_100 = int(np.count_nonzero(per_record > 100))
        elif table is Table.HUMAN_LABELS:
            positive_per_class = _per_value(ids[rows["confidence"] > 0])
            negative_per_class = _per_value(ids[rows["confidence"] == 0])
    return ShardResult(
        shard=shard,
        file=name,
        size=written.size,
        sha256=written.sha256,
        records=images.records,
        images_selected=selected,
        images_not_selected=joined.images_not_selected,
        images_rejected=dict(Counter(str(item.reason) for item in images.rejects)),
        image_bytes=images.image_bytes,
        images_reencoded=dict(images.reencoded),
        tables=tables,
        boxes_per_class=boxes_per_class,
        positive_per_class=positive_per_class,
        negative_per_class=negative_per_class,
        sources=sources,
        unknown_flags=unknown_flags,
        most_boxes=most_boxes,
        images_over_100_boxes=over_100,
        image_counts=images.counts(),
    )


def _per_value(values: np.ndarray) -> dict[str, int]:
    found, counts = np.unique(values, return_counts=True)
    return {str(value): count for value, count in zip(found.tolist(), counts.tolist(), strict=True)}
