"""Counts what became of the rows and images of one shard."""

import dataclasses
from collections import Counter
from collections.abc import Mapping

import numpy as np

from oi_tfrecord.conversion.shard_images import ImageOutcome
from oi_tfrecord.dataset.accounts import ShardAccount, TableAccount
from oi_tfrecord.join.join_shard import Annotations, JoinedShard
from oi_tfrecord.openimages.schema import BOX_ROW, FLAGS, LABEL_ROW, UNKNOWN, Table
from oi_tfrecord.reasons import CORRECTABLE, Drop, Reject
from oi_tfrecord.records.class_counts import pack_counts
from oi_tfrecord.records.shard_writer import WrittenShard

READ_BOXES = 100
"""Boxes of an image that the Object Detection API reads by default."""


def count_shard(
    shard: int,
    name: str,
    joined: JoinedShard,
    images: ImageOutcome,
    written: WrittenShard,
    label_ids: np.ndarray,
    expanded_boxes: Mapping[int, int],
) -> ShardAccount:
    """Counts what became of the rows and images of a shard that is written.

    Args:
        shard: its number.
        name: name of its file.
        joined: its images and rows.
        images: what became of its images.
        written: its file.
        label_ids: int array, label map id of each vocabulary code.
        expanded_boxes: label map id to boxes that the Object Detection API makes of a box.
    """
    in_records = {table: find_written(joined.annotations[table], table, images) for table in _annotation_tables(joined)}
    boxes = in_records.get(Table.BOXES, _NO_BOXES)
    labels = in_records.get(Table.HUMAN_LABELS, _NO_LABELS)
    codes, confidences = labels.rows["label"], labels.rows["confidence"]
    return ShardAccount(
        shard=shard,
        file=name,
        size=written.size,
        crc32c=written.crc32c,
        sha256=written.sha256,
        records=images.records,
        images_selected=len(joined.image_ids),
        images_not_selected=joined.images_not_selected,
        images_rejected=dict(Counter(str(rejected.reason) for rejected in images.rejects)),
        images_skipped=dict(Counter(str(skipped.reason) for skipped in images.skipped)),
        image_bytes=images.image_bytes,
        images_reencoded=dict(images.reencoded),
        tables={table: count_table(table, joined, images, in_records) for table in joined.rejected},
        boxes_per_class=_count_classes(boxes.rows["label"], label_ids),
        positive_per_class=_count_classes(codes[confidences > 0], label_ids),
        negative_per_class=_count_classes(codes[confidences == 0], label_ids),
        sources={table: _count_sources(rows) for table, rows in in_records.items()},
        unknown_flags=sum(int(np.count_nonzero(boxes.rows[flag] == UNKNOWN)) for flag in FLAGS),
        most_boxes=int(boxes.per_record.max(initial=0)),
        most_expanded_boxes=_count_most_expanded(boxes, label_ids, expanded_boxes),
        images_over_100_boxes=int(np.count_nonzero(boxes.per_record > READ_BOXES)),
        image_counts=dict(images.image_counts),
        to_try_again={
            item.image_id: str(item.reason) for item in (*images.rejects, *images.skipped) if item.reason in CORRECTABLE
        },
    )


@dataclasses.dataclass(frozen=True)
class WrittenRows:
    """The rows of an annotation table that are in the records of a shard.

    Attributes:
        rows: array of the table's ROW_TYPES dtype.
        sources: names that the rows' `source` field indexes.
        added_count: number of the rows that follow from the hierarchy.
        per_record: int array [records], rows in each record.
    """

    rows: np.ndarray
    sources: tuple[str, ...]
    added_count: int
    per_record: np.ndarray


_NO_BOXES = WrittenRows(np.zeros(0, BOX_ROW), (), 0, np.zeros(0, np.int64))

_NO_LABELS = WrittenRows(np.zeros(0, LABEL_ROW), (), 0, np.zeros(0, np.int64))


def _annotation_tables(joined: JoinedShard) -> list[Table]:
    """Returns the tables of boxes and labels that the shard has rows of."""
    return [table for table in joined.annotations if table in joined.rejected]


