"""Image-level labels of one class in one image that contradict or repeat each other."""

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
    if Table.HUMAN_LABELS not in shard.annotations:
        return shard
    is_conflict = find_contradicted(shard.annotations[Table.HUMAN_LABELS])
    return _leave_out(shard, is_conflict, Drop.PRESENT_AND_ABSENT)


def leave_out_repeated_labels(shard: JoinedShard) -> JoinedShard:
    """Leaves out the human-verified labels of a shard whose class the image has from another source, and counts them.

    Model Garden adds up the ids of an image (classification_input.py), so a repeated class would be present twice.
    """
    if Table.HUMAN_LABELS not in shard.annotations:
        return shard
    labels = shard.annotations[Table.HUMAN_LABELS]
    _, first = np.unique(_class_of_image(labels), return_index=True)
    is_repeated = np.ones(len(labels.rows), bool)
    is_repeated[first] = False
    return _leave_out(shard, is_repeated, Drop.SAME_LABEL)


def find_contradicted(labels: Annotations) -> np.ndarray:
    """Returns a bool array [rows], which labels say that a class is absent that another says is present.

    Args:
        labels: LABEL_ROW rows of human-verified labels by image; a confidence of 0 means absent.
    """
    class_of_image = _class_of_image(labels)
    is_absent = labels.rows["confidence"] == 0
    # In this order an absent label comes right after a present one of its class and image. Few do, and a search for
    # few values is fast.
    keys = np.sort((class_of_image << 1) | is_absent)
    contradicted = keys[1:][(keys[1:] & 1 == 1) & (keys[1:] == keys[:-1] + 1)] >> 1
    return is_absent & np.isin(class_of_image, contradicted)


def _class_of_image(labels: Annotations) -> np.ndarray:
    """Returns a number for the image and the class of each label; codes of classes have 16 bits."""
    image_of = np.repeat(np.arange(len(labels.offsets) - 1), np.diff(labels.offsets))
    return (image_of << 16) | labels.rows["label"]


def _leave_out(shard: JoinedShard, is_left_out: np.ndarray, reason: Drop) -> JoinedShard:
    if not (count := int(np.count_nonzero(is_left_out))):
        return shard
    table = Table.HUMAN_LABELS
    annotations = {**shard.annotations, table: shard.annotations[table].filter(~is_left_out)}
    dropped = {**shard.dropped, table: shard.dropped[table] + Counter({reason: count})}
    return dataclasses.replace(shard, annotations=annotations, dropped=dropped)
