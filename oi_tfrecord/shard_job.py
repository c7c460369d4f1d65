"""Converts one shard: join, load and check images, encode, write, count."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.batches import Batch
from oi_tfrecord.image_source import ImageSource
from oi_tfrecord.images import ImageOptions, ImageRejected, PreparedImage, prepare
from oi_tfrecord.join import JoinedShard, join_shard
from oi_tfrecord.label_map import LabelMap
from oi_tfrecord.prefetch import CHUNK, map_in_order
from oi_tfrecord.reasons import Reject
from oi_tfrecord.record_keys import RecordLayout
from oi_tfrecord.records import RecordEncoder
from oi_tfrecord.rejects import Rejected, format_piece, reject_row
from oi_tfrecord.results import ShardResult, TableCount, to_json
from oi_tfrecord.shard_file import WrittenShard, write_shard
from oi_tfrecord.sharding import format_id, shard_file
from oi_tfrecord.tables import FLAGS, UNKNOWN, Listing, Table
from oi_tfrecord.work_folder import WorkFolder

PREFETCH_BYTES = 64 << 20
"""Bound on the image bytes that a worker holds ahead of the record it writes."""

_LOCAL_THREADS = 2
_REMOTE_THREADS = 64


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
      read_threads: images read at once; 0 chooses by storage.
      dry_run: whether to join and count only, as if every image were there.
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
    dry_run: bool = False

    @functools.cached_property
    def _code_of(self) -> dict[str, int]:
        return {mid: code for code, mid in enumerate(self.mids)}

    def label_ids(self, label_map: LabelMap) -> np.ndarray:
        """Returns the label map id of each vocabulary code, 0 for those not in the label map."""
        ids = np.zeros(len(self.mids), np.int64)
        for item in label_map.items:
            ids[self._code_of[item.name]] = item.id
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
    joined = join_shard(batches, driver=job.driver, images=job.select)
    label_ids = job.label_ids(label_map)
    images = _Images(job, joined)

    def examples() -> Iterator[Sequence[bytes]]:
        encoder = RecordEncoder(joined, job.mids, label_ids, job.layout)
        for index, image in images:
            yield encoder.encode(index, image)
            rejects = len(joined.faults) + len(images.rejects)
            on_progress(images.records, images.image_bytes, rejects, (index + 1) / len(joined.image_ids))

    name = shard_file(job.split, shard, job.num_shards)
    if job.dry_run:
        images.has_record[:] = True
        images.records = len(images.has_record)
        written = WrittenShard(images.records, 0, "")
    else:
        written = write_shard(storage.join(job.output_dir, name), job.work.temporary, examples())
    rejects = [reject_row(fault.key, job.files[fault.key.table][fault.key.file], fault) for fault in joined.faults]
    job.work.write_rejects(f"shard-{shard:05d}", format_piece(rejects + images.rejects))
    result = _count(shard, name, joined, images, written, label_ids)
    if not job.dry_run:
        job.work.write_result(shard, to_json(result))
    return result


class _Images:
    """Iterates over the readable images of a shard; keeps count of the others."""

    def __init__(self, job: ShardJob, joined: JoinedShard):
        self._job = job
        self._ids = joined.image_ids.tolist()
        self._stored = job.source.of_shard(joined)
        self.has_record = np.zeros(len(self._ids), bool)
        self.rejects: list[Rejected] = []
        self.reencoded: Counter[str] = Counter()
        self.records = 0
        self.image_bytes = 0

    def _load(self, index: int) -> PreparedImage | ImageRejected:
        try:
            return prepare(self._stored.read(index), self._job.image_options)
        except ImageRejected as rejected:
            return rejected

    def __iter__(self) -> Iterator[tuple[int, PreparedImage]]:
        job = self._job
        loaded = map_in_order(
            self._load,
            range(len(self._ids)),
            threads=job.read_threads or (_REMOTE_THREADS if job.source.is_remote else _LOCAL_THREADS),
            max_bytes=PREFETCH_BYTES,
            # What waits for a network costs more than to hand over a task.
            chunk=1 if job.source.is_remote else CHUNK,
            size_of=lambda image: 0 if isinstance(image, ImageRejected) else len(image.encoded),
        )
        for index, image in enumerate(loaded):
            if isinstance(image, ImageRejected):
                image_id = format_id(self._ids[index])
                path = self._stored.path(index)
                self.rejects.append(Rejected("images", path, -1, image_id, image.reason, image.detail))
                continue
            self.has_record[index] = True
            self.records += 1
            self.image_bytes += len(image.encoded)
            if image.action != "copied":
                self.reencoded[image.source_format] += 1
            yield index, image


def _count(
    shard: int, name: str, joined: JoinedShard, images: _Images, written: WrittenShard, label_ids: np.ndarray
) -> ShardResult:
    selected = len(joined.image_ids)
    tables: dict[str, TableCount] = {}
    sources: dict[str, dict[str, int]] = {}
    boxes_per_class: dict[str, int] = {}
    labels_per_class: dict[str, list[int]] = {}
    unknown_flags = most_boxes = over_100 = 0
    for table in joined.rejected:
        rejected = Counter({str(reason): count for reason, count in joined.rejected[table].items()})
        dropped = {str(reason): count for reason, count in joined.dropped[table].items()}
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
        rows = annotations.rows[np.repeat(images.has_record, per_image)]
        if lost := len(annotations.rows) - len(rows):
            rejected[Reject.IMAGE_REJECTED] += lost
        tables[table] = TableCount(len(rows), dict(rejected), dropped)
        per_source = np.bincount(rows["source"], minlength=len(annotations.sources)).tolist()
        sources[table] = {source: n for source, n in zip(annotations.sources, per_source, strict=True) if n}
        ids = label_ids[rows["label"]]
        if table is Table.BOXES:
            boxes_per_class = _per_value(ids)
            unknown_flags = sum(int(np.count_nonzero(rows[flag] == UNKNOWN)) for flag in FLAGS)
            per_record = per_image[images.has_record]
            most_boxes = int(per_record.max(initial=0))
            over_100 = int(np.count_nonzero(per_record > 100))
        elif table is Table.HUMAN_LABELS:
            positive = _per_value(ids[rows["confidence"] > 0])
            negative = _per_value(ids[rows["confidence"] == 0])
            classes = sorted(positive.keys() | negative.keys(), key=int)
            labels_per_class = {label: [positive.get(label, 0), negative.get(label, 0)] for label in classes}
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
        labels_per_class=labels_per_class,
        sources=sources,
        unknown_flags=unknown_flags,
        most_boxes=most_boxes,
        images_over_100_boxes=over_100,
    )


def _per_value(values: np.ndarray) -> dict[str, int]:
    found, counts = np.unique(values, return_counts=True)
    return {str(value): count for value, count in zip(found.tolist(), counts.tolist(), strict=True)}
