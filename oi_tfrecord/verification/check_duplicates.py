"""ImageIDs that are in two shards, found with 8 bytes per image and one bucket of them at a time."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.records.example_reader import ExampleError, image_id_of, parse_example
from oi_tfrecord.records.sharding import shard_of
from oi_tfrecord.verification.check_shard import ShardTask, id_number
from oi_tfrecord.verification.faults import Fault, FaultKind
from oi_tfrecord.verification.scan_damaged import scan_records

BUCKETS = 64

Place = tuple[int, int, int]
"""Task, record, byte offset."""


def split_ids(ids: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """Yields (bucket, its ids as bytes) of the ids of a shard, each id once.

    Args:
        ids: uint64 array [n]; see `check_shard`.
    """
    once = np.unique(ids)
    buckets = shard_of(hash_ids(once), BUCKETS)
    for bucket in np.unique(buckets).tolist():
        yield bucket, once[buckets == bucket].tobytes()


def find_shared(pieces: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yields (task, ids as bytes) of the ids of a bucket that other tasks have too.

    Args:
        pieces: (task, ids of the bucket, each once).
    """
    by_task = [(task, np.frombuffer(data, np.uint64)) for task, data in pieces]
    if not by_task:
        return
    every = np.sort(np.concatenate([ids for _, ids in by_task]))
    shared = np.unique(every[1:][every[1:] == every[:-1]])
    if not len(shared):
        return
    for task, ids in by_task:
        if len(own := np.intersect1d(ids, shared)):
            yield task, own.tobytes()


def locate(task: ShardTask, pieces: Iterable[bytes]) -> Iterator[tuple[bytes, Place]]:
    """Yields (ImageID, place) of the records of a shard that have one of the ids; the shard is read again."""
    wanted = {int(number) for data in pieces for number in np.frombuffer(data, np.uint64).tolist()}
    with storage.open_read(task.path) as stream:
        for scanned in scan_records(stream):
            if scanned.data is None:
                continue
            try:
                image_id = image_id_of(parse_example(scanned.data), task.rules.ours)
            except ExampleError:
                continue
            if image_id and id_number(image_id) in wanted:
                yield image_id, (task.number, scanned.record, scanned.offset)


def report(image_id: bytes, places: Iterable[Place], tasks: Sequence[ShardTask]) -> Iterator[Fault]:
    """Yields a fault for each shard but the first that has an image; within a shard `check_shard` told already."""
    first_of_task: dict[int, Place] = {}
    for place in sorted(places):
        first_of_task.setdefault(place[0], place)
    if not first_of_task:
        return
    (first_task, record, offset), *others = first_of_task.values()
    for number, other_record, other_offset in others:
        task = tasks[number]
        detail = f"also in {tasks[first_task].file}, record {record} at byte {offset}"
        name = image_id.decode("utf-8", "backslashreplace")
        yield Fault(task.split, task.file, other_record, other_offset, name, "", FaultKind.DUPLICATE_IMAGE, detail)
