"""Finds images that are in two shards: with 8 bytes for each image, and a bucket of the images at a time."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.openimages.image_id import hash_ids, id_key
from oi_tfrecord.records.example_reader import ExampleError, parse_example
from oi_tfrecord.records.sharding import shard_of
from oi_tfrecord.verification.check_shard import ShardTask
from oi_tfrecord.verification.faults import DatasetFault, FaultKind, Finding, RecordPlace, fault_of_record
from oi_tfrecord.verification.scan_damaged import scan_records

BUCKETS = 64

Place = tuple[int, int, int]
"""Number of the task, number of the record, byte offset; they go through a shuffle."""


def split_ids(ids: np.ndarray) -> Iterator[tuple[int, bytes]]:
    """Yields (bucket, its ids as bytes) of the ids of a shard, each id once.

    Args:
        ids: uint64 array [n], see `id_key`.
    """
    once = np.unique(ids)
    buckets = shard_of(hash_ids(once), BUCKETS)
    for bucket in np.unique(buckets).tolist():
        yield bucket, once[buckets == bucket].tobytes()


def find_shared(pieces: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, bytes]]:
    """Yields (task, ids as bytes) of the ids of a bucket that several tasks have.

    Args:
        pieces: (task, ids of the bucket as bytes, each id once).
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


def locate_images(task: ShardTask, pieces: Iterable[bytes]) -> Iterator[tuple[bytes, Place]]:
    """Yields (ImageID, place) of the records of a shard that have one of some ids; the shard is read again.

    Args:
        task: the shard.
        pieces: the ids as bytes.
    """
    searched = {int(number) for data in pieces for number in np.frombuffer(data, np.uint64).tolist()}
    with storage.open_read(task.path) as stream:
        for scanned in scan_records(stream):
            if scanned.data is None:
                continue
            try:
                image_id = task.rules.image_id_of(parse_example(scanned.data))
            except ExampleError:
                continue
            if image_id and id_key(image_id) in searched:
                yield image_id, (task.number, scanned.record, scanned.offset)


def find_shared_image(image_id: bytes, places: Iterable[Place], tasks: Sequence[ShardTask]) -> Iterator[DatasetFault]:
    """Yields a fault for each shard but the first that has an image; `check_shard` reports repetitions in a shard.

    Args:
        image_id: the ImageID.
        places: of the records that have it.
        tasks: the shards, by number.
    """
    first_of_task: dict[int, Place] = {}
    for place in sorted(places):
        first_of_task.setdefault(place[0], place)
    if not first_of_task:
        return
    (first_task, record, offset), *repeated = first_of_task.values()
    detail = f"also in {tasks[first_task].file}, record {record} at byte {offset}"
    for number, again, again_offset in repeated:
        finding = Finding(FaultKind.DUPLICATE_IMAGE, "", detail)
        record_place = RecordPlace(again, again_offset, image_id)
        yield fault_of_record(tasks[number].split, tasks[number].file, record_place, finding)
