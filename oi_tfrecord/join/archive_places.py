"""Finds the place of each image of a shard, or of each mask, among the files listed from archives."""

import dataclasses

import numpy as np
import pyarrow as pa

from oi_tfrecord.join.shard_rows import ShardRows
from oi_tfrecord.openimages.schema import IMAGE_FILE_ROW, WINDOW


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """Where the images of a shard are in archives.

    Attributes:
        archives: int array [n], number of an image's archive; -1 where no archive holds the image.
        rows: IMAGE_FILE_ROW array [n], zeros where no archive holds the image.
        windows: binary [n], the text WINDOW of each row.
    """

    archives: np.ndarray
    rows: np.ndarray
    windows: pa.Array


@dataclasses.dataclass(frozen=True)
class LocatedFiles:
    """The places of images, and the listed files that are no image's place.

    Attributes:
        files: the place of each image.
        repeated: indices, ascending, of listed files whose image has an earlier place.
        originals: indices, the earlier place of each of these.
        unmatched_count: number of listed files of no image.
    """

    files: ImageFiles
    repeated: np.ndarray
    originals: np.ndarray
    unmatched_count: int


@dataclasses.dataclass(frozen=True)
class RepeatedFiles:
    """Listed files of images, or masks, that occur before in the archives; whether with the same bytes, readers find.

    Attributes:
        files: the files [k].
        originals: the files [k] that occur before.
    """

    files: ShardRows
    originals: ShardRows


def locate_files(listed: ShardRows, image_of: np.ndarray, known: np.ndarray, count: int) -> LocatedFiles:
    """Finds the place of each image, the first where there are several.

    Args:
        listed: the files [m] of all archives, archive after archive.
        image_of: int array [m], the image of each file, from 0 to `count` - 1 where it is known.
        known: bool array [m], whether the file is that of an image.
        count: number of images, n.
    """
    candidates = np.flatnonzero(known)
    held, first = np.unique(image_of[candidates], return_index=True)
    places = candidates[first]
    archive_of, row_of, place_of = np.full(count, -1), np.zeros(count, IMAGE_FILE_ROW), np.full(count, -1)
    archive_of[held], row_of[held], place_of[held] = listed.file_of[places], listed.rows[places], places
    windows = listed.texts[WINDOW] if WINDOW in listed.texts else pa.array([b""] * len(listed.rows), pa.binary())
    window_of = windows.take(pa.array(place_of, mask=place_of < 0)).fill_null(b"")
    repeated = np.delete(candidates, first)
    files = ImageFiles(archive_of, row_of, window_of)
    return LocatedFiles(files, repeated, place_of[image_of[repeated]], len(known) - len(candidates))
