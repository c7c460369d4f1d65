from collections import Counter

import numpy as np
import pytest

from oi_tfrecord.join.join_shard import Annotations, JoinedShard
from oi_tfrecord.join.label_conflicts import resolve_label_conflicts
from oi_tfrecord.openimages.schema import LABEL_ROW, Table
from oi_tfrecord.reasons import Drop


def shard(images: list[list[tuple[int, float]]]) -> JoinedShard:
    rows = np.zeros(sum(map(len, images)), LABEL_ROW)
    rows["label"], rows["confidence"] = np.array([row for image in images for row in image] or [(0, 0)][:0]).T
    return JoinedShard(
        image_ids=np.arange(len(images)).astype(np.uint64),
        annotations={Table.HUMAN_LABELS: Annotations(rows, np.cumsum([0, *map(len, images)]), ())},
        text_columns={},
        faults=[],
        rejected={},
        dropped={Table.HUMAN_LABELS: Counter()},
        images_not_selected=0,
        has_metadata=np.ones(len(images), bool),
    )


def labels_of(joined: JoinedShard) -> list[list[tuple[int, float]]]:
    labels = joined.annotations[Table.HUMAN_LABELS]
    pairs = [(row["label"].item(), row["confidence"].item()) for row in labels.rows]
    return [pairs[start:end] for start, end in zip(labels.offsets[:-1], labels.offsets[1:], strict=True)]


@pytest.mark.parametrize("images", [[[(1, 0), (2, 1)], [(1, 1), (2, 0)]], [[(1, 0), (1, 0)], [(1, 1), (1, 1)]]])
def test_labels_that_agree_stay(images: list[list[tuple[int, float]]]) -> None:
    joined = shard(images)
    assert resolve_label_conflicts(joined) is joined


def test_a_class_that_is_present_and_absent_is_present() -> None:
    resolved = resolve_label_conflicts(shard([[(1, 0), (2, 0), (1, 1)], [(1, 0)], [(3, 1), (3, 0), (3, 0)]]))
    assert labels_of(resolved) == [[(2, 0), (1, 1)], [(1, 0)], [(3, 1)]]
    assert resolved.dropped[Table.HUMAN_LABELS] == {Drop.PRESENT_AND_ABSENT: 3}
