import pathlib

from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.verification.faults import FaultKind
from oi_tfrecord.verification.plan import check_shard_files, find_shard_files, plan_shards


def touch(folder: pathlib.Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def test_third_party_shards_are_planned_in_order_of_their_splits(tmp_path: pathlib.Path) -> None:
    touch(tmp_path, "b.record-00000-of-00001", "a-00001-of-00002.tfrecord", "a-00000-of-00002.tfrecord")
    splits, files = find_splits(str(tmp_path)), find_shard_files(str(tmp_path))
    tasks = plan_shards(splits, files, None, decode=True, max_faults=7)
    assert [(task.number, task.split, task.file) for task in tasks] == [
        (0, "a", "a-00000-of-00002.tfrecord"),
        (1, "a", "a-00001-of-00002.tfrecord"),
        (2, "b", "b.record-00000-of-00001"),
    ]
    assert list(check_shard_files(splits, files)) == []
    assert all(task.rules.decode and not task.rules.ours and task.max_faults == 7 for task in tasks)
    assert {(task.shard, task.num_shards, task.expected) for task in tasks} == {(-1, -1, None)}


def test_missing_and_mixed_third_party_shards_are_faults(tmp_path: pathlib.Path) -> None:
    touch(tmp_path, "a-00000-of-00003", "a-00001-of-00002", "a-00000-of-00002")
    faults = check_shard_files(find_splits(str(tmp_path)), find_shard_files(str(tmp_path)))
    assert [(fault.kind, fault.detail) for fault in faults] == [
        (FaultKind.SHARD_STALE, "there are shards of 2 and 3 in the folder"),
        (FaultKind.SHARD_MISSING, "shard 1 of 3 and 1 more is not there"),
    ]
