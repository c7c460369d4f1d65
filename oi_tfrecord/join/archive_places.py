"""Finds the place of each image or mask of a shard among the files that are listed from archives."""

import dataclasses

import numpy as np

from oi_tfrecord.join.shard_rows import ShardRows
from oi_tfrecord.openimages.schema import IMAGE_FILE_ROW


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """Where the images of a shard are in archives.

    Attributes:
        archives: int array [n], number of an image's archive; -1 where no archive holds the image.
        rows: IMAGE_FILE_ROW array [n], zeros where no archive holds the image.
    """

    archives: np.ndarray
    rows: np.ndarray

    def filter(self, keep_mask: np.ndarray) -> "ImageFiles":
        """Returns the places of the images where `keep_mask` (bool [n]) is true."""
        return ImageFiles(self.archives[keep_mask], self.rows[keep_mask])


@dataclasses.dataclass(frozen=True)
class LocatedFiles:
    """The places of images, and the listed files that are not the place of any image.

    Attributes:
        files: the place of each image.
        repeated: indices, ascending, of listed files whose image has an earlier place.
        originals: indices, the earlier place of the image of each repeated file.
        unmatched_count: number of listed files of no image.
    """

    files: ImageFiles
    repeated: np.ndarray
    originals: np.ndarray
    unmatched_count: int


@dataclasses.dataclass(frozen=True)
class RepeatedFiles:
    """Listed files whose image or mask occurs before in the archives; the bytes of the two have to be compared.

    Attributes:
        files: the repeated files [k].
        originals: the earlier file [k] of the same image or mask.
    """

    files: ShardRows
    originals: ShardRows


def locate_files(listed: ShardRows, image_of: np.ndarray, known: np.ndarray, count: int) -> LocatedFiles:
    """Finds the place of each image, the first where there are several.

    Args:
        listed: the files [m] of all archives, archive after archive.
        image_of: int array [m], index of the image of each file, 0 to `count` - 1 where `known` is true.
        known: bool array [m], whether the file belongs to one of the images.
        count: number of images, n.
    """
    candidates = np.flatnonzero(known)
    held, first = np.unique(image_of[candidates], return_index=True)
    places = candidates[first]
    archive_of, row_of, place_of = np.full(count, -1), np.zeros(count, IMAGE_FILE_ROW), np.full(count, -1)
    archive_of[held], row_of[held], place_of[held] = listed.file_of[places], listed.rows[places], places
    repeated = np.delete(candidates, first)
    files = ImageFiles(archive_of, row_of)
    return LocatedFiles(files, repeated, place_of[image_of[repeated]], len(known) - len(candidates))
