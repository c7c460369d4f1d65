"""Long lists of images and masks to keep, which lie in the work folder and not in the job that a runner takes."""

import dataclasses
import functools
import hashlib
from collections.abc import Sized

import numpy as np
import pyarrow as pa

from oi_tfrecord import storage
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.openimages.csv.filters import RowFilters

LONG_LIST = 10_000
"""Entries of a list that goes to a file: Dataflow takes no job of more than 10 MB, and a job is sent with each step."""


@dataclasses.dataclass(frozen=True)
class KeptLists:
    """Where the long lists of filters lie; empty for a list that stays in the filters.

    Attributes:
        image_ids: file of the keys of ImageIDs, sorted, 8 bytes each.
        image_names: file of ImageIDs that are names, in the order of their keys, a line each.
        box_ids: file of the BoxIDs, a line each.
    """

    image_ids: str = ""
    image_names: str = ""
    box_ids: str = ""

    def fill(self, filters: RowFilters) -> RowFilters:
        """Returns filters with their long lists, which a process reads once."""
        if self.image_ids:
            filters = dataclasses.replace(filters, image_ids=_read_image_ids(self.image_ids))
        if self.image_names:
            filters = dataclasses.replace(filters, image_names=_read_image_names(self.image_names))
        if self.box_ids:
            filters = dataclasses.replace(filters, box_ids=_read_box_ids(self.box_ids))
        return filters


def split_lists(filters: RowFilters, work: WorkFolder) -> tuple[RowFilters, KeptLists]:
    """Returns filters without their long lists, and where `store_lists` puts these.

    Args:
        filters: the filters of a conversion.
        work: folder of the lists.
    """
    lists = KeptLists(
        image_ids=_path(work, "image_ids", pack_image_ids(filters)) if _is_long(filters.image_ids) else "",
        image_names=_path(work, "image_names", pack_image_names(filters)) if _is_long(filters.image_names) else "",
        box_ids=_path(work, "box_ids", pack_box_ids(filters)) if _is_long(filters.box_ids) else "",
    )
    if lists.image_ids:
        filters = dataclasses.replace(filters, image_ids=None)
    if lists.image_names:
        filters = dataclasses.replace(filters, image_names=None)
    if lists.box_ids:
        filters = dataclasses.replace(filters, box_ids=None)
    return filters, lists


def store_lists(filters: RowFilters, work: WorkFolder) -> None:
    """Writes the long lists of filters to the work folder, which must be there."""
    _, lists = split_lists(filters, work)
    packed = (
        (lists.image_ids, pack_image_ids),
        (lists.image_names, pack_image_names),
        (lists.box_ids, pack_box_ids),
    )
    for path, pack in packed:
        if path:
            storage.write(path, pack(filters), work.temporary)


def pack_image_ids(filters: RowFilters) -> bytes:
    """Returns the keys of the ImageIDs to keep, 8 bytes each in little-endian order; empty without a list."""
    return b"" if filters.image_ids is None else filters.image_ids.astype("<u8").tobytes()


def pack_image_names(filters: RowFilters) -> bytes:
    """Returns the names to keep, a line each, as no name has a line break; empty without a list of names."""
    return b"" if filters.image_names is None else b"\n".join(filters.image_names.to_pylist())


def pack_box_ids(filters: RowFilters) -> bytes:
    """Returns the BoxIDs to keep, sorted, a line each; empty without a list."""
    return "\n".join(sorted(filters.box_ids or ())).encode()


def _is_long(kept: Sized | None) -> bool:
    return kept is not None and len(kept) > LONG_LIST


def _path(work: WorkFolder, name: str, data: bytes) -> str:
    # A worker process may serve two conversions, so a list of another content has another path.
    return storage.join(work.path, f"{name}-{hashlib.sha256(data).hexdigest()[:16]}")


@functools.lru_cache(maxsize=1)
def _read_image_ids(path: str) -> np.ndarray:
    return np.frombuffer(storage.read(path), "<u8")


@functools.lru_cache(maxsize=1)
def _read_image_names(path: str) -> pa.BinaryArray:
    return pa.array(storage.read(path).split(b"\n"), pa.binary())


@functools.lru_cache(maxsize=1)
def _read_box_ids(path: str) -> frozenset[str]:
    return frozenset(storage.read(path).decode().splitlines())
