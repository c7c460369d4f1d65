"""Which place in which archive is that of each image of a shard."""

import dataclasses

import numpy as np
import pyarrow as pa

from oi_tfrecord.openimages.schema import IMAGE_FILE_ROW


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """Where the images of a shard are in archives.

    Attributes:
        archives: int array [n], number of an image's archive; -1 where none holds it.
        rows: IMAGE_FILE_ROW array [n], zeros where none holds it.
        windows: binary [n], the text WINDOW of each row.
    """

    archives: np.ndarray
    rows: np.ndarray
    windows: pa.Array


def locate_images(
    image_of: np.ndarray,
    known: np.ndarray,
    *,
    count: int,
    archives: np.ndarray,
    rows: np.ndarray,
    windows: pa.Array | None,
) -> tuple[ImageFiles, np.ndarray, int]:
    """Finds the place of each image, the first where there are several.

    Args:
        image_of: int array [m], the image of each listed file.
        known: bool array [m], whether it is an image of the shard.
        count: number of images, n.
        archives: int array [m], the archive of each listed file.
        rows: IMAGE_FILE_ROW array [m], archive after archive.
        windows: binary [m], or None if no archive has any.

    Returns:
        (the places, indices of listed files that repeat an image, number of those of no image).
    """
    places = np.flatnonzero(known)
    held, first = np.unique(image_of[places], return_index=True)
    repeated = np.delete(places, first)
    chosen = places[first]
    archive_of, row_of, place_of = np.full(count, -1), np.zeros(count, IMAGE_FILE_ROW), np.full(count, -1)
    archive_of[held], row_of[held], place_of[held] = archives[chosen], rows[chosen], chosen
    windows = pa.array([b""] * len(rows), pa.binary()) if windows is None else windows
    window_of = windows.take(pa.array(place_of, mask=place_of < 0)).fill_null(b"")
    return ImageFiles(archive_of, row_of, window_of), repeated, len(known) - len(places)
