"""The second step of the join: the rows of each annotation table in the order of their images."""

from collections.abc import Mapping

import numpy as np

from oi_tfrecord.join.find_duplicates import find_duplicates, find_repeated_values
from oi_tfrecord.join.find_images import ImageIndex
from oi_tfrecord.join.join_account import DroppedRows, JoinAccount
from oi_tfrecord.join.shard_rows import RowsByImage, ShardRows, run_starts
from oi_tfrecord.openimages.schema import MASK_PATH, Table
from oi_tfrecord.reasons import Drop, Reject

_ANNOTATION_TABLES = (Table.BOXES, Table.HUMAN_LABELS, Table.MACHINE_LABELS, Table.MASKS)


def attach_annotations(
    images: ImageIndex, tables: Mapping[Table, ShardRows], driver: Table
) -> tuple[dict[Table, RowsByImage], JoinAccount]:
    """Attaches the annotations of a shard to its images.

    Args:
        images: the images of the shard.
        tables: the rows of the shard.
        driver: the table whose ImageIDs are the images.

    Returns:
        (the rows of each annotation table that the shard has, the rows that are not among them).
    """
    attached = {
        table: attach_rows(images, tables[table], table, driver) for table in _ANNOTATION_TABLES if table in tables
    }
    return {table: rows for table, (rows, _) in attached.items()}, JoinAccount.sum_of(
        account for _, account in attached.values()
    )


def attach_rows(
    images: ImageIndex, annotations: ShardRows, table: Table, driver: Table
) -> tuple[RowsByImage, JoinAccount]:
    """Attaches the rows of one annotation table to the images of a shard.

    Args:
        images: the images of the shard.
        annotations: the rows of the table.
        table: the table.
        driver: the table whose ImageIDs are the images. If it is the metadata, which names all images, a row of no
            image is rejected; another driver chooses among the images, and a row of no image is left out.

    Returns:
        (the rows in the order of their images, the rows that are not among them). A row that repeats an earlier one
        is rejected.
    """
    image_of, keep_mask = images.find(annotations)
    orphans = _account_orphans(annotations, np.flatnonzero(~keep_mask), table, driver)
    repeated = _find_repeated(annotations, table)
    repeated = repeated[keep_mask[repeated]]
    duplicates = JoinAccount(annotations.faults(repeated, Reject.DUPLICATE, "repeats an earlier row of this table"))
    keep_mask[repeated] = False
    if not keep_mask.all():
        annotations, image_of = annotations.filter(keep_mask), image_of[keep_mask]
    return _sort_by_image(annotations, image_of, len(images.hashes)), JoinAccount.sum_of((orphans, duplicates))


def _account_orphans(annotations: ShardRows, orphans: np.ndarray, table: Table, driver: Table) -> JoinAccount:
    """Rejects or leaves out the rows at `orphans` (indices), which are of no image."""
    if driver is Table.METADATA:
        detail = f"its ImageID is not in {driver}"
        return JoinAccount(annotations.faults(orphans, Reject.ANNOTATION_WITHOUT_IMAGE, detail))
    return JoinAccount(dropped=(DroppedRows(table, Drop.IMAGE_NOT_SELECTED, len(orphans)),))


def _find_repeated(annotations: ShardRows, table: Table) -> np.ndarray:
    if table is Table.MASKS:
        return find_repeated_values(annotations.text_columns[MASK_PATH])
    return find_duplicates(annotations.rows)


def _sort_by_image(annotations: ShardRows, image_of: np.ndarray, image_count: int) -> RowsByImage:
    order = _stable_order(image_of, image_count)
    return RowsByImage(annotations.take(order), image_of.take(order))


def _stable_order(image_of: np.ndarray, image_count: int) -> np.ndarray:
    """Returns `np.argsort(image_of, kind="stable")`; runs of equal values, of which there are fewer, are sorted."""
    starts = run_starts(image_of)
    lengths = np.diff(starts, append=len(image_of))
    # A stable sort of 16-bit integers is a radix sort in NumPy.
    order_of_runs = np.argsort(
        image_of[starts].astype(np.uint16 if image_count <= 1 << 16 else np.int64), kind="stable"
    )
    lengths = lengths.take(order_of_runs)
    shifts = starts.take(order_of_runs) - (np.cumsum(lengths) - lengths)
    return np.repeat(shifts, lengths) + np.arange(len(image_of))
