"""The index of a dataset: arrays that find images by class, ImageID and box without reading a record."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from oi_tfrecord.explore.browse.search_rows import LABEL_KINDS, MASK_BIT, SearchRows


@dataclasses.dataclass(frozen=True)
class BrowseIndex:
    """The places of all images, boxes and labels. Numbers of records go through all shards of all splits.

    Boxes and labels are sorted by (class, record), so that those of a class are a slice.

    Attributes:
        splits: names, in order.
        split_starts: int64 array [splits + 1], number of the first record of each split.
        shards: base names, in order.
        shard_starts: int64 array [shards + 1], number of the first record of each shard.
        classes: MIDs.
        sources: of boxes.
        arrays: by name: `image_id` bytes [records]; `id_order` records by ImageID; `offset`, `length`, `width`,
            `height`, `boxes` [records]; `box_record`, `box_source`, `box_flags` [boxes], `box_start` [classes + 1],
            `masks` [classes] boxes with a mask; and
            `KIND_record` [labels], `KIND_start` [classes + 1] for LABEL_KINDS. The arrays may be mapped files.
    """

    splits: tuple[str, ...]
    split_starts: np.ndarray
    shards: tuple[str, ...]
    shard_starts: np.ndarray
    classes: tuple[str, ...]
    sources: tuple[str, ...]
    arrays: dict[str, np.ndarray]

    @property
    def records(self) -> int:
        """Number of all records."""
        return int(self.shard_starts[-1])

    def split_of(self, record: int) -> str:
        """Returns the name of a record's split."""
        return self.splits[int(np.searchsorted(self.split_starts, record, "right")) - 1]

    def place_of(self, record: int) -> tuple[str, int, int]:
        """Returns shard, byte offset and length of a record's data."""
        shard = self.shards[int(np.searchsorted(self.shard_starts, record, "right")) - 1]
        return shard, int(self.arrays["offset"][record]), int(self.arrays["length"][record])

    def id_of(self, record: int) -> str:
        """Returns a record's ImageID."""
        return bytes(self.arrays["image_id"][record]).decode(errors="replace")

    def with_id(self, prefix: str) -> np.ndarray:
        """Returns the records whose ImageID begins with `prefix`, in order."""
        ids, order = self.arrays["image_id"], self.arrays["id_order"]
        first_bytes = prefix.encode()
        if len(first_bytes) > ids.dtype.itemsize:
            return np.zeros(0, np.int64)
        # No ImageID has a byte of 255, which UTF-8 never uses.
        first = np.searchsorted(ids, np.bytes_(first_bytes), "left", sorter=order)
        last = np.searchsorted(ids, np.bytes_(first_bytes.ljust(ids.dtype.itemsize, b"\xff")), "right", sorter=order)
        return np.sort(order[first:last])

    def count_of(self, kind: str, class_number: int) -> int:
        """Returns the number of `box`es or labels (LABEL_KINDS) of a class."""
        starts = self.arrays[f"{kind}_start"]
        return int(starts[class_number + 1] - starts[class_number])


def build_index(splits: Sequence[tuple[str, Sequence[tuple[str, SearchRows]]]]) -> BrowseIndex:
    """Makes the index.

    Args:
        splits: name, and (base name, rows) of each shard, in order.
    """
    shards = [shard for _, of_split in splits for shard in of_split]
    starts = np.cumsum([0, *(len(rows.image_ids) for _, rows in shards)])
    joined = _join_shards([rows for _, rows in shards], starts.tolist())
    per_split = [sum(len(rows.image_ids) for _, rows in of_split) for _, of_split in splits]
    return BrowseIndex(
        splits=tuple(name for name, _ in splits),
        split_starts=np.cumsum([0, *per_split]),
        shards=tuple(name for name, _ in shards),
        shard_starts=starts,
        classes=joined.classes,
        sources=joined.sources,
        arrays=_index_records([rows for _, rows in shards])
        | _index_boxes(joined, int(starts[-1]))
        | _index_labels(joined),
    )


@dataclasses.dataclass(frozen=True)
class _Joined:
    """The boxes and labels of all shards.

    Attributes:
        boxes: int64 array [4, boxes] of record, class, source and flags.
        labels: for each of LABEL_KINDS, int64 array [2, labels] of record and class.
        classes: MIDs, by number of the class.
        sources: of boxes, by number of the source.
    """

    boxes: np.ndarray
    labels: dict[str, np.ndarray]
    classes: tuple[str, ...]
    sources: tuple[str, ...]


def _join_shards(shards: Sequence[SearchRows], starts: Sequence[int]) -> _Joined:
    """Joins the rows of shards, with numbers of records, classes and sources that go through all of them."""
    classes: dict[str, int] = {}
    sources: dict[str, int] = {}
    boxes = [np.zeros((4, 0), np.int64)]
    labels = {kind: [np.zeros((2, 0), np.int64)] for kind in LABEL_KINDS}
    for rows, start in zip(shards, starts, strict=False):
        class_of = np.array([classes.setdefault(mid, len(classes)) for mid in rows.classes], np.int64)
        source_of = np.array([sources.setdefault(name, len(sources)) for name in rows.sources], np.int64)
        boxes.append(
            np.stack(
                [rows.box_records + start, class_of[rows.box_classes], source_of[rows.box_sources], rows.box_flags]
            )
        )
        for kind in LABEL_KINDS:
            records, places = rows.labels[kind].T
            labels[kind].append(np.stack([records + start, class_of[places]]))
    return _Joined(
        np.concatenate(boxes, axis=1),
        {kind: np.concatenate(parts, axis=1) for kind, parts in labels.items()},
        tuple(classes),
        tuple(sources),
    )


def _index_records(shards: Sequence[SearchRows]) -> dict[str, np.ndarray]:
    ids = np.array([image_id for rows in shards for image_id in rows.image_ids] or [b""][:0], np.bytes_)
    places = np.concatenate([np.zeros((0, 2), np.int64), *(rows.places for rows in shards)])
    sizes = np.concatenate([np.zeros((0, 2), np.int64), *(rows.sizes for rows in shards)])
    return {
        "image_id": ids,
        "id_order": np.argsort(ids, kind="stable").astype(np.uint32),
        "offset": places[:, 0],
        "length": places[:, 1],
        "width": sizes[:, 0].astype(np.uint32),
        "height": sizes[:, 1].astype(np.uint32),
    }


def _index_boxes(joined: _Joined, records: int) -> dict[str, np.ndarray]:
    record, label, source, flags = joined.boxes
    order = np.lexsort((record, label))
    return {
        "boxes": np.bincount(record, minlength=records).astype(np.uint32),
        "box_record": record[order].astype(np.uint32),
        "box_source": source[order].astype(np.uint16),
        "box_flags": flags[order].astype(np.uint16),
        "box_start": _class_starts(label, len(joined.classes)),
        "masks": np.bincount(label[(flags & MASK_BIT) != 0], minlength=len(joined.classes)).astype(np.uint32),
    }


def _index_labels(joined: _Joined) -> dict[str, np.ndarray]:
    arrays = {}
    for kind, (records, labels) in joined.labels.items():
        arrays[f"{kind}_record"] = records[np.lexsort((records, labels))].astype(np.uint32)
        arrays[f"{kind}_start"] = _class_starts(labels, len(joined.classes))
    return arrays


def _class_starts(classes: np.ndarray, num_classes: int) -> np.ndarray:
    """Returns where each class starts among rows sorted by class, int64 array [classes + 1]."""
    return np.concatenate([[0], np.cumsum(np.bincount(classes, minlength=num_classes))]).astype(np.int64)
