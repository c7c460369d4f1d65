"""Filters of rows that a user asks for; they run before the shuffle, so what they remove costs nothing."""

import dataclasses

import numpy as np

from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.openimages.schema import FLAGS, HUMAN_SOURCES, LABEL_TABLES, MACHINE_SOURCE, Table
from oi_tfrecord.reasons import Drop

EVERY_IMAGE = 1 << 64

_SAMPLE_SALT = np.uint64(0x9E3779B97F4A7C15)

_HALF_DECIMAL = np.float32(5e-7)
"""Half of the last decimal of a published coordinate: a side of just the least length is kept, rounded or not."""

VALUE_FILTERS = {Table.METADATA: ("subset", "Subset"), Table.BOXES: ("box_sources", "Source")}
"""Table to the field of the configuration that names values of one of its columns, and the column."""


@dataclasses.dataclass(frozen=True)
class RowFilters:
    """What is left out of each table.

    Attributes:
        box_sources: values of Source of the boxes that are kept; empty keeps all.
        exclude_flags: fields of BOX_ROW; boxes with such a flag set are left out.
        min_confidence: of boxes and machine labels, 0 to 1. Human labels are not meant: their 0
            says that the class was verified to be absent.
        min_box_side: of the shorter side of a box, as a fraction of the image's side, 0 to 1.
        subsets: values of Subset of the images that are kept; empty keeps all.
        sample_below: images whose `sample_hash` is below are kept, 0 to EVERY_IMAGE; what `sample` means.
        limit_below: the same, of those that all other filters keep; what `max_images` means.
        image_ids: sorted uint64 array of the ImageIDs that are kept; None keeps all.
        chosen_codes: bool array, vocabulary codes of the classes that are kept; None keeps all.
    """

    box_sources: tuple[str, ...] = ()
    exclude_flags: tuple[str, ...] = ()
    min_confidence: float = 0.0
    min_box_side: float = 0.0
    subsets: tuple[str, ...] = ()
    sample_below: int = EVERY_IMAGE
    limit_below: int = EVERY_IMAGE
    image_ids: np.ndarray | None = None
    chosen_codes: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in self.exclude_flags:
            if name not in FLAGS:
                raise ConfigError("exclude_flags", f"{name!r} is none of {', '.join(FLAGS)}")
        for field in ("min_confidence", "min_box_side"):
            if not 0 <= getattr(self, field) <= 1:
                raise ConfigError(field, f"{getattr(self, field)} is not within 0 to 1")
        for field, limit in (("sample", self.sample_below), ("max_images", self.limit_below)):
            if not 0 <= limit <= EVERY_IMAGE:
                raise ConfigError(field, f"{limit} is not within 0 to 2**64")

    @property
    def leaves_out_boxes(self) -> bool:
        """Whether boxes are left out by what is not in other tables: source, flags, confidence or size."""
        return bool(self.box_sources or self.exclude_flags or self.min_confidence or self.min_box_side)

    @property
    def named_values(self) -> dict[Table, tuple[str, ...]]:
        """Table to the values that are kept of its column of VALUE_FILTERS, where not all are."""
        named = {Table.METADATA: self.subsets, Table.BOXES: self.box_sources}
        return {table: values for table, values in named.items() if values}

    def find_dropped(self, table: Table, rows: np.ndarray, sources: tuple[str, ...]) -> list[tuple[Drop, np.ndarray]]:
        """Finds the rows that are left out.

        Args:
            table: their table.
            rows: array [n] of the table's ROW_TYPES dtype.
            sources: names that the rows' `source` field indexes.

        Returns:
            (reason, indices into `rows`) for each reason that occurs; a row has one reason at most.
        """
        checks = []
        if self.image_ids is not None:
            checks.append((Drop.NOT_IN_IMAGE_LIST, is_in(rows["image_id"], self.image_ids)))
        if min(self.sample_below, self.limit_below) < EVERY_IMAGE:
            hashes = sample_hash(rows["image_id"])
        if self.sample_below < EVERY_IMAGE:
            checks.append((Drop.NOT_SAMPLED, hashes < np.uint64(self.sample_below)))
        if table in LABEL_TABLES and sources:
            # V1 keeps both kinds of label in one file; machine labels never pass for verified ones.
            machine = np.array([source == MACHINE_SOURCE for source in sources], bool)
            human = np.array([source in HUMAN_SOURCES for source in sources], bool)
            other_kind = machine if table is Table.HUMAN_LABELS else human
            if other_kind.any():
                checks.append((Drop.OTHER_KIND_OF_LABEL, ~other_kind[rows["source"]]))
        if self.chosen_codes is not None and table is not Table.METADATA:
            checks.append((Drop.CLASS_NOT_CHOSEN, self.chosen_codes[rows["label"]]))
        if table in (Table.BOXES, Table.MACHINE_LABELS) and self.min_confidence > 0:
            checks.append((Drop.LOW_CONFIDENCE, rows["confidence"] >= np.float32(self.min_confidence)))
        if table is Table.BOXES:
            if self.box_sources:
                kept = np.array([source in self.box_sources for source in sources], bool)
                checks.append((Drop.BOX_SOURCE, kept[rows["source"]]))
            if self.exclude_flags:
                unset = [rows[flag] != 1 for flag in self.exclude_flags]
                checks.append((Drop.EXCLUDED_FLAG, np.logical_and.reduce(unset)))
            if self.min_box_side > 0:
                shorter = np.minimum(rows["xmax"] - rows["xmin"], rows["ymax"] - rows["ymin"])
                checks.append((Drop.SMALL_BOX, shorter >= np.float32(self.min_box_side) - _HALF_DECIMAL))
        if self.limit_below < EVERY_IMAGE:
            within = hashes < np.uint64(self.limit_below)
            if self.subsets and "excluded" in (rows.dtype.names or ()):
                # Within the limit the join leaves them out; beyond it no annotation gets there that needs them.
                checks.append((Drop.OTHER_SUBSET, within | (rows["excluded"] == 0)))
            checks.append((Drop.OVER_MAX_IMAGES, within))
        free = np.ones(len(rows), bool)
        dropped = []
        for reason, passed in checks:
            indices = np.flatnonzero(free & ~passed)
            if len(indices):
                dropped.append((reason, indices))
                free[indices] = False
        return dropped


