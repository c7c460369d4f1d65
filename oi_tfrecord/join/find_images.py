"""The first step of the join: the images of a shard, in hash order, and the metadata row of each."""

import dataclasses
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa

from oi_tfrecord.join.join_account import DroppedRows, JoinAccount
from oi_tfrecord.join.shard_rows import ShardRows, run_starts
from oi_tfrecord.openimages.image_id import IMAGE_ID, check_same_names, hash_ids
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Drop, Reject

_REPEATED = "ImageID occurs before in this table"


@dataclasses.dataclass(frozen=True)
class ImageIndex:
    """The images of a shard, found by the hash of their ImageIDs.

    Attributes:
        image_ids: uint64 array [n], keys of the ImageIDs in hash order.
        hashes: uint64 array [n], ascending, `hash_ids` of the keys.
        names: text columns [n], the ImageIDs themselves as the column IMAGE_ID; empty for published ImageIDs, which
            their keys hold.
    """

    image_ids: np.ndarray
    hashes: np.ndarray
    names: Mapping[str, pa.Array] = dataclasses.field(default_factory=dict)

    def find(self, table: ShardRows) -> tuple[np.ndarray, np.ndarray]:
        """Finds the image of each row.

        Args:
            table: the rows [m].

        Returns:
            (int array [m], index of the image of each row, meaningless for an unknown image; bool array [m], whether
            the image of each row is known).

        Raises:
            InputError: if a row names another image of the same key.
        """
        image_ids = np.ascontiguousarray(table.rows["image_id"])
        # The rows of an image mostly lie one after the other, so that one search finds the image of all of them.
        starts = run_starts(image_ids)
        run_of = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(image_ids)))
        run_hashes = hash_ids(image_ids[starts])
        image_of_run = np.searchsorted(self.hashes, run_hashes)
        if not len(self.hashes):
            return image_of_run.take(run_of), np.zeros(len(table.rows), bool)
        is_known = self.hashes[np.minimum(image_of_run, len(self.hashes) - 1)] == run_hashes
        image_of, known = image_of_run.take(run_of), is_known.take(run_of)
        if IMAGE_ID in self.names:
            self._check_names(table.text_columns[IMAGE_ID], image_of, known)
        return image_of, known

    def _check_names(self, names: pa.Array, image_of: np.ndarray, known: np.ndarray) -> None:
        rows = np.flatnonzero(known)
        own = self.names[IMAGE_ID].take(pa.array(image_of[rows]))
        check_same_names("tables", own, names.take(pa.array(rows)))

    def filter(self, keep_mask: np.ndarray) -> "ImageIndex":
        """Returns the images where `keep_mask` (bool [n]) is true."""
        names = {name: column.filter(pa.array(keep_mask)) for name, column in self.names.items()}
        return ImageIndex(self.image_ids[keep_mask], self.hashes[keep_mask], names)


@dataclasses.dataclass(frozen=True)
class ImageMetadata:
    """The metadata of the images of a shard.

    Attributes:
        table: the metadata table.
        row_of: int array [n], the row of each image in `table`, -1 where the table does not name the image.
    """

    table: ShardRows
    row_of: np.ndarray

    @property
    def has_row(self) -> np.ndarray:
        """Bool array [n], whether the table names the image."""
        return self.row_of >= 0

    @property
    def is_excluded(self) -> np.ndarray:
        """Bool array [n], whether the table marks the image as one of a subset that is not converted."""
        excluded = np.zeros(len(self.row_of), bool)
        has_row = self.has_row
        excluded[has_row] = self.table.rows["excluded"][self.row_of[has_row]] != 0
        return excluded

    def text_columns(self) -> dict[str, pa.Array]:
        """Returns the text columns [n] of the images, empty where the table does not name the image."""
        indices = pa.array(self.row_of, mask=self.row_of < 0)
        return {name: column.take(indices).fill_null(b"") for name, column in self.table.text_columns.items()}


def find_images(
    tables: Mapping[Table, ShardRows], driver: Table, selecting: Collection[Table] = ()
) -> tuple[ImageIndex, ImageMetadata, JoinAccount]:
    """Finds the images of a shard and their metadata.

    Args:
        tables: the rows of the shard.
        driver: the table whose ImageIDs are the images.
        selecting: further tables whose ImageIDs are the images, unless the driver is the metadata, which names all.

    Returns:
        (the images, their metadata, the rows of the metadata table that are no image's row). Of several rows of an
        image the first counts, and the others are rejected.
    """
    if driver is Table.METADATA:
        driving = tables.get(driver, ShardRows.empty(driver))
        images, first_row = _index_images([driving])
        return images, ImageMetadata(driving, first_row), _reject_repeated(driving, first_row)
    images, _ = _index_images([tables[table] for table in sorted({driver, *selecting}) if table in tables])
    return images, *_find_metadata(images, tables.get(Table.METADATA, ShardRows.empty(Table.METADATA)))


def _index_images(naming: Sequence[ShardRows]) -> tuple[ImageIndex, np.ndarray]:
    """Returns the distinct images of tables, and the place of the first row of each among the rows of all tables."""
    naming = [table for table in naming if len(table.rows)]
    image_ids = np.concatenate([np.zeros(0, np.uint64), *(table.rows["image_id"] for table in naming)])
    hashes, first = np.unique(hash_ids(image_ids), return_index=True)
    own = [table.text_columns[IMAGE_ID] for table in naming if IMAGE_ID in table.text_columns]
    names = {IMAGE_ID: pa.concat_arrays(own).take(pa.array(first))} if own else {}
    images = ImageIndex(image_ids[first], hashes, names)
    if names:
        for table in naming:
            images.find(table)
    return images, first


def _reject_repeated(metadata: ShardRows, first_row: np.ndarray) -> JoinAccount:
    """Rejects the rows of a table that are not the first of their image."""
    if len(first_row) == len(metadata.rows):
        return JoinAccount()
    is_repeated = np.ones(len(metadata.rows), bool)
    is_repeated[first_row] = False
    return JoinAccount(metadata.faults(np.flatnonzero(is_repeated), Reject.DUPLICATE, _REPEATED))


def _find_metadata(images: ImageIndex, metadata: ShardRows) -> tuple[ImageMetadata, JoinAccount]:
    """Finds the metadata of images that another table names."""
    image_of, known = images.find(metadata)
    known_rows = np.flatnonzero(known)
    described, first = np.unique(image_of[known_rows], return_index=True)
    row_of = np.full(len(images.hashes), -1)
    row_of[described] = known_rows[first]
    faults = metadata.faults(np.delete(known_rows, first), Reject.DUPLICATE, _REPEATED)
    unknown = DroppedRows(Table.METADATA, Drop.IMAGE_NOT_SELECTED, len(known) - len(known_rows))
    return ImageMetadata(metadata, row_of), JoinAccount(faults, (unknown,))