def find_written(annotations: Annotations, table: Table, images: ImageOutcome) -> WrittenRows:
    """Returns the rows of an annotation table that are in the records."""
    in_record = _in_image_with_record(annotations, images)
    if table is Table.BOXES:
        in_record[images.masks.boxes_left_out] = False
    until = np.append(0, np.cumsum(in_record))
    return WrittenRows(
        rows=annotations.rows if in_record.all() else annotations.rows.take(np.flatnonzero(in_record)),
        sources=annotations.sources,
        added_count=int(np.count_nonzero(in_record & _is_added(annotations))),
        per_record=np.diff(until[annotations.offsets])[images.has_record],
    )


def count_table(
    table: Table, joined: JoinedShard, images: ImageOutcome, in_records: Mapping[Table, WrittenRows]
) -> TableAccount:
    """Returns what became of the rows of a table, or of the files of a listing.

    Args:
        table: the table or listing.
        joined: the shard.
        images: what became of its images.
        in_records: rows of the tables of boxes and labels that are in the records.
    """
    if table is Table.MASKS:
        return count_masks(joined, images)
    if table is Table.MASK_FILES:
        return count_mask_files(joined, images)
    if table is Table.IMAGE_FILES:
        return count_image_files(joined, images)
    if table is Table.METADATA:
        return count_metadata(joined, images)
    return count_annotations(table, joined, images, in_records[table])


def count_metadata(joined: JoinedShard, images: ImageOutcome) -> TableAccount:
    """Returns the account of the metadata: an image has one row at most."""
    skipped = images.find_skipped(joined.image_ids)
    return _account(Table.METADATA, joined, joined.has_metadata, images.has_record, skipped)


def count_image_files(joined: JoinedShard, images: ImageOutcome) -> TableAccount:
    """Returns the account of the images that archives hold: an image has one file at most."""
    held = joined.image_files.archives >= 0 if joined.image_files else np.zeros(len(joined.image_ids), bool)
    return _account(Table.IMAGE_FILES, joined, held, images.has_record, images.find_skipped(joined.image_ids))


def count_annotations(table: Table, joined: JoinedShard, images: ImageOutcome, written: WrittenRows) -> TableAccount:
    """Returns the account of boxes or labels, some of which are `written` to the records."""
    annotations = joined.annotations[table]
    is_added = _is_added(annotations)
    is_skipped = np.repeat(images.find_skipped(joined.image_ids), np.diff(annotations.offsets)) & ~is_added
    lost = int(np.count_nonzero(~_in_image_with_record(annotations, images) & ~is_added & ~is_skipped))
    dropped = _with_skipped_images(_by_name(joined.dropped[table]), is_skipped)
    left_out = images.masks.boxes_left_out
    if table is Table.BOXES and len(left_out):
        dropped[Drop.NO_MASK] = dropped.get(Drop.NO_MASK, 0) + int(np.count_nonzero(~is_added[left_out]))
    rejected = _with_rejected_images(_by_name(joined.rejected[table]), lost)
    return TableAccount(len(written.rows) - written.added_count, rejected, dropped, written.added_count)


def count_masks(joined: JoinedShard, images: ImageOutcome) -> TableAccount:
    """Returns the account of the table of masks."""
    faults = Counter(str(fault.reason) for fault in images.masks.faults)
    rejected = dict(Counter(_by_name(joined.rejected[Table.MASKS])) + faults)
    has_box, is_written = _has_box(joined), images.masks.written
    is_skipped = has_box & _is_mask_of_skipped(joined, images)
    lost = int(np.count_nonzero(has_box & ~is_written & ~is_skipped)) - len(images.masks.faults)
    return TableAccount(
        int(np.count_nonzero(has_box & is_written)),
        _with_rejected_images(rejected, lost),
        _with_skipped_images(_by_name(joined.dropped[Table.MASKS]), is_skipped),
    )


def count_mask_files(joined: JoinedShard, images: ImageOutcome) -> TableAccount:
    """Returns the account of the masks that archives hold: a row of the table of masks has one file at most."""
    files = joined.masks.files if joined.masks else None
    held = np.zeros(len(images.masks.written), bool) if files is None else files.archives >= 0
    return _account(Table.MASK_FILES, joined, held, images.masks.written, _is_mask_of_skipped(joined, images))


