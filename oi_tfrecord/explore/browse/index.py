"""The index of a dataset: arrays that find images by class, ImageID and box without reading a record."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from oi_tfrecord.explore.browse.shard_rows import LABEL_KINDS, ShardRows


@dataclasses.dataclass(frozen=True)
class BrowseIndex:
    """Where everything is. Record numbers go through all shards of all splits.

    Boxes and labels are sorted by (class, record), so that those of a class are a slice.

    Attributes:
        splits: names, in order.
        split_starts: int64 array [splits + 1], number of the first record of each.
        shards: their base names.
        shard_starts: int64 array [shards + 1], number of the first record of each.
        classes: MIDs.
        sources: of boxes.
        arrays: by name: `image_id` bytes [records]; `id_order` records by ImageID; `offset`, `length`, `width`,
            `height`, `boxes` [records]; `box_record`, `box_source`, `box_flags` [boxes], `box_start` [classes + 1]; and
            `KIND_record` [labels], `KIND_start` [classes + 1] for LABEL_KINDS. They may be mapped files.
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
        """Their number."""
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
        wanted = prefix.encode()
        if len(wanted) > ids.dtype.itemsize:
            return np.zeros(0, np.int64)
        # No ImageID holds a byte of 255, which is in no UTF-8.
        first = np.searchsorted(ids, np.bytes_(wanted), "left", sorter=order)
        last = np.searchsorted(ids, np.bytes_(wanted.ljust(ids.dtype.itemsize, b"\xff")), "right", sorter=order)
        return np.sort(order[first:last])

    def count_of(self, kind: str, class_number: int) -> int:
        """Returns the number of `box`es or labels (LABEL_KINDS) of a class."""
        starts = self.arrays[f"{kind}_start"]
        return int(starts[class_number + 1] - starts[class_number])


def build_index(splits: Sequence[tuple[str, Sequence[tuple[str, ShardRows]]]]) -> BrowseIndex:
    """Makes the index.

    Args:
        splits: name, and (base name, rows) of each shard, in order.
    """
    shards = [shard for _, held in splits for shard in held]
    counts = [len(rows.image_ids) for _, rows in shards]
    starts = np.cumsum([0, *counts])
    classes: dict[str, int] = {}
    sources: dict[str, int] = {}
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("record", "class", "source", "flags", *LABEL_KINDS)}
    for (_, rows), start in zip(shards, starts.tolist(), strict=False):
        class_of = np.array([classes.setdefault(mid, len(classes)) for mid in rows.classes], np.int64)
        source_of = np.array([sources.setdefault(name, len(sources)) for name in rows.sources], np.int64)
        columns["record"].append(rows.box_records + start)
        columns["class"].append(class_of[rows.box_classes])
        columns["source"].append(source_of[rows.box_sources])
        columns["flags"].append(rows.box_flags)
        for kind in LABEL_KINDS:
            records, places = rows.labels[kind].T
            columns[kind].append(np.stack([records + start, class_of[places]]))
    joined = {name: _join(parts) for name, parts in columns.items() if name not in LABEL_KINDS}
    ids = np.array([image_id for _, rows in shards for image_id in rows.image_ids] or [b""][:0], np.bytes_)
    places = np.concatenate([np.zeros((0, 2), np.int64), *(rows.places for _, rows in shards)])
    sizes = np.concatenate([np.zeros((0, 2), np.int64), *(rows.sizes for _, rows in shards)])
    order = np.lexsort((joined["record"], joined["class"]))
    arrays = {
        "image_id": ids,
        "id_order": np.argsort(ids, kind="stable").astype(np.uint32),
        "offset": places[:, 0],
        "length": places[:, 1],
        "width": sizes[:, 0].astype(np.uint32),
        "height": sizes[:, 1].astype(np.uint32),
        "boxes": np.bincount(joined["record"], minlength=int(starts[-1])).astype(np.uint32),
        "box_record": joined["record"][order].astype(np.uint32),
        "box_source": joined["source"][order].astype(np.uint16),
        "box_flags": joined["flags"][order].astype(np.uint16),
        "box_start": _starts(joined["class"], len(classes)),
    }
    for kind in LABEL_KINDS:
        records, labels = np.concatenate([np.zeros((2, 0), np.int64), *columns[kind]], axis=1)
        arrays[f"{kind}_record"] = records[np.lexsort((records, labels))].astype(np.uint32)
        arrays[f"{kind}_start"] = _starts(labels, len(classes))
    per_split = [sum(len(rows.image_ids) for _, rows in held) for _, held in splits]
    return BrowseIndex(
        splits=tuple(name for name, _ in splits),
        split_starts=np.cumsum([0, *per_split]),
        shards=tuple(name for name, _ in shards),
        shard_starts=starts,
        classes=tuple(classes),
        sources=tuple(sources),
        arrays=arrays,
    )


def _join(parts: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _starts(classes: np.ndarray, number: int) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(np.bincount(classes, minlength=number))]).astype(np.int64)
