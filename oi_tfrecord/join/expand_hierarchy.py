"""Expands the annotations of a shard by the hierarchy: boxes and positive labels up, negative labels down.

The rules are those of the Object Detection API (dataset_tools/oid_hierarchical_labels_expansion.py); in addition,
duplicates are left out, conflicts are resolved, and the order is always the same.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from oi_tfrecord.join.join_shard import Annotations, JoinedShard
from oi_tfrecord.join.pair_masks import Masks
from oi_tfrecord.openimages.hierarchy import Hierarchy
from oi_tfrecord.openimages.schema import COORDINATES, Table
from oi_tfrecord.reasons import Drop


@dataclasses.dataclass(frozen=True)
class Relatives:
    """The relatives of each class: those of the class with code `c` are `codes[offsets[c]:offsets[c + 1]]`.

    Attributes:
        codes: uint16 array, codes of relatives.
        offsets: int array [classes + 1], ascending.
    """

    codes: np.ndarray
    offsets: np.ndarray

    @classmethod
    def of(cls, mids: Sequence[str], relatives: Mapping[str, frozenset[str]], label_ids: np.ndarray) -> "Relatives":
        """Returns the relatives of each code that are in the label map, in the order of their ids there.

        Args:
            mids: MID of each code.
            relatives: MID to the MIDs of its relatives.
            label_ids: int array, label map id of each code; 0 for codes that are not in the label map.
        """
        code_of = {mid: code for code, mid in enumerate(mids)}
        by_code: dict[int, list[int]] = {}
        for mid in relatives.keys() & code_of.keys():
            codes = (code_of[name] for name in relatives[mid] if name in code_of)
            by_code[code_of[mid]] = sorted((code for code in codes if label_ids[code]), key=label_ids.__getitem__)
        counts = np.zeros(len(mids), np.int64)
        counts[list(by_code)] = [len(codes) for codes in by_code.values()]
        in_order = [code for key in sorted(by_code) for code in by_code[key]]
        return cls(np.array(in_order, np.uint16), np.append(0, np.cumsum(counts)))

    def followed_by(self, other: "Relatives") -> "Relatives":
        """Returns both in one: the relatives that `other` gives to code `c` are those of `c` + number of classes."""
        offsets = np.concatenate([self.offsets, self.offsets[-1] + other.offsets[1:]])
        return Relatives(np.concatenate([self.codes, other.codes]), offsets)


@dataclasses.dataclass(frozen=True)
class Expansion:
    """The classes that the hierarchy adds to each class of a data set.

    Attributes:
        up: the ancestors of each class that are in the label map.
        down: the descendants of each class that are in the label map.
        is_written: bool array, which classes are in the label map. The rows of the other classes only imply rows of
            these.
        is_listed: bool array, which classes are in the class list, if only those of `--classes` are written.
    """

    up: Relatives
    down: Relatives
    is_written: np.ndarray
    is_listed: np.ndarray

    @classmethod
    def of(cls, hierarchy: Hierarchy, mids: Sequence[str], label_ids: np.ndarray, is_listed: np.ndarray) -> "Expansion":
        """Returns the expansion by a hierarchy; see `Relatives.of` and the attributes for the other arguments."""
        up, down = (Relatives.of(mids, names, label_ids) for names in (hierarchy.ancestors, hierarchy.descendants))
        return cls(up, down, label_ids > 0, is_listed)


def expand_shard(shard: JoinedShard, expansion: Expansion) -> JoinedShard:
    """Expands the boxes and human-verified labels of a shard; machine labels stay as they are.

    Classes that are not in the label map are cut only then: a box of a subclass counts for the class that is written.
    """
    annotations, dropped, masks = dict(shard.annotations), dict(shard.dropped), shard.masks
    if (table := Table.HUMAN_LABELS) in annotations:
        expanded, conflicts = expand_labels(annotations[table], expansion)
        annotations[table], cut = cut_classes(expanded, expansion)
        dropped[table] = dropped[table] + cut + Counter({Drop.PRESENT_BY_HIERARCHY: conflicts} if conflicts else {})
    if (table := Table.BOXES) in annotations:
        annotations[table], cut = cut_classes(expand_boxes(annotations[table], expansion), expansion)
        dropped[table] = dropped[table] + cut
        if masks is not None and (origin := annotations[table].origin) is not None:
            masks, unused = _follow_boxes(masks, origin, expansion)
            dropped |= {name: dropped[name] + count for name, count in unused.items()}
    return dataclasses.replace(shard, annotations=annotations, dropped=dropped, masks=masks)


def _follow_boxes(masks: Masks, origin: np.ndarray, expansion: Expansion) -> tuple[Masks, dict[Table, Counter[Drop]]]:
    """Gives the expanded boxes the masks of the boxes that they follow from.

    Returns:
        (the masks, the count of the masks and files that no box has any more).
    """
    followed = masks.follow_boxes(origin)
    before, after = (_count_reasons(part.table.rows["label"], expansion) for part in (masks, followed))
    unused = {Table.MASKS: before - after}
    if masks.files is not None and followed.files is not None:
        files = (int(np.count_nonzero(part.archives >= 0)) for part in (masks.files, followed.files))
        unused[Table.MASK_FILES] = Counter({Drop.MASK_NOT_SELECTED: next(files) - next(files)})
    return followed, {table: +count for table, count in unused.items() if +count}


def cut_classes(expanded: Annotations, expansion: Expansion) -> tuple[Annotations, Counter[Drop]]:
    """Leaves out the rows of classes that are not in the label map.

    Args:
        expanded: rows with those that the hierarchy added, none of which is of such a class.
        expansion: which classes are in the label map.

    Returns:
        (the other rows, the number of rows that are left out by reason).
    """
    is_written = expansion.is_written[expanded.rows["label"]]
    if is_written.all():
        return expanded, Counter()
    return expanded.filter(is_written), _count_reasons(expanded.rows["label"][~is_written], expansion)


def _count_reasons(codes: np.ndarray, expansion: Expansion) -> Counter[Drop]:
    """Counts rows by the reason for which the class of each could be cut."""
    listed = int(np.count_nonzero(expansion.is_listed[codes]))
    return +Counter({Drop.CLASS_NOT_CHOSEN: listed, Drop.CLASS_NOT_IN_LABEL_MAP: len(codes) - listed})


def expand_boxes(boxes: Annotations, expansion: Expansion) -> Annotations:
    """Adds a copy of each box for each ancestor of its class, right after the box, in the order of label map ids.

    Args:
        boxes: BOX_ROW rows by image.
        expansion: the relatives of their classes.

    Returns:
        The boxes with the copies, marked in `added`. A copy that would repeat a box of the image in class and
        coordinates is not added.
    """
    grown = _grow(boxes, boxes.rows["label"], expansion.up)
    keys = (grown.image_of, *(grown.rows[name] for name in ("label", *COORDINATES)))
    first = _find_first(keys, (grown.added,))
    return _keep(boxes, grown, ~grown.added | (first == np.arange(len(first))))


def expand_labels(labels: Annotations, expansion: Expansion) -> tuple[Annotations, int]:
    """Adds the ancestors of the classes that are present and the descendants of the classes verified absent.

    Args:
        labels: LABEL_ROW rows of human-verified labels by image; a confidence of 0 means absent.
        expansion: the relatives of their classes.

    Returns:
        (the labels with those added, marked in `added`; conflicts). No label is added that the image has. Where a
        class would be both, present wins: the absent one is not added or, if it was annotated, left out and counted.
    """
    is_absent = labels.rows["confidence"] == 0
    class_count = len(expansion.up.offsets) - 1
    lists = labels.rows["label"] + class_count * is_absent
    grown = _grow(labels, lists, expansion.up.followed_by(expansion.down))
    absent = grown.rows["confidence"] == 0
    # Of the rows of a class in an image those that are present come first, and annotated ones before added ones.
    first = _find_first((grown.image_of, grown.rows["label"]), (absent, grown.added))
    is_conflict = absent & ~absent[first]
    # An annotated row is kept beside an equal one of another source; only an added row must not repeat.
    keep_mask = ~is_conflict & (~grown.added | (first == np.arange(len(first))))
    return _keep(labels, grown, keep_mask), int(np.count_nonzero(is_conflict & ~grown.added))


@dataclasses.dataclass(frozen=True)
class _GrownRows:
    """Rows of a table, each followed by a copy for each relative of its class.

    Attributes:
        rows: array [n] of the table's rows.
        image_of: int array [n], ascending, the image of each row.
        added: bool array [n], which rows are copies.
        origin: int array [n], the place in the table of each row, or of the row that it copies.
    """

    rows: np.ndarray
    image_of: np.ndarray
    added: np.ndarray
    origin: np.ndarray


def _grow(annotations: Annotations, lists: np.ndarray, relatives: Relatives) -> _GrownRows:
    """Adds a copy of each row for each relative.

    With two relatives of the first row, none of the second and one of the third::

        row             A        B     C
        copies          2        0     1
        grown row       A x y    B     C z
        origin          0 0 0    1     2 2      index of the row
        rank            0 1 2    0     0 1      0 for the row itself, k for its k-th copy

    Args:
        annotations: rows [n] by image.
        lists: int array [n], the code in `relatives` whose list each row gets.
        relatives: the lists.
    """
    copies = np.diff(relatives.offsets)[lists]
    origin = np.repeat(np.arange(len(lists)), 1 + copies)
    begin = np.cumsum(1 + copies) - (1 + copies)
    rank = np.arange(len(origin)) - begin[origin]
    added = rank > 0
    rows = annotations.rows.take(origin)
    place_in_codes = relatives.offsets[lists[origin]] + rank - 1
    rows["label"][added] = relatives.codes[place_in_codes[added]]
    image_of = np.repeat(np.arange(len(annotations.offsets) - 1), np.diff(annotations.offsets))
    return _GrownRows(rows, image_of[origin], added, origin)


def _find_first(keys: Sequence[np.ndarray], priorities: Sequence[np.ndarray]) -> np.ndarray:
    """Finds the first row of each group of rows with equal keys.

    Args:
        keys: arrays [n].
        priorities: arrays [n]; the first row of a group has the least, the earlier array decides.

    Returns:
        Int array [n], the index of the first row of each row's group.
    """
    order = np.lexsort((*reversed(priorities), *reversed(keys)))
    starts_group = np.zeros(len(order), bool)
    starts_group[:1] = True
    for key in keys:
        in_order = key[order]
        starts_group[1:] |= in_order[1:] != in_order[:-1]
    group_sizes = np.diff(np.append(np.flatnonzero(starts_group), len(order)))
    first = np.zeros(len(order), np.int64)
    first[order] = np.repeat(order[starts_group], group_sizes)
    return first


def _keep(annotations: Annotations, grown: _GrownRows, keep_mask: np.ndarray) -> Annotations:
    """Returns the grown rows where `keep_mask` (bool [n]) is true, by image."""
    offsets = np.searchsorted(grown.image_of[keep_mask], np.arange(len(annotations.offsets)))
    return dataclasses.replace(
        annotations,
        rows=grown.rows.take(np.flatnonzero(keep_mask)),
        offsets=offsets,
        added=grown.added[keep_mask],
        origin=grown.origin[keep_mask],
    )