def _account(
    table: Table, joined: JoinedShard, has_row: np.ndarray, is_written: np.ndarray, is_skipped: np.ndarray
) -> TableAccount:
    """Returns the account of a table that has one row at most for each image, or for each mask.

    Args:
        table: the table.
        joined: the shard.
        has_row: bool array [n], whether an image or mask has a row.
        is_written: bool array [n], whether it is in a record.
        is_skipped: bool array [n], whether its image is skipped.
    """
    lost = int(np.count_nonzero(has_row & ~is_written & ~is_skipped))
    return TableAccount(
        int(np.count_nonzero(has_row & is_written)),
        _with_rejected_images(_by_name(joined.rejected[table]), lost),
        _with_skipped_images(_by_name(joined.dropped[table]), has_row & is_skipped),
    )


def _by_name(counts: Mapping[Reject, int] | Mapping[Drop, int]) -> dict[str, int]:
    return {str(reason): count for reason, count in counts.items()}


def _with_rejected_images(rejected: dict[str, int], lost: int) -> dict[str, int]:
    """Returns the rejected rows with those whose image is rejected."""
    return rejected | ({str(Reject.IMAGE_REJECTED): lost} if lost else {})


def _with_skipped_images(dropped: dict[str, int], is_skipped: np.ndarray) -> dict[str, int]:
    """Returns the dropped rows with those whose image is skipped."""
    count = int(np.count_nonzero(is_skipped))
    return dropped | ({str(Drop.IMAGE_NOT_THERE): count} if count else {})


def _is_mask_of_skipped(joined: JoinedShard, images: ImageOutcome) -> np.ndarray:
    """Returns a bool array, whether each row of the table of masks is of an image that is skipped."""
    is_skipped = np.zeros(len(images.masks.written), bool)
    if joined.masks is None or not images.skipped:
        return is_skipped
    boxes = joined.annotations[Table.BOXES]
    in_skipped = np.repeat(images.find_skipped(joined.image_ids), np.diff(boxes.offsets))
    mask_of = joined.masks.of_box
    is_skipped[mask_of[in_skipped & (mask_of >= 0)]] = True
    return is_skipped


def _is_added(annotations: Annotations) -> np.ndarray:
    return np.zeros(len(annotations.rows), bool) if annotations.added is None else annotations.added


def _in_image_with_record(annotations: Annotations, images: ImageOutcome) -> np.ndarray:
    """Returns a bool array [rows], whether the image of each row has a record."""
    return np.repeat(images.has_record, np.diff(annotations.offsets))


def _has_box(joined: JoinedShard) -> np.ndarray:
    """Returns a bool array, whether each row of the table of masks has a box in the shard."""
    if joined.masks is None:
        return np.zeros(0, bool)
    has_box = np.zeros(len(joined.masks.table.rows), bool)
    mask_of = joined.masks.of_box
    has_box[mask_of[mask_of >= 0]] = True
    return has_box


def _count_most_expanded(boxes: WrittenRows, label_ids: np.ndarray, expanded_boxes: Mapping[int, int]) -> int:
    """Returns the boxes of the record with most boxes after the expansion."""
    labels, index = np.unique(label_ids[boxes.rows["label"]], return_inverse=True)
    expanded = np.array([expanded_boxes.get(label, 1) for label in labels.tolist()], np.int64)[index]
    until = np.append(0, np.cumsum(expanded))
    ends = np.append(0, np.cumsum(boxes.per_record))
    return int(np.diff(until[ends]).max(initial=0))


def _count_classes(codes: np.ndarray, label_ids: np.ndarray) -> str:
    """Returns the packed counts of rows by label map id.

    Args:
        codes: int array, vocabulary code of each row.
        label_ids: int array, label map id of each vocabulary code.
    """
    counts = np.bincount(codes)
    found = np.flatnonzero(counts)
    # Classes that are not in the label map have the id 0 in common.
    ids, place = np.unique(label_ids[found], return_inverse=True)
    return pack_counts(ids, np.bincount(place, counts[found]).astype(np.int64))


def _count_sources(written: WrittenRows) -> dict[str, int]:
    """Returns the rows of each source that has any."""
    counts = np.bincount(written.rows["source"], minlength=len(written.sources)).tolist()
    return {source: count for source, count in zip(written.sources, counts, strict=True) if count}
