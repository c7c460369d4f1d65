"""Writes one shard of a derived split from the records of its sources."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import BinaryIO

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.dataset.accounts import ShardAccount, TableAccount, encode_account
from oi_tfrecord.dataset.shard_index import write_index
from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.derive.record_index import COUNTED, IndexFolder, count_rows
from oi_tfrecord.derive.relabel import encode_values, is_same, relabel
from oi_tfrecord.errors import ConfigError, InputError
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.class_counts import pack_mapping
from oi_tfrecord.records.example_reader import Values, parse_example
from oi_tfrecord.records.keys import SOURCE_ID_KEY
from oi_tfrecord.records.record_counts import RecordCounts
from oi_tfrecord.records.shard_names import shard_file
from oi_tfrecord.records.shard_writer import WrittenShard, write_shard
from oi_tfrecord.records.sharding import overlapping_shards, shard_of
from oi_tfrecord.records.source_ids import number_images
from oi_tfrecord.records.tfrecord import FramingError, read_records


@dataclasses.dataclass(frozen=True)
class DerivedJob:
    """What all shards of a derived split have in common.

    Attributes:
        split: its name.
        output_dir: folder of the shard files.
        work: folder of unfinished files.
        sources: paths of the shards of each source, in order.
        by: where the classes of an image come from, a key of `record_index.CLASSES_BY`.
        reason: why records are left out.
        num_shards: number of shards; 0 until it is chosen.
        label_ids: MID to new label map id; None leaves records as they are.
        keys: keys that are kept; None keeps all.
        number_source_ids: whether images get new numeric source ids.
        expanded_boxes: label map id to boxes that the Object Detection API makes of a box.
        shard_sha256: whether to compute the SHA-256 of each shard file.
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
    expanded_boxes: Mapping[int, int] = dataclasses.field(default_factory=dict)
    shard_sha256: bool = False

    @property
    def index(self) -> IndexFolder:
        """The indexes of the sources' shards."""
        return IndexFolder(storage.join(self.work.path, "index"), self.work.temporary)


@dataclasses.dataclass(frozen=True)
class ShardPlaces:
    """The places of the records of an output shard in the input shards, in hash order.

    Attributes:
        hashes: uint64 array [records].
        source, shard, offset: int64 arrays [records].
        left_out: int64 array [1 + tables], numbers of images, and of rows of each table of COUNTED, that are not taken.
    """

    hashes: np.ndarray
    source: np.ndarray
    shard: np.ndarray
    offset: np.ndarray
    left_out: np.ndarray


@dataclasses.dataclass(frozen=True)
class DerivedRecord:
    """A record of an output shard.

    Attributes:
        features: its values by key.
        data: the serialised Example.
    """

    features: Mapping[str, Values]
    data: bytes


def write_derived_shard(
    job: DerivedJob,
    shard: int,
    on_progress: Callable[[int, int, float], None] = lambda records, size, share: None,
    *,
    has_spare_cores: bool = True,
) -> ShardAccount:
    """Writes one shard file and its index, and its account into the work folder, so that a resumed run keeps the shard.

    Args:
        job: the derived split.
        shard: number of the shard.
        on_progress: called after each record with the records and bytes so far, and the share of the shard done.
        has_spare_cores: whether no other shard needs the cores that this one leaves.
    """
    places = find_places(job, shard)
    source_ids, moved = _number_images(job, places.hashes, shard)
    counts = RecordCounts()
    made = _make_records(job, places, source_ids)
    records = _count_records(made, len(places.hashes), job.expanded_boxes, counts, on_progress)
    name = shard_file(job.split, shard, job.num_shards)
    path = storage.join(job.output_dir, name)
    written = write_shard(
        path, job.work.temporary, records, has_spare_cores=has_spare_cores, with_sha256=job.shard_sha256
    )
    write_index(job.output_dir, name, written.lengths, job.work.temporary)
    account = _make_account(job, shard, written, counts, places.left_out)
    if job.number_source_ids:
        account = dataclasses.replace(account, image_counts={"source_id_moved": int(moved.sum())})
    job.work.write_result(shard, encode_account(account))
    return account


def find_places(job: DerivedJob, shard: int) -> ShardPlaces:
    """Returns the places of the records of an output shard; each image is taken from one source only."""
    columns: list[tuple[np.ndarray, ...]] = []
    left_out = np.zeros(1 + len(COUNTED), np.int64)
    for source, paths in enumerate(job.sources):
        for input_shard in overlapping_shards(shard, job.num_shards, len(paths)):
            index = job.index.read(source, input_shard)
            hashes = index.hashes
            own = shard_of(hashes, job.num_shards) == shard
            keep_mask = own & job.index.read_selection(source, input_shard, len(own))
            rows = index.rows[own & ~keep_mask]
            left_out += np.concatenate([[len(rows)], rows.sum(axis=0)])
            count = int(keep_mask.sum())
            columns.append(
                (hashes[keep_mask], np.full(count, source), np.full(count, input_shard), index.offsets[keep_mask])
            )
    hashes, sources, shards, offsets = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.argsort(hashes, kind="stable")
    return ShardPlaces(hashes[order], sources[order], shards[order], offsets[order], left_out)


