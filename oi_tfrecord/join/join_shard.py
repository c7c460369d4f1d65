"""The join of one shard: metadata, boxes and labels of each image, in hash order, columnar."""

import dataclasses
import functools
from collections import Counter
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from oi_tfrecord.join.archive_places import ImageFiles, LocatedFiles, RepeatedFiles, locate_files
from oi_tfrecord.join.attach_annotations import attach_annotations
from oi_tfrecord.join.find_images import ImageIndex, find_images
from oi_tfrecord.join.join_account import DroppedRows, JoinAccount, JoinFault
from oi_tfrecord.join.pair_masks import MaskPairs, MaskRules, Masks, locate_masks, pair_masks
from oi_tfrecord.join.select_images import (
    SELECTING_TABLES,
    ImageSelection,
    account_annotations,
    account_left_out,
    select_images,
)
from oi_tfrecord.join.shard_rows import RowsByImage, ShardRows
from oi_tfrecord.openimages.image_id import id_texts
from oi_tfrecord.openimages.schema import MASK_PATH, Table
from oi_tfrecord.reasons import Drop, Reject


@dataclasses.dataclass(frozen=True)
class JoinRules:
    """How the tables of a shard are joined.

    Attributes:
        driver: the table whose ImageIDs are the images of the split.
        select: `boxed` writes images with a box, `labelled` those with a box or a human-verified label, `all` all.
        mask_rules: what becomes of boxes and masks that have no partner; None joins no masks.
    """

    driver: Table
    select: str
    mask_rules: MaskRules | None = None

    @property
    def selecting_tables(self) -> tuple[Table, ...]:
        """The tables that name images beside the driver: `labelled` takes images with a box or a label."""
        return SELECTING_TABLES["labelled"] if self.select == "labelled" else ()


@dataclasses.dataclass(frozen=True)
class Annotations:
    """Rows of one annotation table by image: those of image `i` are `rows[offsets[i]:offsets[i + 1]]`.

    Attributes:
        rows: array of the table's ROW_TYPES dtype.
        offsets: int array [images + 1], ascending.
        sources: names that the rows' `source` field indexes.
        added: bool array [rows], which rows are not in the table but follow from the hierarchy; None if none can be.
        origin: int array [rows], the place of each row, or of the row that it follows from, among the rows before the
            hierarchy expanded them; None if they were not expanded.
    """

    rows: np.ndarray
    offsets: np.ndarray
    sources: tuple[str, ...]
    added: np.ndarray | None = None
    origin: np.ndarray | None = None

    def filter(self, keep_mask: np.ndarray) -> "Annotations":
        """Returns the rows where `keep_mask` (bool [rows]) is true, by image."""
        until = np.append(0, np.cumsum(keep_mask))
        return Annotations(
            rows=self.rows.take(np.flatnonzero(keep_mask)),
            offsets=until[self.offsets],
            sources=self.sources,
            added=None if self.added is None else self.added[keep_mask],
            origin=None if self.origin is None else self.origin[keep_mask],
        )


@dataclasses.dataclass(frozen=True)
class JoinedShard:
    """The images of one shard with their annotations.

    Attributes:
        image_ids: uint64 array [n], keys of the ImageIDs in hash order.
        annotations: per annotation table present, the rows of each image in file order.
        text_columns: text columns [n] of the metadata, and the ImageIDs unless they are published ones.
        faults: rejected rows.
        rejected: number of rejected rows per table and reason.
        dropped: number of left-out rows per table and reason.
        images_not_selected: number of images that no annotation selects.
        has_metadata: bool array [n], whether the metadata table names the image.
        image_files: where the images are in archives; None if no archive was listed.
        masks: the masks of the boxes; None if no masks were joined.
        repeated_files: files of archives that are in no count yet, as their bytes decide.
    """

    image_ids: np.ndarray
    annotations: Mapping[Table, Annotations]
    text_columns: Mapping[str, pa.Array]
    faults: list[JoinFault]
    rejected: dict[Table, Counter[Reject]]
    dropped: dict[Table, Counter[Drop]]
    images_not_selected: int
    has_metadata: np.ndarray
    image_files: ImageFiles | None = None
    masks: Masks | None = None
    repeated_files: tuple[RepeatedFiles, ...] = ()

    @functools.cached_property
    def id_texts(self) -> list[str]:
        """The ImageIDs [n] as text."""
        return id_texts(self.image_ids, self.text_columns)

    def with_account(self, account: JoinAccount) -> "JoinedShard":
        """Returns the shard with further rejected and left-out rows, and without `repeated_files`."""
        rejected, dropped = account.rejected_by_table(self.rejected), account.dropped_by_table(self.dropped)
        return dataclasses.replace(
            self,
            faults=[*self.faults, *account.faults],
            rejected={table: count + rejected[table] for table, count in self.rejected.items()},
            dropped={table: count + dropped[table] for table, count in self.dropped.items()},
            repeated_files=(),
        )


