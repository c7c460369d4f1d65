import dataclasses
from collections import Counter

import numpy as np

from oi_tfrecord.conversion.shard_account import count_shard
from oi_tfrecord.conversion.shard_images import ImageOutcome
from oi_tfrecord.conversion.shard_masks import MaskOutcome
from oi_tfrecord.dataset.accounts import ShardAccount, TableAccount
from oi_tfrecord.dataset.rejects_csv import Rejected
from oi_tfrecord.join.archive_places import ImageFiles
from oi_tfrecord.join.join_account import JoinFault
from oi_tfrecord.join.join_shard import Annotations, JoinedShard
from oi_tfrecord.join.pair_masks import Masks
from oi_tfrecord.join.shard_rows import ShardRows
from oi_tfrecord.openimages.schema import BOX_ROW, IMAGE_FILE_ROW, LABEL_ROW, MASK_ROW, RangeKey, Table
from oi_tfrecord.reasons import Drop, Reject
from oi_tfrecord.records.class_counts import unpack_counts
from oi_tfrecord.records.shard_writer import WrittenShard

LABEL_IDS = np.array([7, 9])


def boxes() -> Annotations:
    """Three images of 2, 1 and 2 boxes; the last box follows from the hierarchy."""
    rows = np.zeros(5, BOX_ROW)
    rows["label"], rows["source"], rows["occluded"] = [0, 1, 0, 0, 1], [0, 1, 0, 0, 0], [-1, 0, -1, 1, -1]
    return Annotations(rows, np.array([0, 2, 3, 5]), ("xclick", "verification"), np.array([0, 0, 0, 0, 1], bool))


def labels() -> Annotations:
    rows = np.zeros(3, LABEL_ROW)
    rows["label"], rows["confidence"] = [0, 0, 1], [1, 0, 1]
    return Annotations(rows, np.array([0, 1, 2, 3]), ("verification",))


def joined(**others: object) -> JoinedShard:
    tables = (Table.METADATA, Table.BOXES, Table.HUMAN_LABELS)
    shard = JoinedShard(
        image_ids=np.arange(3, dtype=np.uint64),
        annotations={Table.BOXES: boxes(), Table.HUMAN_LABELS: labels()},
        text_columns={},
        faults=[],
        rejected={table: Counter({Reject.DUPLICATE: 2}) for table in tables},
        dropped={table: Counter({Drop.IMAGE_NOT_SELECTED: 4}) for table in tables},
        images_not_selected=6,
        has_metadata=np.array([True, False, True]),
    )
    return dataclasses.replace(shard, **others)


def outcome(has_record: list[bool], masks: MaskOutcome | None = None) -> ImageOutcome:
    rejected = Rejected("images", "x.jpg", -1, "00", Reject.IMAGE_EMPTY, "0 bytes")
    return ImageOutcome(
        has_record=np.array(has_record),
        image_bytes=500,
        rejects=(rejected,) * has_record.count(False),
        reencoded={"PNG": 1},
        image_counts={"turned": 1},
        masks=masks or MaskOutcome.all_written(None),
    )


def counted(shard: JoinedShard, images: ImageOutcome) -> ShardAccount:
    return count_shard(3, "train.tfrecord-00003-of-00004", shard, images, WrittenShard(2, 999, "ff"), LABEL_IDS, {7: 3})


def test_rows_of_an_image_without_a_record_are_rejected_with_it() -> None:
    account = counted(joined(), outcome([True, True, False]))
    assert (account.shard, account.size, account.crc32c, account.records) == (3, 999, "ff", 2)
    assert (account.images_selected, account.images_not_selected) == (3, 6)
    assert account.images_rejected == {"image_empty": 1}
    assert (account.image_bytes, account.images_reencoded, account.image_counts) == (500, {"PNG": 1}, {"turned": 1})
    dropped = {"image_not_selected": 4}
    assert account.tables == {
        "metadata": TableAccount(1, {"duplicate": 2, "image_rejected": 1}, dropped),
        # The box that follows from the hierarchy is no row of the table, and is not lost.
        "boxes": TableAccount(3, {"duplicate": 2, "image_rejected": 1}, dropped),
        "human_labels": TableAccount(2, {"duplicate": 2, "image_rejected": 1}, dropped),
    }
    assert unpack_counts(account.boxes_per_class) == {7: 2, 9: 1}
    assert (unpack_counts(account.positive_per_class), unpack_counts(account.negative_per_class)) == ({7: 1}, {7: 1})
    assert account.sources == {"boxes": {"xclick": 2, "verification": 1}, "human_labels": {"verification": 2}}
    assert account.unknown_flags == 2
    assert (account.most_boxes, account.images_over_100_boxes) == (2, 0)
    # LABEL_IDS 7 and 9 in one image, and an expansion makes three boxes of one of class 7.
    assert account.most_expanded_boxes == 4


def test_rows_that_follow_from_the_hierarchy_are_counted_apart() -> None:
    account = counted(joined(), outcome([False, True, True]))
    assert account.tables["boxes"] == TableAccount(
        2, {"duplicate": 2, "image_rejected": 2}, {"image_not_selected": 4}, added=1
    )


def test_files_of_archives_are_counted_by_their_images() -> None:
    files = ImageFiles(np.array([0, 4, -1]), np.zeros(3, IMAGE_FILE_ROW))
    listing = Table.IMAGE_FILES
    shard = joined(image_files=files, rejected={listing: Counter()}, dropped={listing: Counter()})
    assert counted(shard, outcome([True, False, False])).tables == {
        "image_files": TableAccount(1, {"image_rejected": 1}, {})
    }
    assert counted(dataclasses.replace(shard, image_files=None), outcome([True] * 3)).tables == {
        "image_files": TableAccount(0, {}, {})
    }


def test_masks_are_written_unreadable_or_rejected_with_their_image() -> None:
    table = ShardRows(np.zeros(4, MASK_ROW), (), (RangeKey(Table.MASKS, 0, 0),), np.zeros(4, np.int64), {})
    files = ImageFiles(np.array([0, 0, -1, 0]), np.zeros(4, IMAGE_FILE_ROW))
    # The last box follows from the one before it; row 3 has no box in this shard any more.
    masks = Masks(table, np.array([0, 1, -1, 2]), files)
    tables = (Table.BOXES, Table.MASKS, Table.MASK_FILES)
    shard = joined(
        masks=masks,
        rejected={table: Counter() for table in tables},
        dropped={table: Counter() for table in tables},
    )
    fault = JoinFault(RangeKey(Table.MASKS, 0, 0), 1, "00", Reject.NOT_AN_IMAGE, "no PNG")
    written = MaskOutcome(np.array([True, False, False, False]), (fault,), np.array([1, 2]))
    account = counted(shard, outcome([True, True, False], written))
    assert account.tables["masks"] == TableAccount(1, {"not_an_image": 1, "image_rejected": 1}, {})
    assert account.tables["mask_files"] == TableAccount(1, {"image_rejected": 2}, {})
    assert account.tables["boxes"] == TableAccount(1, {"image_rejected": 1}, {"no_mask": 2})
    assert account.most_boxes == 1


def test_an_image_with_more_boxes_than_readers_take_is_counted() -> None:
    many = Annotations(np.zeros(203, BOX_ROW), np.array([0, 100, 201, 203]), ("xclick",))
    tables = {Table.BOXES: Counter()}
    account = counted(joined(annotations={Table.BOXES: many}, rejected=tables, dropped=tables), outcome([True] * 3))
    assert (account.most_boxes, account.images_over_100_boxes) == (101, 1)
