"""The index of a shard: what a subset or a merge needs of its records, without their images."""

import dataclasses
import io
import json
from collections.abc import Callable, Mapping

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.dataset.splits import read_shard
from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.image_id import HEX_ID, format_id, hash_ids, id_keys
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.example_reader import ExampleError, Values, parse_example
from oi_tfrecord.records.keys import BOX_LABEL_KEY, LABEL_CONFIDENCE_KEY, LABEL_KEY
from oi_tfrecord.records.record_counts import RecordCounts
from oi_tfrecord.records.record_id import name_in
from oi_tfrecord.records.shard_names import parse_shard_file
from oi_tfrecord.records.sharding import shard_of
from oi_tfrecord.records.tfrecord import FramingError

CLASSES_BY = {"boxes": "boxes", "labels": "positive_labels"}
"""Where the classes of an image come from, to the column of the manifest that counts them."""

NO_CLASS = 0
"""Stands for the class of an image without classes; label maps begin at 1."""

COUNTED = (Table.BOXES, Table.HUMAN_LABELS, Table.MACHINE_LABELS)
"""Tables whose rows are counted for each record."""

_REMEDY = "Run `oi-tfrecord verify` on its folder, and convert again with --overwrite"


@dataclasses.dataclass(frozen=True)
class ShardIndex:
    """The records of a shard, in order.

    Attributes:
        image_ids: uint64 array [records], keys of the ImageIDs.
        offsets: int64 array [records], byte offset of each record's header.
        lengths: int64 array [records], bytes of its data.
        class_starts, class_ids: int64 arrays [records + 1] and [any], ids of the classes of each record, ascending
            within a record; NO_CLASS where it has none.
        rows: int64 array [records, 3], boxes, labels and machine labels of each (COUNTED).
        names: bytes array [records] of the ImageIDs; empty if all are published ones, which their keys hold.
    """

    image_ids: np.ndarray
    offsets: np.ndarray
    lengths: np.ndarray
    class_starts: np.ndarray
    class_ids: np.ndarray
    rows: np.ndarray
    names: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.bytes_))

    def id_texts(self, records: np.ndarray) -> list[str]:
        """Returns the ImageIDs of the records at indices, or of those that a bool array marks."""
        if len(self.names):
            return [name.decode() for name in self.names[records].tolist()]
        return [format_id(key) for key in self.image_ids[records].tolist()]

    @property
    def hashes(self) -> np.ndarray:
        """uint64 array [records], ascending."""
        return hash_ids(self.image_ids)


def count_rows(counts: RecordCounts) -> tuple[int, int, int]:
    """Returns the rows of each table of COUNTED."""
    return counts.boxes, counts.labels, counts.machine_labels


def index_shard(
    path: str, by: str, on_progress: Callable[[int, int], None] = lambda records, size: None
) -> tuple[ShardIndex, RecordCounts]:
    """Reads a shard that `oi-tfrecord` wrote, and checks its CRCs.

    Args:
        path: of the shard.
        by: where the classes of an image come from, a key of CLASSES_BY.
        on_progress: called after each record with the records and bytes so far.

    Returns:
        Its index, and counts of its records.

    Raises:
        InputError: if it is damaged, or its records are not those of this shard in hash order.
    """
    counts = RecordCounts()
    names: list[bytes] = []
    places: list[tuple[int, int]] = []
    classes: list[list[int]] = []
    totals = [count_rows(counts)]
    try:
        for offset, data in read_shard(path):
            features = parse_example(data)
            names.append(_read_image_id(features, path, len(places)))
            places.append((offset, len(data)))
            classes.append(find_classes(features, by) or [NO_CLASS])
            counts.add(features)
            totals.append(count_rows(counts))
            on_progress(counts.records, offset)
    except (FramingError, ExampleError) as error:
        raise InputError(path, str(error), _REMEDY) from error
    offsets, lengths = np.array(places, np.int64).reshape(-1, 2).T
    index = ShardIndex(
        image_ids=id_keys(names),
        offsets=offsets,
        lengths=lengths,
        class_starts=np.cumsum([0, *map(len, classes)], dtype=np.int64),
        class_ids=np.array([label_id for ids in classes for label_id in ids], np.int64),
        rows=np.diff(np.array(totals, np.int64), axis=0),
        names=np.array([] if all(map(HEX_ID.fullmatch, names)) else names, np.bytes_),
    )
    _check_order(path, index)
    return index, counts