def sample_hash(image_ids: np.ndarray) -> np.ndarray:
    """Returns the hash that samples images, independent of the one that orders them.

    Args:
        image_ids: uint64 array [n].

    Returns:
        uint64 array [n]. A smaller sample is part of a larger one.
    """
    return hash_ids(hash_ids(image_ids) + _SAMPLE_SALT)


def sample_limit(fraction: float) -> int:
    """Returns `sample_below` for a share of the images.

    Args:
        fraction: above 0, to 1.

    Raises:
        ConfigError: naming `sample`.
    """
    if not 0 < fraction <= 1:
        raise ConfigError("sample", f"{fraction} is not above 0 and at most 1")
    return EVERY_IMAGE if fraction == 1 else int(fraction * EVERY_IMAGE)


def is_in(image_ids: np.ndarray, listed: np.ndarray) -> np.ndarray:
    """Returns which of `image_ids` are in `listed`, a sorted array; both uint64."""
    if not len(listed):
        return np.zeros(len(image_ids), bool)
    places = np.minimum(np.searchsorted(listed, image_ids), len(listed) - 1)
    return listed[places] == image_ids


def parse_image_ids(data: bytes, path: str) -> np.ndarray:
    """Parses a list of ImageIDs.

    Args:
        data: one ImageID per line, or a CSV with the ImageID first; a header line is skipped.
        path: the file, for the error.

    Returns:
        Sorted uint64 array without repeats.

    Raises:
        InputError: naming the first line that is no ImageID.
    """
    ids = []
    for number, line in enumerate(data.decode("utf-8-sig", "replace").splitlines(), 1):
        text = line.split(",")[0].strip().strip('"')
        if not text or (number == 1 and text.lower() == "imageid"):
            continue
        if len(text) != 16 or not set(text) <= set("0123456789abcdef"):
            raise InputError(path, f"{text!r} is no ImageID", "Give 16 lower-case hex digits per line", number)
        ids.append(int(text, 16))
    return np.unique(np.array(ids, np.uint64))


def lowest_hashes(hashes: np.ndarray, count: int) -> np.ndarray:
    """Returns the `count` lowest of `hashes` (uint64), or all if there are not so many."""
    return hashes if len(hashes) <= count else np.partition(hashes, count - 1)[:count]


def limit_below_of(lowest: np.ndarray, count: int) -> int:
    """Returns `limit_below` that keeps `count` images.

    Args:
        lowest: the `count` + 1 lowest sample hashes of the images, or all hashes if there are fewer.
        count: images to keep.
    """
    return EVERY_IMAGE if len(lowest) <= count else int(lowest.max())
