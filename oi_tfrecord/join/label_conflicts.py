"""Image-level labels that contradict each other: a class that is both present and absent in one image is present."""

import dataclasses
from collections import Counter

import numpy as np

from oi_tfrecord.join.join_shard import Annotations, JoinedShard
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Drop


def resolve_label_conflicts(shard: JoinedShard) -> JoinedShard:
    """Leaves out the human-verified labels of a shard that another label contradicts, and counts them.

    Present wins, as a person who sees an object proves more than a person who overlooks the object.
    """
    if (table := Table.HUMAN_LABELS) not in shard.annotations:
        return shard
    labels = shard.annotations[table]
    is_conflict = find_contradicted(labels)
    if not (conflicts := int(np.count_nonzero(is_conflict))):
        return shard
    annotations = {**shard.annotations, table: _filter(labels, ~is_conflict)}
    dropped = {**shard.dropped, table: shard.dropped[table] + Counter({Drop.PRESENT_AND_ABSENT: conflicts})}
    return dataclasses.replace(shard, annotations=annotations, dropped=dropped)


def find_contradicted(labels: Annotations) -> np.ndarray:
    """Returns a bool array [rows], which labels say that a class is absent that another says is present.

    Args:
        labels: LABEL_ROW rows of human-verified labels by image; a confidence of 0 means absent.
    """
    image_of = np.repeat(np.arange(len(labels.offsets) - 1), np.diff(labels.offsets))
    class_of_image = (image_of << 16) | labels.rows["label"]
    is_absent = labels.rows["confidence"] == 0
    return is_absent & np.isin(class_of_image, class_of_image[~is_absent])


def _filter(labels: Annotations, keep_mask: np.ndarray) -> Annotations:
    until = np.append(0, np.cumsum(keep_mask))
    return dataclasses.replace(labels, rows=labels.rows[keep_mask], offsets=until[labels.offsets])
