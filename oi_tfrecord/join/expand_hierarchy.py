"""Expands the annotations of a shard by the hierarchy: boxes and positive labels up, negative labels down.

The rules are those of the Object Detection API (dataset_tools/oid_hierarchical_labels_expansion.py), with
duplicates left out, conflicts resolved and an order that does not change.
"""

import dataclasses
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from oi_tfrecord.join.join_shard import Annotations, JoinedShard
from oi_tfrecord.openimages.hierarchy import Hierarchy
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Drop


@dataclasses.dataclass(frozen=True)
class Relatives:
    """For each class code, the codes of its relatives: `codes[offsets[code]:offsets[code + 1]]`."""

    codes: np.ndarray
    offsets: np.ndarray

    @staticmethod
    def of(mids: Sequence[str], relatives: Mapping[str, frozenset[str]], label_ids: np.ndarray) -> "Relatives":
        """Returns the relatives of each code that are in the label map, in the order of their ids there.

        Args:
            mids: MID of each code.
            relatives: MID to the MIDs of its relatives.
            label_ids: int array, label map id of each code; 0 for those that are not in it.
        """
        code_of = {mid: code for code, mid in enumerate(mids)}
        chosen: dict[int, list[int]] = {}
        for mid in relatives.keys() & code_of.keys():
            codes = [code_of[name] for name in relatives[mid] if name in code_of]
            chosen[code_of[mid]] = sorted(
                (code for code in codes if label_ids[code]), key=lambda code: int(label_ids[code])
            )
        counts = np.zeros(len(mids) + 1, np.int64)
        for code, codes in chosen.items():
            counts[code + 1] = len(codes)
        offsets = np.cumsum(counts)
        return Relatives(np.array([code for key in sorted(chosen) for code in chosen[key]], np.uint16), offsets)


@dataclasses.dataclass(frozen=True)
class Expansion:
    """What the classes of a data set are expanded to.

    Attributes:
        up: their ancestors.
        down: their descendants.
    """

    up: Relatives
    down: Relatives

    @staticmethod
    def of(hierarchy: Hierarchy, mids: Sequence[str], label_ids: np.ndarray) -> "Expansion":
        """Returns the expansion by a hierarchy; arguments as in `Relatives.of`."""
        return Expansion(
            Relatives.of(mids, hierarchy.ancestors, label_ids), Relatives.of(mids, hierarchy.descendants, label_ids)
        )


def expand_shard(shard: JoinedShard, expansion: Expansion) -> JoinedShard:
    """Expands the boxes and human-verified labels of a shard; machine labels stay as they are."""
    annotations = dict(shard.annotations)
    dropped = dict(shard.dropped)
    if Table.BOXES in annotations:
        annotations[Table.BOXES] = expand_boxes(annotations[Table.BOXES], expansion)
    if (table := Table.HUMAN_LABELS) in annotations:
        annotations[table], conflicts = expand_labels(annotations[table], expansion)
        if conflicts:
            dropped[table] = dropped[table] + Counter({Drop.PRESENT_BY_HIERARCHY: conflicts})
    return dataclasses.replace(shard, annotations=annotations, dropped=dropped)


def expand_boxes(boxes: Annotations, expansion: Expansion) -> Annotations:
    """Adds a copy of each box for each ancestor of its class, right after it, in the order of label map ids.

    Args:
        boxes: BOX_ROW rows by image.
        expansion: of their codes.

    Returns:
        The boxes with those added, marked in `added`. One that would repeat a box of the image in class and
        coordinates is not added.
    """
    rows, image_of, added = _add(boxes, [(np.ones(len(boxes.rows), bool), expansion.up)])
    order = np.lexsort((added, *(rows[name] for name in ("xmin", "xmax", "ymin", "ymax", "label")), image_of))
    same = np.ones(max(len(order) - 1, 0), bool)
    for values in (image_of, *(rows[name] for name in ("label", "xmin", "xmax", "ymin", "ymax"))):
        same &= values[order[1:]] == values[order[:-1]]
    return _keep(boxes, rows, image_of, added, ~(_after(order, same) & added))


def expand_labels(labels: Annotations, expansion: Expansion) -> tuple[Annotations, int]:
    """Adds the ancestors of the classes that are present and the descendants of those verified absent.

    Args:
        labels: LABEL_ROW rows of human-verified labels by image; a confidence of 0 means absent.
        expansion: of their codes.

    Returns:
        (the labels with those added, marked in `added`; conflicts). No label is added that the image has. Where a
        class would be both, present wins: the absent one is not added or, if it was annotated, left out and counted.
    """
    positive = labels.rows["confidence"] > 0
    rows, image_of, added = _add(labels, [(positive, expansion.up), (~positive, expansion.down)])
    absent = rows["confidence"] == 0
    order = np.lexsort((added, absent, rows["label"], image_of))
    same = (image_of[order[1:]] == image_of[order[:-1]]) & (rows["label"][order[1:]] == rows["label"][order[:-1]])
    repeats = _after(order, same)
    # Of each class of an image, those present come first, so an absent one beats none.
    starts = np.flatnonzero(np.concatenate([[True], ~same])) if len(order) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(starts, len(order)))
    beaten = np.zeros(len(rows), bool)
    beaten[order] = np.repeat(~absent[order[starts]], sizes)
    conflicts = absent & beaten
    # An annotated row is kept beside an equal one of another source; only what is added must not repeat.
    kept = ~conflicts & ~(repeats & added)
    return _keep(labels, rows, image_of, added, kept), int(np.count_nonzero(conflicts & ~added))


def _add(
    annotations: Annotations, parts: Sequence[tuple[np.ndarray, Relatives]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns (rows, image of each, whether it was added), each row followed by those added for it."""
    rows = annotations.rows
    labels = rows["label"].astype(np.int64)
    first = np.zeros(len(rows), np.int64)
    count = np.zeros(len(rows), np.int64)
    codes = np.concatenate([relatives.codes for _, relatives in parts])
    base = 0
    for chosen, relatives in parts:
        first[chosen] = base + relatives.offsets[labels[chosen]]
        count[chosen] = np.diff(relatives.offsets)[labels[chosen]]
        base += len(relatives.codes)
    origin = np.repeat(np.arange(len(rows)), 1 + count)
    place = np.arange(len(origin)) - np.repeat(np.cumsum(1 + count) - 1 - count, 1 + count)
    grown = rows[origin]
    added = place > 0
    grown["label"][added] = codes[(first[origin] + place - 1)[added]]
    image_of = np.repeat(np.arange(len(annotations.offsets) - 1), np.diff(annotations.offsets))[origin]
    return grown, image_of, added


def _after(order: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Returns the mask of rows that are the same as the one before them in a sorted order."""
    repeats = np.zeros(len(order), bool)
    repeats[order[1:][same]] = True
    return repeats


def _keep(
    annotations: Annotations, rows: np.ndarray, image_of: np.ndarray, added: np.ndarray, kept: np.ndarray
) -> Annotations:
    offsets = np.searchsorted(image_of[kept], np.arange(len(annotations.offsets)))
    return dataclasses.replace(annotations, rows=rows[kept], offsets=offsets, added=added[kept])
