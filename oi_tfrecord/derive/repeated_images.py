"""Images that several inputs have, found by their indexes."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from oi_tfrecord.derive.shard import DerivedJob
from oi_tfrecord.records.sharding import overlapping_shards, shard_of


@dataclasses.dataclass(frozen=True)
class RepeatedImages:
    """Records of a shard whose images an earlier source has.

    Attributes:
        source, shard: the place of the shard: number in the list of sources, and number in its split.
        records: int64 array, their numbers in the shard.
        path: of the shard.
        image_id: of the first of them, as a number.
        first_path: of the shard that has it first.
    """

    source: int
    shard: int
    records: np.ndarray
    path: str
    image_id: int
    first_path: str


def find_repeated(sources: Sequence[tuple[DerivedJob, int]], part: int, parts: int) -> Iterator[RepeatedImages]:
    """Finds the images that more than one source has.

    Args:
        sources: (job, number of the source in it), those first whose records are to be kept.
        part, parts: which part of the hashes is looked at, as if it were a shard of so many.

    Yields:
        Per shard, records that are there again, in the order of the sources.
    """
    columns: list[tuple[np.ndarray, ...]] = []
    for number, (job, source) in enumerate(sources):
        for shard in overlapping_shards(part, parts, len(job.sources[source])):
            index = job.index.read(source, shard)
            records = np.flatnonzero(shard_of(index.hashes, parts) == part)
            count = len(records)
            columns.append((index.image_ids[records], np.full(count, number), np.full(count, shard), records))
    image_ids, numbers, shards, records = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.argsort(image_ids, kind="stable")
    ordered = image_ids[order]
    is_again = np.zeros(len(order), bool)
    is_again[1:] = ordered[1:] == ordered[:-1]
    again = np.sort(order[is_again])
    for number, shard in dict.fromkeys(zip(numbers[again].tolist(), shards[again].tolist(), strict=True)):
        own = again[(numbers[again] == number) & (shards[again] == shard)]
        image_id = image_ids[own[0]]
        first = order[np.searchsorted(ordered, image_id)]
        yield RepeatedImages(
            source=number,
            shard=shard,
            records=records[own],
            path=_path(sources[number], shard),
            image_id=int(image_id),
            first_path=_path(sources[numbers[first]], int(shards[first])),
        )


def _path(source: tuple[DerivedJob, int], shard: int) -> str:
    job, number = source
    return job.sources[number][shard]
