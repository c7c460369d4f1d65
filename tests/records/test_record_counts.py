import json
from collections import Counter

import numpy as np

from oi_tfrecord.records.record_counts import RecordCounts, describe_keys


def record(boxes: list[int], labels: list[int], confidence: list[float]) -> dict:
    return {
        "image/encoded": [b"12345"],
        "image/object/bbox/ymin": np.zeros(len(boxes), np.float32),
        "image/object/class/label": np.array(boxes, np.int64),
        "image/object/source": [b"xclick"] * len(boxes),
        "image/class/label": np.array(labels, np.int64),
        "image/class/confidence": np.array(confidence, np.float32),
        "image/empty": None,
    }


def test_the_contents_of_records_are_counted() -> None:
    counts = RecordCounts()
    counts.add(record([1, 2, 2], [1, 2], [1, 0]))
    counts.add(record([], [3], [0.5]))
    counts.add(record([1] * 101, [], []))
    assert (counts.records, counts.image_bytes, counts.boxes, counts.labels) == (3, 15, 104, 3)
    assert (counts.most_boxes, counts.images_over_100_boxes) == (101, 1)
    assert counts.boxes_per_class == {1: 102, 2: 2}
    assert (counts.positive_per_class, counts.negative_per_class) == ({1: 1, 3: 1}, {2: 1})
    assert counts.sources == {"boxes": {"xclick": 104}}
    assert (counts.keys["image/object/source"], counts.filled["image/object/source"]) == (3, 2)
    assert (counts.keys["image/empty"], counts.filled["image/empty"]) == (3, 0)


def test_expanded_boxes_are_those_of_the_image_with_most_after_the_expansion() -> None:
    counts = RecordCounts()
    counts.add(record([1, 1, 1], [], []), {2: 5})
    assert (counts.most_boxes, counts.most_expanded_boxes) == (3, 3)
    counts.add(record([1, 2], [], []), {2: 5})
    assert (counts.most_boxes, counts.most_expanded_boxes) == (3, 6)
    other = RecordCounts(most_boxes=4, most_expanded_boxes=5)
    other.merge(counts)
    assert (other.most_boxes, other.most_expanded_boxes) == (4, 6)


def test_counts_add_up_in_any_order_and_survive_json() -> None:
    parts = [record([1, 2], [1], [1]), record([3], [], []), record([2], [2, 2], [0, 1])]
    together = RecordCounts()
    merged = RecordCounts()
    for part in parts:
        together.add(part)
    for part in reversed(parts):
        alone = RecordCounts()
        alone.add(part)
        merged.merge(RecordCounts.from_values(json.loads(json.dumps(alone.to_values()))))
    assert merged == together


def test_boxes_of_third_party_records_are_counted_by_any_of_their_keys() -> None:
    counts = RecordCounts()
    counts.add({"image/object/class/text": [b"a", b"b"]})
    assert counts.boxes == 2


def test_keys_are_listed_with_their_readers() -> None:
    counts = RecordCounts(records=2, keys=Counter({"image/encoded": 2, "x": 1}), filled=Counter({"x": 1}))
    rows = {row["key"]: row for row in describe_keys(counts)}
    assert rows["image/encoded"]["readers"] == ["Object Detection API", "Model Garden"]
    assert (rows["x"]["known"], rows["x"]["records"], rows["x"]["filled"]) == (False, 1, 1)
    assert rows["image/object/weight"]["records"] == 0
