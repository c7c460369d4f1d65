"""Filters of rows that a user asks for; they run before the shuffle, so rows that are left out cost nothing there."""

import dataclasses
import types
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

from oi_tfrecord.openimages.csv.id_lists import is_in
from oi_tfrecord.openimages.hierarchy import Hierarchy
from oi_tfrecord.openimages.image_id import IMAGE_ID, check_same_names, hash_ids
from oi_tfrecord.openimages.schema import BOX_ID, HUMAN_SOURCES, MACHINE_SOURCE, UNKNOWN_IOU, Table
from oi_tfrecord.reasons import Drop

EVERY_IMAGE = 1 << 64
"""A bound of `sample_hash` that every image is below."""

_SAMPLE_SALT = np.uint64(0x9E3779B97F4A7C15)

_HALF_DECIMAL = np.float32(5e-7)
"""Half of the last decimal of a published coordinate, so that rounding leaves out no side of just the least length."""

VALUE_FILTERS = {Table.METADATA: ("subset", "Subset"), Table.BOXES: ("box_sources", "Source")}
"""Table to the field of the configuration that names values of one of its columns, and the column."""


_OTHER_SOURCES = {Table.HUMAN_LABELS: frozenset({MACHINE_SOURCE}), Table.MACHINE_LABELS: frozenset(HUMAN_SOURCES)}
"""Sources of labels of the other kind. V1 has both kinds in one file; machine labels never pass for verified ones."""

_Check = tuple[Drop, np.ndarray]
"""A filter on the rows [n] of a table: the reason to leave out a row, and bool [n], which rows pass."""


@dataclasses.dataclass(frozen=True)
class ImpliedClasses:
    """Classes that are not written themselves, but imply classes that are, by a hierarchy.

    Attributes:
        below: bool array, vocabulary codes of classes with an ancestor that is written: a box or a present label of
            such a class is one of the ancestor, too.
        above: bool array, vocabulary codes of classes with a descendant that is written: where such a class is absent,
            the descendant is.
    """

    below: np.ndarray
    above: np.ndarray

    @classmethod
    def of(cls, hierarchy: Hierarchy, mids: Sequence[str], written: Collection[str]) -> "ImpliedClasses":
        """Returns the classes that imply the classes in `written`, given the MID of each vocabulary code."""
        names = frozenset(written)
        below, above = (
            np.array([not names.isdisjoint(relatives.get(mid, ())) for mid in mids], bool)
            for relatives in (hierarchy.ancestors, hierarchy.descendants)
        )
        return cls(below, above)

    def find(self, table: Table, rows: np.ndarray) -> np.ndarray:
        """Returns which rows of a table imply a class that is written, bool [n]; machine labels imply nothing."""
        match table:
            case Table.BOXES | Table.MASKS:
                return self.below[rows["label"]]
            case Table.HUMAN_LABELS:
                return np.where(rows["confidence"] > 0, self.below[rows["label"]], self.above[rows["label"]])
            case _:
                return np.zeros(len(rows), bool)