def _read_image_id(features: Mapping[str, Values], path: str, record: int) -> bytes:
    """Returns the ImageID of a record, by its file name, as source ids may be numeric."""
    if not (image_id := name_in(features)):
        raise InputError(path, f"record {record} names no ImageID", _REMEDY)
    return image_id


def find_classes(features: Mapping[str, Values], by: str) -> list[int]:
    """Returns the ids of a record's classes, ascending: of its boxes, or of its positive image labels."""
    labels = features.get(BOX_LABEL_KEY if by == "boxes" else LABEL_KEY)
    if not isinstance(labels, np.ndarray):
        return []
    if by == "labels":
        confidence = features.get(LABEL_CONFIDENCE_KEY)
        if not isinstance(confidence, np.ndarray) or len(confidence) != len(labels):
            return []
        labels = labels[confidence > 0]
    return [int(label) for label in np.unique(labels)]


def _check_order(path: str, index: ShardIndex) -> None:
    hashes = index.hashes
    if (hashes[1:] <= hashes[:-1]).any():
        raise InputError(path, "has records that are not in hash order, or an image twice", _REMEDY)
    named = parse_shard_file(path.rpartition("/")[2])
    if named is None or (shard_of(hashes, named[2]) != named[1]).any():
        raise InputError(path, "holds records of another shard", _REMEDY)


@dataclasses.dataclass(frozen=True)
class IndexFolder:
    """The folder of the indexes of all input shards, and of the choice of their records.

    Attributes:
        path: of the folder.
        temporary: folder of files that are being written.
    """

    path: str
    temporary: str

    def _file(self, source: int, shard: int, kind: str) -> str:
        return storage.join(self.path, f"{source:03d}-{shard:05d}.{kind}")

    def has(self, source: int, shard: int) -> bool:
        """Returns whether a shard is indexed."""
        return storage.exists(self._file(source, shard, "json"))

    def write(self, source: int, shard: int, index: ShardIndex, counts: RecordCounts) -> None:
        """Stores the index and counts of a shard."""
        buffer = io.BytesIO()
        np.savez(buffer, **vars(index))
        storage.write(self._file(source, shard, "npz"), buffer.getvalue(), self.temporary)
        data = json.dumps(counts.to_values()).encode()
        storage.write(self._file(source, shard, "json"), data, self.temporary)

    def read(self, source: int, shard: int) -> ShardIndex:
        """Returns the index of a shard."""
        with np.load(io.BytesIO(storage.read(self._file(source, shard, "npz")))) as arrays:
            return ShardIndex(**{field.name: arrays[field.name] for field in dataclasses.fields(ShardIndex)})

    def read_counts(self, source: int, shard: int) -> RecordCounts:
        """Returns the counts of a shard."""
        return RecordCounts.from_values(json.loads(storage.read(self._file(source, shard, "json"))))

    def write_selection(self, source: int, shard: int, keep_mask: np.ndarray) -> None:
        """Stores which records of a shard are taken, a bool array [records]."""
        storage.write(self._file(source, shard, "kept"), np.packbits(keep_mask).tobytes(), self.temporary)

    def read_selection(self, source: int, shard: int, records: int) -> np.ndarray:
        """Returns which records of a shard are taken, a bool array [records]; all if nothing is stored."""
        path = self._file(source, shard, "kept")
        if not storage.exists(path):
            return np.ones(records, bool)
        return np.unpackbits(np.frombuffer(storage.read(path), np.uint8), count=records).astype(bool)
