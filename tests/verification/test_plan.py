import pathlib

import pytest

from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.verification.faults import FaultKind
from oi_tfrecord.verification.plan import check_label_map, plan_shards


def touch(folder: pathlib.Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_shards_of_others_are_planned_in_order_of_their_splits(tmp_path: pathlib.Path) -> None:
    touch(tmp_path, "b.record-00000-of-00001", "a-00001-of-00002.tfrecord", "a-00000-of-00002.tfrecord")
    tasks, faults = plan_shards(str(tmp_path), find_splits(str(tmp_path)), None, decode=True, max_faults=7)
    assert [(task.number, task.split, task.file) for task in tasks] == [
        (0, "a", "a-00000-of-00002.tfrecord"),
        (1, "a", "a-00001-of-00002.tfrecord"),
        (2, "b", "b.record-00000-of-00001"),
    ]
    assert faults == []
    assert all(task.rules.decode and not task.rules.ours and task.max_faults == 7 for task in tasks)
    assert {(task.shard, task.num_shards, task.expected) for task in tasks} == {(-1, -1, None)}


def test_missing_and_mixed_shards_of_others_are_told(tmp_path: pathlib.Path) -> None:
    touch(tmp_path, "a-00000-of-00003", "a-00001-of-00002", "a-00000-of-00002")
    _, faults = plan_shards(str(tmp_path), find_splits(str(tmp_path)), None, decode=False, max_faults=7)
    assert [(fault.kind, fault.detail) for fault in faults] == [
        (FaultKind.SHARD_STALE, "there are shards of 2 and 3 in the folder"),
        (FaultKind.SHARD_MISSING, "shard 1 of 3 and 1 more is not there"),
    ]


@pytest.mark.parametrize(
    ("text", "is_needed", "told"),
    [
        (None, False, None),
        (None, True, "there is no such file"),
        (b'item { name: "a" id: 1 }', True, None),
        (b"item {", True, "Expected"),
        (b"\xff\xfe", True, "line 1: the text is not UTF-8"),
    ],
)
def test_a_label_map_is_read_or_a_fault(
    tmp_path: pathlib.Path, text: bytes | None, is_needed: bool, told: str | None
) -> None:
    path = tmp_path / "label_map.pbtxt"
    if text is not None:
        path.write_bytes(text)
    label_map, faults = check_label_map(str(path), is_needed)
    assert (label_map is not None) == (text is not None and told is None)
    assert [fault.kind for fault in faults] == ([] if told is None else [FaultKind.LABEL_MAP])
    assert told is None or told in faults[0].detail
