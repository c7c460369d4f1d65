"""Counts what became of the rows and images of one shard."""

from collections import Counter

import numpy as np

from oi_tfrecord.conversion.shard_images import ShardImages
from oi_tfrecord.dataset.accounts import ShardAccount, TableAccount
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.openimages.schema import FLAGS, UNKNOWN, Table
from oi_tfrecord.reasons import Drop, Reject
from oi_tfrecord.records.shard_writer import WrittenShard


def count_shard(
    shard: int, name: str, joined: JoinedShard, images: ShardImages, written: WrittenShard, label_ids: np.ndarray
) -> ShardAccount:
    """Counts what became of the rows and images of a shard that is written.

    Args:
        shard: its number.
        name: of its file.
        joined: its images and rows.
        images: which of them have a record.
        written: the file.
        label_ids: int array, label map id of each vocabulary code.
    """
    selected = len(joined.image_ids)
    tables: dict[str, TableAccount] = {}
    sources: dict[str, dict[str, int]] = {}
    boxes_per_class: dict[str, int] = {}
    positive_per_class: dict[str, int] = {}
    negative_per_class: dict[str, int] = {}
    unknown_flags = most_boxes = over_100 = 0
    for table in joined.rejected:
        rejected = Counter({str(reason): count for reason, count in joined.rejected[table].items()})
        dropped = {str(reason): count for reason, count in joined.dropped[table].items()}
        if table in (Table.MASKS, Table.MASK_FILES):
            tables[table] = images.masks.count(table, rejected, dropped)
            continue
        if table.is_listing:
            held = joined.image_files.archives >= 0 if joined.image_files else np.zeros(selected, bool)
            read = int(np.count_nonzero(held & images.has_record))
            if lost := int(np.count_nonzero(held)) - read:
                rejected[Reject.IMAGE_REJECTED] += lost
            tables[table] = TableAccount(read, dict(rejected), dropped)
            continue
        if table not in joined.annotations:
            described = int(np.count_nonzero(joined.has_metadata & images.has_record))
            if lost := int(np.count_nonzero(joined.has_metadata)) - described:
                rejected[Reject.IMAGE_REJECTED] += lost
            tables[table] = TableAccount(described, dict(rejected), dropped)
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
        tables[table] = TableAccount(len(rows) - added, dict(rejected), dropped, added)
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
    return ShardAccount(
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