def _number_images(job: DerivedJob, hashes: np.ndarray, shard: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the numeric source id of each image, and whether it is not the number of the image's own hash."""
    if job.number_source_ids:
        return number_images(hashes, shard, job.num_shards)
    return np.zeros(len(hashes), np.int64), np.zeros(len(hashes), bool)


def _make_records(job: DerivedJob, places: ShardPlaces, source_ids: np.ndarray) -> Iterator[DerivedRecord]:
    """Yields the records of an output shard; a record that does not change keeps its bytes."""
    for (path, data), source_id in zip(_read_records(job, places), source_ids.tolist(), strict=True):
        features = parse_example(data)
        changed = _change(features, job, path, source_id)
        same = is_same(features, changed)
        yield DerivedRecord(changed, data if same else encode_values(changed))


def _change(features: Mapping[str, Values], job: DerivedJob, path: str, source_id: int) -> Mapping[str, Values]:
    """Returns a record with the ids, keys and source id of the derived split."""
    if job.label_ids is None:
        return features
    try:
        changed = relabel(features, job.label_ids, job.keys)
    except ConfigError as error:
        raise InputError(path, error.problem, "Run `oi-tfrecord verify` on its folder") from error
    if job.number_source_ids:
        changed[SOURCE_ID_KEY] = [str(source_id).encode()]
    return changed


def _count_records(
    records: Iterable[DerivedRecord],
    total: int,
    expanded_boxes: Mapping[int, int],
    counts: RecordCounts,
    on_progress: Callable[[int, int, float], None],
) -> Iterator[tuple[bytes]]:
    """Yields the data of each record for the writer, and adds the record to `counts`."""
    size = 0
    for record in records:
        counts.add(record.features, expanded_boxes)
        size += len(record.data)
        on_progress(counts.records, size, counts.records / total)
        yield (record.data,)


def _make_account(
    job: DerivedJob, shard: int, written: WrittenShard, counts: RecordCounts, left_out: np.ndarray
) -> ShardAccount:
    images_left_out, *rows_left_out = left_out.tolist()
    return ShardAccount(
        shard=shard,
        file=shard_file(job.split, shard, job.num_shards),
        size=written.size,
        crc32c=written.crc32c,
        sha256=written.sha256,
        records=written.records,
        images_selected=written.records,
        images_not_selected=images_left_out,
        images_rejected={},
        image_bytes=counts.image_bytes,
        images_reencoded={},
        tables={
            str(table): TableAccount(count, {}, {job.reason: dropped} if dropped else {})
            for table, count, dropped in zip(COUNTED, count_rows(counts), rows_left_out, strict=True)
        },
        boxes_per_class=pack_mapping(counts.boxes_per_class),
        positive_per_class=pack_mapping(counts.positive_per_class),
        negative_per_class=pack_mapping(counts.negative_per_class),
        sources={str(Table(table)): dict(sorted(sources.items())) for table, sources in counts.sources.items()},
        unknown_flags=0,
        most_boxes=counts.most_boxes,
        most_expanded_boxes=counts.most_expanded_boxes,
        images_over_100_boxes=counts.images_over_100_boxes,
        image_counts={},
    )


def _read_records(job: DerivedJob, places: ShardPlaces) -> Iterator[tuple[str, bytes]]:
    """Yields (path of the shard, serialised Example) of each record."""
    with _OpenShards(job.sources) as shards:
        triples = zip(places.source.tolist(), places.shard.tolist(), places.offset.tolist(), strict=True)
        for source, shard, offset in triples:
            path = job.sources[source][shard]
            stream = shards.open(source, shard)
            stream.seek(offset)
            try:
                _, data = next(read_records(stream))
            except (FramingError, StopIteration) as error:
                raise InputError(path, "was changed while it was read", "Run the same command again") from error
            yield path, data


class _OpenShards:
    """The files of input shards: of each source one is open, as the shards of a source follow each other."""

    def __init__(self, sources: Sequence[Sequence[str]]):
        self._sources = sources
        self._open: dict[int, tuple[int, BinaryIO]] = {}

    def __enter__(self) -> "_OpenShards":
        return self

    def open(self, source: int, shard: int) -> BinaryIO:
        if source in self._open and self._open[source][0] == shard:
            return self._open[source][1]
        self._close(source)
        stream = storage.open_read(self._sources[source][shard])
        self._open[source] = (shard, stream)
        return stream

    def _close(self, source: int) -> None:
        if source in self._open:
            self._open.pop(source)[1].close()

    def __exit__(self, *_: object) -> None:
        for source in list(self._open):
            self._close(source)