def join_shard(tables: Mapping[Table, ShardRows], rules: JoinRules) -> JoinedShard:
    """Joins the tables of one shard.

    Args:
        tables: the rows of the shard.
        rules: how the tables are joined.

    Returns:
        The images in hash order. A row that repeats another of its table in every column is a
        duplicate and kept once; an annotation of an image that the metadata does not name is rejected,
        and one of an image that another driver does not name is left out.
    """
    images, metadata, metadata_account = find_images(tables, rules.driver, rules.selecting_tables)
    attached, attached_account = attach_annotations(images, tables, rules.driver)
    pairs, pairs_account = _pair_masks(attached, rules.mask_rules)
    paired = attached if pairs is None else {**attached, Table.BOXES: pairs.boxes, Table.MASKS: pairs.masks}
    selection, selection_account = select_images(metadata, paired, rules.select)
    image_files, repeated_images, image_files_account = _locate_images(images, selection, tables)
    masks, repeated_masks, masks_account = _locate_masks(pairs, selection, tables)
    account = JoinAccount.sum_of(
        (
            metadata_account,
            attached_account,
            pairs_account,
            selection_account,
            account_annotations(paired, selection),
            image_files_account,
            masks_account,
        )
    )
    counted = tuple(tables) if pairs is None else (*tables, Table.MASKS)
    return JoinedShard(
        image_ids=images.image_ids[selection.keep_mask],
        annotations=_group_by_image(paired, selection),
        text_columns=_filter_columns({**metadata.text_columns(), **images.names}, selection),
        faults=list(account.faults),
        rejected=account.rejected_by_table(counted),
        dropped=account.dropped_by_table(counted),
        images_not_selected=selection.not_selected_count,
        has_metadata=metadata.has_row[selection.keep_mask],
        image_files=image_files,
        masks=masks,
        repeated_files=(*repeated_images, *repeated_masks),
    )


def _pair_masks(attached: Mapping[Table, RowsByImage], rules: MaskRules | None) -> tuple[MaskPairs | None, JoinAccount]:
    """Pairs the boxes with their masks; returns no pairs without rules."""
    if rules is None:
        return None, JoinAccount()
    boxes = attached.get(Table.BOXES, RowsByImage.empty(Table.BOXES))
    masks = attached.get(Table.MASKS, RowsByImage.empty(Table.MASKS, [MASK_PATH]))
    return pair_masks(rules, boxes, masks)


def _locate_images(
    images: ImageIndex, selection: ImageSelection, tables: Mapping[Table, ShardRows]
) -> tuple[ImageFiles | None, tuple[RepeatedFiles, ...], JoinAccount]:
    """Finds the images that are written among the listed files; returns no places if no archive was listed."""
    if (listed := tables.get(Table.IMAGE_FILES)) is None:
        return None, (), JoinAccount()
    written = images.filter(selection.keep_mask)
    located = locate_files(listed, *written.find(listed), len(written.hashes))
    of_excluded = int(np.count_nonzero(images.filter(selection.is_excluded).find(listed)[1]))
    left_out = account_left_out(Table.IMAGE_FILES, located.unmatched_count, of_excluded)
    return located.files, _repeated_of(listed, located), left_out


def _locate_masks(
    pairs: MaskPairs | None, selection: ImageSelection, tables: Mapping[Table, ShardRows]
) -> tuple[Masks | None, tuple[RepeatedFiles, ...], JoinAccount]:
    """Finds the masks of the boxes that are written among the listed files; returns no masks without pairs."""
    if pairs is None:
        return None, (), JoinAccount()
    mask_of = pairs.mask_of[selection.keep_mask[pairs.boxes.image_of]]
    if (listed := tables.get(Table.MASK_FILES)) is None:
        return Masks(pairs.masks.table, mask_of, None), (), JoinAccount()
    located = locate_masks(pairs.masks.table, mask_of, listed)
    unused = DroppedRows(Table.MASK_FILES, Drop.MASK_NOT_SELECTED, located.unmatched_count)
    masks = Masks(pairs.masks.table, mask_of, located.files)
    return masks, _repeated_of(listed, located), JoinAccount(dropped=(unused,))


def _repeated_of(listed: ShardRows, located: LocatedFiles) -> tuple[RepeatedFiles, ...]:
    if not len(located.repeated):
        return ()
    return (RepeatedFiles(listed.take(located.repeated), listed.take(located.originals)),)


def _group_by_image(attached: Mapping[Table, RowsByImage], selection: ImageSelection) -> dict[Table, Annotations]:
    """Returns the annotations of the images that are written; masks are not among them."""
    return {table: _group_rows(rows, selection) for table, rows in attached.items() if table is not Table.MASKS}


def _group_rows(attached: RowsByImage, selection: ImageSelection) -> Annotations:
    per_image = attached.count_per_image(len(selection.keep_mask))
    offsets = np.append(0, np.cumsum(per_image[selection.keep_mask]))
    rows = attached.table.rows
    if offsets[-1] < len(rows):
        rows = rows.take(np.flatnonzero(np.repeat(selection.keep_mask, per_image)))
    return Annotations(rows, offsets, attached.table.sources)


def _filter_columns(columns: Mapping[str, pa.Array], selection: ImageSelection) -> dict[str, pa.Array]:
    if selection.keep_mask.all():
        return dict(columns)
    return {name: column.filter(pa.array(selection.keep_mask)) for name, column in columns.items()}
