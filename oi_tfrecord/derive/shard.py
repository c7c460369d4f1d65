"""Writes one shard of a dataset that is made of records that others have."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import BinaryIO

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.dataset.accounts import ShardAccount, TableAccount, encode_account
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.derive.record_index import COUNTED, IndexFolder
from oi_tfrecord.derive.relabel import encode_values, is_same, relabel
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.example_reader import Values, parse_example
from oi_tfrecord.records.keys import SOURCE_ID_KEY
from oi_tfrecord.records.record_counts import RecordCounts
from oi_tfrecord.records.shard_names import shard_file
from oi_tfrecord.records.shard_writer import write_shard
from oi_tfrecord.records.sharding import overlapping_shards, shard_of
from oi_tfrecord.records.source_ids import number_images
from oi_tfrecord.records.tfrecord import FramingError, read_records


@dataclasses.dataclass(frozen=True)
class DerivedJob:
    """What all shards of a derived split have in common.

    Attributes:
        split: its name.
        output_dir: folder of the shard files.
        work: folder of what is unfinished.
        sources: paths of the shards of each input, in order.
        by: what the classes of an image are taken from (`record_index.CLASSES_BY`).
        reason: why records are left out.
        num_shards: number of shards; 0 until it is known.
        label_ids: MID to the id it gets; None leaves records as they are.
        keys: keys that are kept; None keeps all.
        number_source_ids: whether images get numeric source ids anew.
    """

    split: str
    output_dir: str
    work: WorkFolder
    sources: tuple[tuple[str, ...], ...]
    by: str
    reason: str
    num_shards: int = 0
    label_ids: Mapping[bytes, int] | None = None
    keys: frozenset[str] | None = None
    number_source_ids: bool = False

    @property
    def index(self) -> IndexFolder:
        """The indexes of the sources' shards."""
        return IndexFolder(storage.join(self.work.path, "index"), self.work.temporary)


@dataclasses.dataclass(frozen=True)
class ShardPlaces:
    """Where the records of an output shard are, in hash order.

    Attributes:
        hashes: uint64 array [records].
        source, shard, offset: int64 arrays [records].
        left_out: int64 array [1 + tables], images, and rows of each table of COUNTED, that are not taken.
    """

    hashes: np.ndarray
    source: np.ndarray
    shard: np.ndarray
    offset: np.ndarray
    left_out: np.ndarray


def find_places(job: DerivedJob, shard: int) -> ShardPlaces:
    """Returns where the records of an output shard are; no image is taken from two sources."""
    columns: list[tuple[np.ndarray, ...]] = []
    left_out = np.zeros(1 + len(COUNTED), np.int64)
    for source, paths in enumerate(job.sources):
        for their_shard in overlapping_shards(shard, job.num_shards, len(paths)):
            index = job.index.read(source, their_shard)
            hashes = index.hashes
            own = shard_of(hashes, job.num_shards) == shard
            kept = own & job.index.read_selection(source, their_shard, len(own))
            rows = index.rows[own & ~kept]
            left_out += np.concatenate([[len(rows)], rows.sum(axis=0)])
            count = int(kept.sum())
            columns.append((hashes[kept], np.full(count, source), np.full(count, their_shard), index.offsets[kept]))
    hashes, sources, shards, offsets = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.argsort(hashes, kind="stable")
    return ShardPlaces(hashes[order], sources[order], shards[order], offsets[order], left_out)