@dataclasses.dataclass(frozen=True)
class RowFilters:
    """Which rows of each table are left out.

    Attributes:
        box_sources: values of Source of the boxes that are kept; empty keeps all.
        exclude_flags: fields of BOX_ROW; boxes with such a flag set are left out.
        min_confidence: of boxes and machine labels, 0 to 1. It does not apply to human labels, whose 0
            says that the class was verified to be absent.
        min_box_side: of the shorter side of a box, as a fraction of the image's side, 0 to 1.
        subsets: values of Subset of the images that are kept; empty keeps all.
        sample_below: images whose `sample_hash` is below are kept, 0 to EVERY_IMAGE; set by the option `sample`.
        limit_below: the same, of the images that all other filters keep; set by the option `max_images`.
        image_ids: sorted uint64 array of the keys of the ImageIDs that are kept; None keeps all.
        image_names: the ImageIDs of these keys, in their order; None for published ones, which their keys hold.
        chosen_codes: bool array, vocabulary codes of the classes that are kept; None keeps all.
        min_predicted_iou: of masks, 0 to 1; masks without a PredictedIoU are kept.
        box_ids: BoxIDs of the masks that are kept; None keeps all.
        implied: rows of other classes that are kept as they imply a class that is written; None keeps none.
    """

    box_sources: tuple[str, ...] = ()
    exclude_flags: tuple[str, ...] = ()
    min_confidence: float = 0.0
    min_box_side: float = 0.0
    subsets: tuple[str, ...] = ()
    sample_below: int = EVERY_IMAGE
    limit_below: int = EVERY_IMAGE
    image_ids: np.ndarray | None = None
    image_names: pa.BinaryArray | None = None
    chosen_codes: np.ndarray | None = None
    min_predicted_iou: float = 0.0
    box_ids: frozenset[str] | None = None
    implied: ImpliedClasses | None = None

    @property
    def leaves_out_boxes(self) -> bool:
        """Whether boxes are left out by columns that mask rows do not have: source, flags, confidence or size."""
        return bool(self.box_sources or self.exclude_flags or self.min_confidence or self.min_box_side)

    @property
    def named_values(self) -> dict[Table, tuple[str, ...]]:
        """Table to the values that are kept of its column of VALUE_FILTERS, for tables of which not all are kept."""
        named = {Table.METADATA: self.subsets, Table.BOXES: self.box_sources}
        return {table: values for table, values in named.items() if values}

    def find_dropped(
        self,
        table: Table,
        rows: np.ndarray,
        sources: tuple[str, ...],
        texts: Mapping[str, pa.BinaryArray] = types.MappingProxyType({}),
    ) -> list[tuple[Drop, np.ndarray]]:
        """Finds the rows that are left out.

        Args:
            table: their table.
            rows: array [n] of the table's ROW_TYPES dtype.
            sources: names that the rows' `source` field indexes.
            texts: text columns [n] beside the rows, by name.

        Returns:
            (reason, indices into `rows`) for each reason that occurs; a row has one reason at most.

        Raises:
            InputError: if an ImageID that is kept and another one of the rows have the same key.
        """
        hashes = self._sample_hashes(rows)
        checks = (
            *self._check_images(rows, hashes, texts),
            *self._check_labels(table, rows, sources),
            *(self._check_boxes(rows, sources) if table is Table.BOXES else ()),
            *(self._check_masks(rows, texts) if table is Table.MASKS else ()),
            *self._check_limit(rows, hashes),
        )
        return _first_failures(len(rows), checks)

    def find_of_classes(self, table: Table, rows: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Returns which rows are of some classes or imply one that is written, bool [n].

        Args:
            table: their table, one with classes.
            rows: array [n] of the table's ROW_TYPES dtype.
            codes: bool array, vocabulary codes of the classes.
        """
        is_of = codes[rows["label"]]
        return is_of if self.implied is None else is_of | self.implied.find(table, rows)

    def _sample_hashes(self, rows: np.ndarray) -> np.ndarray:
        """Returns the sample hash of each row's image; nothing if no filter needs the hashes."""
        is_needed = min(self.sample_below, self.limit_below) < EVERY_IMAGE
        return sample_hash(rows["image_id"]) if is_needed else np.zeros(0, np.uint64)

    def _check_images(self, rows: np.ndarray, hashes: np.ndarray, texts: Mapping[str, pa.BinaryArray]) -> list[_Check]:
        checks = []
        if self.image_ids is not None:
            is_listed = is_in(rows["image_id"], self.image_ids)
            if self.image_names is not None:
                listed = np.flatnonzero(is_listed)
                places = np.searchsorted(self.image_ids, rows["image_id"][listed])
                check_same_names(
                    "image_ids", self.image_names.take(pa.array(places)), texts[IMAGE_ID].take(pa.array(listed))
                )
            checks.append((Drop.NOT_IN_IMAGE_LIST, is_listed))
        if self.sample_below < EVERY_IMAGE:
            checks.append((Drop.NOT_SAMPLED, hashes < np.uint64(self.sample_below)))
        return checks

    def _check_labels(self, table: Table, rows: np.ndarray, sources: tuple[str, ...]) -> list[_Check]:
        checks = []
        if other_sources := _OTHER_SOURCES.get(table, frozenset()).intersection(sources):
            is_of_kind = np.array([source not in other_sources for source in sources], bool)
            checks.append((Drop.OTHER_KIND_OF_LABEL, is_of_kind[rows["source"]]))
        if self.chosen_codes is not None and table is not Table.METADATA:
            checks.append((Drop.CLASS_NOT_CHOSEN, self.find_of_classes(table, rows, self.chosen_codes)))
        if table in (Table.BOXES, Table.MACHINE_LABELS) and self.min_confidence > 0:
            checks.append((Drop.LOW_CONFIDENCE, rows["confidence"] >= np.float32(self.min_confidence)))
        return checks

    def _check_boxes(self, rows: np.ndarray, sources: tuple[str, ...]) -> list[_Check]:
        checks = []
        if self.box_sources:
            is_kept = np.array([source in self.box_sources for source in sources], bool)
            checks.append((Drop.BOX_SOURCE, is_kept[rows["source"]]))
        if self.exclude_flags:
            is_unset = np.logical_and.reduce([rows[flag] != 1 for flag in self.exclude_flags])
            checks.append((Drop.EXCLUDED_FLAG, is_unset))
        if self.min_box_side > 0:
            shorter = np.minimum(rows["xmax"] - rows["xmin"], rows["ymax"] - rows["ymin"])
            checks.append((Drop.SMALL_BOX, shorter >= np.float32(self.min_box_side) - _HALF_DECIMAL))
        return checks

    def _check_masks(self, rows: np.ndarray, texts: Mapping[str, pa.BinaryArray]) -> list[_Check]:
        checks = []
        if self.min_predicted_iou > 0:
            iou = rows["predicted_iou"]
            checks.append((Drop.LOW_PREDICTED_IOU, (iou == UNKNOWN_IOU) | (iou >= np.float32(self.min_predicted_iou))))
        if self.box_ids is not None:
            is_listed = [box_id.decode("utf-8", "replace") in self.box_ids for box_id in texts[BOX_ID].to_pylist()]
            checks.append((Drop.NOT_IN_BOX_ID_LIST, np.array(is_listed, bool)))
        return checks

    def _check_limit(self, rows: np.ndarray, hashes: np.ndarray) -> list[_Check]:
        if self.limit_below == EVERY_IMAGE:
            return []
        is_within = hashes < np.uint64(self.limit_below)
        checks = [(Drop.OVER_MAX_IMAGES, is_within)]
        if self.subsets and "excluded" in (rows.dtype.names or ()):
            # The join leaves out an excluded image within the limit, as annotations of the image reach the join; beyond
            # the limit no annotation needs the image.
            checks.insert(0, (Drop.OTHER_SUBSET, is_within | (rows["excluded"] == 0)))
        return checks


def _first_failures(count: int, checks: Iterable[_Check]) -> list[tuple[Drop, np.ndarray]]:
    """Returns the rows [count] by the first check that they fail: (reason, indices) for each reason that occurs."""
    is_left = np.ones(count, bool)
    failures = []
    for reason, passed in checks:
        indices = np.flatnonzero(is_left & ~passed)
        if len(indices):
            failures.append((reason, indices))
            is_left[indices] = False
    return failures


def sample_hash(image_ids: np.ndarray) -> np.ndarray:
    """Returns the hash that samples images, independent of the one that orders them.

    Args:
        image_ids: uint64 array [n].

    Returns:
        uint64 array [n]. A smaller sample is part of a larger one.
    """
    return hash_ids(hash_ids(image_ids) + _SAMPLE_SALT)


def sample_limit(fraction: float) -> int:
    """Returns `sample_below` for a share of the images, above 0 to 1."""
    return EVERY_IMAGE if fraction == 1 else int(fraction * EVERY_IMAGE)


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
