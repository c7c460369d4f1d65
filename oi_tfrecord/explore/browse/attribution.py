"""Licence and author of each image, from the attribution files beside the records."""

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.dataset.attribution_csv import name_fields, parse_row, split_rows
from oi_tfrecord.explore.browse.index import BrowseIndex

_FILES = ("ATTRIBUTION-{split}.csv", "ATTRIBUTION.csv")


def find_attribution(output_dir: str, index: BrowseIndex) -> np.ndarray:
    """Returns the place of each record's row in the attribution file of its split.

    Args:
        output_dir: folder of the records.
        index: of the records.

    Returns:
        int64 array [records, 2] of byte offset and length; -1 for a record without a row.
    """
    places = np.full((index.records, 2), -1, np.int64)
    for number, split in enumerate(index.splits):
        path = _find_file(output_dir, split)
        if not path:
            continue
        first, last = index.split_starts[number], index.split_starts[number + 1]
        order = np.argsort(index.arrays["image_id"][first:last], kind="stable")
        ids = index.arrays["image_id"][first:last][order]
        with storage.open_read(path) as stream:
            for offset, row in split_rows(stream):
                image_id = np.bytes_(parse_row(row)[:1][0].encode() if row.strip() else b"")
                place = int(np.searchsorted(ids, image_id))
                if place < len(ids) and ids[place] == image_id:
                    places[first + order[place]] = offset, len(row)
    return places


class AttributionFile:
    """The attribution file of a split, which may be missing."""

    def __init__(self, output_dir: str, split: str):
        """Reads the header.

        Args:
            output_dir: folder of the records.
            split: name of the split.
        """
        self._path = _find_file(output_dir, split)
        self._header: list[str] = []
        if self._path:
            with storage.open_read(self._path) as stream:
                self._header = parse_row(next((row for _, row in split_rows(stream)), b""))

    def read_row(self, offset: int, length: int) -> dict[str, str]:
        """Returns the values of a row by column; none if `offset` is -1, or there is no file."""
        if not self._path or offset < 0:
            return {}
        return name_fields(self._header, parse_row(storage.read_range(self._path, offset, length)))


def _find_file(output_dir: str, split: str) -> str:
    """Returns the attribution file of a split; an empty text if there is none."""
    paths = [storage.join(output_dir, name.format(split=split)) for name in _FILES]
    return next((path for path in paths if storage.exists(path)), "")