def write_derived_shard(
    job: DerivedJob,
    shard: int,
    on_progress: Callable[[int, int, float], None] = lambda records, size, share: None,
    *,
    has_spare_cores: bool = True,
) -> ShardAccount:
    """Writes one shard file, and its result beside it.

    Args:
        job: the derived split.
        shard: number of the shard.
        on_progress: called after each record with the records and bytes so far, and the share of the shard done.
        has_spare_cores: whether no other shard needs the cores that this one leaves.

    Returns:
        The result, which is also stored, so that a rerun need not do the shard again.
    """
    places = find_places(job, shard)
    numbers = moved = np.zeros(len(places.hashes), np.int64)
    if job.number_source_ids:
        numbers, moved = number_images(places.hashes, shard, job.num_shards)
    counts = RecordCounts()

    def examples() -> Iterator[Sequence[bytes]]:
        size = 0
        for number, (path, data) in enumerate(_read(job, places)):
            features = parse_example(data)
            if job.label_ids is not None:
                changed = _change(job, features, path, int(numbers[number]))
                if not is_same(features, changed):
                    features, data = changed, encode_values(changed)
            counts.add(features)
            size += len(data)
            on_progress(counts.records, size, (number + 1) / len(places.hashes))
            yield (data,)

    name = shard_file(job.split, shard, job.num_shards)
    path = storage.join(job.output_dir, name)
    written = write_shard(path, job.work.temporary, examples(), has_spare_cores=has_spare_cores)
    image_counts = {"source_id_moved": int(moved.sum())} if job.number_source_ids else {}
    images_left_out, *rows_left_out = places.left_out.tolist()
    result = ShardAccount(
        shard=shard,
        file=name,
        size=written.size,
        sha256=written.sha256,
        records=written.records,
        images_selected=written.records,
        images_not_selected=images_left_out,
        images_rejected={},
        image_bytes=counts.image_bytes,
        images_reencoded={},
        tables={
            str(table): TableAccount(count, {}, {job.reason: left_out} if left_out else {})
            for table, count, left_out in zip(COUNTED, count_rows(counts), rows_left_out, strict=True)
        },
        boxes_per_class=_texts(counts.boxes_per_class),
        positive_per_class=_texts(counts.positive_per_class),
        negative_per_class=_texts(counts.negative_per_class),
        sources={str(Table(table)): dict(sorted(sources.items())) for table, sources in counts.sources.items()},
        unknown_flags=0,
        most_boxes=counts.most_boxes,
        images_over_100_boxes=counts.images_over_100_boxes,
        image_counts=image_counts,
    )
    job.work.write_result(shard, encode_account(result))
    return result


def count_rows(counts: RecordCounts) -> tuple[int, int, int]:
    """Returns the rows of each table of COUNTED."""
    return counts.boxes, counts.labels, counts.machine_labels


def _change(job: DerivedJob, features: Mapping[str, Values], path: str, number: int) -> dict[str, Values]:
    assert job.label_ids is not None
    try:
        changed = relabel(features, job.label_ids, job.keys)
    except ConfigError as error:
        raise InputError(path, error.problem, "Run `oi-tfrecord verify` on its folder") from error
    if job.number_source_ids:
        changed[SOURCE_ID_KEY] = [str(number).encode()]
    return changed


def _read(job: DerivedJob, places: ShardPlaces) -> Iterator[tuple[str, bytes]]:
    """Yields (path, data) of each record; a source's shards follow each other, so one file of each is open."""
    streams: dict[int, tuple[int, BinaryIO]] = {}
    with contextlib.ExitStack() as stack:
        stack.callback(lambda: [stream.close() for _, stream in streams.values()])
        triples = zip(places.source.tolist(), places.shard.tolist(), places.offset.tolist(), strict=True)
        for source, shard, offset in triples:
            path = job.sources[source][shard]
            if source not in streams or streams[source][0] != shard:
                if source in streams:
                    streams[source][1].close()
                streams[source] = (shard, storage.open_read(path))
            stream = streams[source][1]
            stream.seek(offset)
            try:
                _, data = next(read_records(stream))
            except (FramingError, StopIteration) as error:
                raise InputError(path, "was changed while it was read", "Run the same command again") from error
            yield path, data


def _texts(counts: Mapping[int, int]) -> dict[str, int]:
    return {str(label): count for label, count in sorted(counts.items())}
