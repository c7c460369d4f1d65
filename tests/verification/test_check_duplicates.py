import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.verification.check_duplicates import BUCKETS, find_shared, find_shared_image, split_ids
from oi_tfrecord.verification.check_record import RecordRules
from oi_tfrecord.verification.check_shard import ShardTask
from oi_tfrecord.verification.faults import FaultKind

ids_of_tasks = st.lists(st.lists(st.integers(0, (1 << 64) - 1) | st.integers(0, 5), max_size=20), max_size=6)


@given(ids_of_tasks=ids_of_tasks)
def test_ids_of_two_shards_are_found(ids_of_tasks: list[list[int]]) -> None:
    buckets: dict[int, list[tuple[int, bytes]]] = {}
    for task, ids in enumerate(ids_of_tasks):
        for bucket, piece in split_ids(np.array(ids, np.uint64)):
            assert 0 <= bucket < BUCKETS
            buckets.setdefault(bucket, []).append((task, piece))
    found = {
        (task, number)
        for pieces in buckets.values()
        for task, data in find_shared(pieces)
        for number in np.frombuffer(data, np.uint64).tolist()
    }
    expected = {
        (task, number)
        for task, ids in enumerate(ids_of_tasks)
        for number in ids
        if any(number in others for other, others in enumerate(ids_of_tasks) if other != task)
    }
    assert found == expected


def test_8_bytes_per_image_are_handed_on() -> None:
    pieces = dict(split_ids(np.arange(1000, dtype=np.uint64)))
    assert sum(map(len, pieces.values())) == 8000
    assert len(pieces) == BUCKETS


def test_each_shard_but_the_first_has_one_fault() -> None:
    task = ShardTask("train", 0, "folder/a", -1, -1, RecordRules(ours=False), None)
    tasks = [task, dataclasses.replace(task, number=1, path="folder/b")]
    assert list(find_shared_image(b"x", [(0, 1, 10), (0, 2, 20)], tasks)) == []
    [fault] = find_shared_image(b"x", [(1, 3, 30), (0, 1, 10), (1, 4, 40)], tasks)
    assert (fault.file, fault.record, fault.offset, fault.image_id) == ("b", 3, 30, "x")
    assert (fault.kind, fault.detail) == (FaultKind.DUPLICATE_IMAGE, "also in a, record 1 at byte 10")
