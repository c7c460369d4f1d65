"""The step of the join that selects the images to write, and leaves out the rows of the rest."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from oi_tfrecord.join.find_images import ImageMetadata
from oi_tfrecord.join.join_account import DroppedRows, JoinAccount
from oi_tfrecord.join.shard_rows import RowsByImage
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Drop

SELECTING_TABLES: Mapping[str, tuple[Table, ...]] = {
    "boxed": (Table.BOXES,),
    "labelled": (Table.BOXES, Table.HUMAN_LABELS),
}
"""Value of `select` to the tables one of which must have a row of an image; other values look at no table."""


@dataclasses.dataclass(frozen=True)
class ImageSelection:
    """Which images of a shard are written.

    Attributes:
        keep_mask: bool array [n], whether the image is written.
        is_excluded: bool array [n], whether the image is of a subset that is not converted.
    """

    keep_mask: np.ndarray
    is_excluded: np.ndarray

    @property
    def not_selected_count(self) -> int:
        """Number of images that are left out as no annotation selects them."""
        return int(np.count_nonzero(~self.keep_mask & ~self.is_excluded))


def select_images(
    metadata: ImageMetadata, annotations: Mapping[Table, RowsByImage], select: str
) -> tuple[ImageSelection, JoinAccount]:
    """Selects the images to write.

    Args:
        metadata: the metadata of the images.
        annotations: the rows of the annotation tables.
        select: `boxed` selects images with a box, `labelled` those with a box or a human-verified label, `all` all.

    Returns:
        (the selection, the metadata rows of the images that are not written).
    """
    is_excluded = metadata.is_excluded
    is_selected = np.full(len(is_excluded), select == "all")
    for table in SELECTING_TABLES.get(select, ()):
        if table in annotations:
            is_selected[annotations[table].image_of] = True
    selection = ImageSelection(is_selected & ~is_excluded, is_excluded)
    left_out = int(np.count_nonzero(metadata.has_row & ~selection.keep_mask))
    return selection, account_left_out(Table.METADATA, left_out, int(np.count_nonzero(is_excluded)))


def account_annotations(annotations: Mapping[Table, RowsByImage], selection: ImageSelection) -> JoinAccount:
    """Returns the account of the annotations whose images are not written."""
    accounts = []
    for table, attached in annotations.items():
        per_image = attached.count_per_image(len(selection.keep_mask))
        left_out, of_excluded = (per_image[mask].sum() for mask in (~selection.keep_mask, selection.is_excluded))
        accounts.append(account_left_out(table, int(left_out), int(of_excluded)))
    return JoinAccount.sum_of(accounts)


def account_left_out(table: Table, left_out: int, of_excluded: int) -> JoinAccount:
    """Returns the account of `left_out` rows, of which `of_excluded` are of images of other subsets."""
    return JoinAccount(
        dropped=(
            DroppedRows(table, Drop.OTHER_SUBSET, of_excluded),
            DroppedRows(table, Drop.IMAGE_NOT_SELECTED, left_out - of_excluded),
        )
    )
