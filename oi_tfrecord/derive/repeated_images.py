"""Finds images that several sources have, in the indexes of their shards."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from oi_tfrecord.derive.shard import DerivedJob
from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.image_id import describe_collision, format_id
from oi_tfrecord.records.sharding import overlapping_shards, shard_of


@dataclasses.dataclass(frozen=True)
class RepeatedImages:
    """Records of a shard whose images an earlier source has.

    Attributes:
        source, shard: number of the source in the list of sources, and number of the shard in its split.
        records: int64 array, numbers of the records in the shard.
        path: of the shard.
        image_id: ImageID of the first of the records.
        first_path: of the earlier shard that has this image.
    """

    source: int
    shard: int
    records: np.ndarray
    path: str
    image_id: str
    first_path: str


def find_repeated(sources: Sequence[tuple[DerivedJob, int]], part: int, parts: int) -> Iterator[RepeatedImages]:
    """Finds the images that more than one source has.

    Args:
        sources: (job, number of the source in the job), in order; records of an earlier source are to be kept.
        part: which part of the hashes is searched, from 0.
        parts: number of parts; each is as large as a shard of so many.

    Yields:
        For each shard, the records whose images an earlier source has, in the order of the sources.

    Raises:
        InputError: if two sources have images of different names that have the same key.
    """
    image_ids, names, numbers, shards, records = _read_part(sources, part, parts)
    # A stable sort: among the records of an image, the one of the earliest source comes first.
    order = np.argsort(image_ids, kind="stable")
    ordered = image_ids[order]
    is_repeated = np.zeros(len(order), bool)
    is_repeated[1:] = ordered[1:] == ordered[:-1]
    repeated = np.sort(order[is_repeated])
    firsts = order[np.searchsorted(ordered, image_ids[repeated])]
    for own, first in zip(repeated.tolist(), firsts.tolist(), strict=True):
        if names[own] != names[first]:
            _check_same_image(image_ids[own], names[first], names[own], _path(sources[numbers[own]], int(shards[own])))
    for number, shard in dict.fromkeys(zip(numbers[repeated].tolist(), shards[repeated].tolist(), strict=True)):
        own = repeated[(numbers[repeated] == number) & (shards[repeated] == shard)]
        first = order[np.searchsorted(ordered, image_ids[own[0]])]
        job, source = sources[number]
        yield RepeatedImages(
            source=number,
            shard=shard,
            records=records[own],
            path=_path(sources[number], shard),
            image_id=job.index.read(source, shard).id_texts(records[own[:1]])[0],
            first_path=_path(sources[numbers[first]], int(shards[first])),
        )


def _read_part(
    sources: Sequence[tuple[DerivedJob, int]], part: int, parts: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns key, name, number of the source, shard and record of each image of a part of the hashes.

    The name is empty in shards whose ImageIDs are all published ones, which their keys hold.
    """
    columns: list[tuple[np.ndarray, ...]] = []
    for number, (job, source) in enumerate(sources):
        for shard in overlapping_shards(part, parts, len(job.sources[source])):
            index = job.index.read(source, shard)
            records = np.flatnonzero(shard_of(index.hashes, parts) == part)
            count = len(records)
            names = index.names[records] if len(index.names) else np.zeros(count, "S1")
            columns.append((index.image_ids[records], names, np.full(count, number), np.full(count, shard), records))
    image_ids, names, numbers, shards, records = (np.concatenate(column) for column in zip(*columns, strict=True))
    return image_ids, names, numbers, shards, records


def _check_same_image(key: int, first: bytes, second: bytes, path: str) -> None:
    """Raises InputError if the names of two images with the same key differ; an empty name is that of the key."""
    first_id, second_id = (name.decode() or format_id(key) for name in (first, second))
    if first_id != second_id:
        raise InputError(path, *describe_collision(first_id, second_id))


def _path(source: tuple[DerivedJob, int], shard: int) -> str:
    job, number = source
    return job.sources[number][shard]
