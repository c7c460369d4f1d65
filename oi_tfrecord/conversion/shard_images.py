"""The images of one shard: read ahead, checked, turned, with the masks of their boxes, and counted."""

from collections import Counter
from collections.abc import Iterator

import numpy as np

from oi_tfrecord.conversion.shard_masks import LoadedMasks, ShardMasks
from oi_tfrecord.dataset.rejects_csv import Rejected
from oi_tfrecord.images.mask_png import ImageMasks
from oi_tfrecord.images.prepare import prepare
from oi_tfrecord.images.values import ImageOptions, ImageRejected, PreparedImage
from oi_tfrecord.join.image_facts import ImageFacts
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.openimages.image_id import format_id
from oi_tfrecord.openimages.rotation import ANGLES, NO_ANGLE, ROTATION_COLUMN
from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.masks import MaskSource
from oi_tfrecord.sources.protocol import ImageSource
from oi_tfrecord.storage.read_ahead import ITEMS_PER_TASK, map_in_order

PREFETCH_BYTES = 64 << 20
"""Bound on the image bytes that a worker holds ahead of the record it writes."""

LOCAL_THREADS = 2

EXPECTED = 8
"""Files that the system reads ahead: enough to keep a disk busy, few enough to be cached still in their turn."""

REMOTE_THREADS = 64


class ShardImages:
    """Iterates over the readable images of a shard; keeps count of the others."""

    def __init__(
        self,
        joined: JoinedShard,
        facts: ImageFacts,
        source: ImageSource,
        options: ImageOptions,
        masks: MaskSource | None,
        turn: bool,
        threads: int,
        has_spare_cores: bool,
    ):
        """Initializes the instance.

        Args:
            joined: the shard.
            facts: what is known of its images.
            source: where their bytes come from.
            options: how they are checked and encoded.
            masks: where the masks of their boxes come from; None for none.
            turn: whether images are turned by their rotation.
            threads: images read at once; 0 chooses by storage.
            has_spare_cores: whether no other shard needs the cores that this one leaves.
        """
        self._facts = facts
        self._options = options
        self._turn = turn
        self._is_remote = source.is_remote or (masks is not None and masks.is_remote)
        self._threads = threads or (REMOTE_THREADS if self._is_remote else LOCAL_THREADS)
        # A thread that waits for no one but the interpreter costs more than it saves.
        self._may_do_without = not (threads or self._is_remote or has_spare_cores)
        self._rotations = facts.rotations.tolist()
        self._rotation_texts = joined.text_columns.get(ROTATION_COLUMN, ())
        self._ids = joined.image_ids.tolist()
        self._stored = source.open_shard(joined)
        self.masks = ShardMasks(masks, joined)
        self.has_record = np.zeros(len(self._ids), bool)
        self.rejects: list[Rejected] = []
        self.reencoded: Counter[str] = Counter()
        self._changes: Counter[str] = Counter()
        self.records = 0
        self.image_bytes = 0

    def _load(self, index: int) -> tuple[PreparedImage, LoadedMasks] | ImageRejected:
        rotation = self._rotations[index]
        try:
            if rotation == NO_ANGLE:
                given = self._rotation_texts[index].as_py().decode("utf-8", "replace")
                detail = f"{ROTATION_COLUMN}={given!r} in the metadata; valid are empty and {ANGLES}"
                raise ImageRejected(Reject.BAD_ROTATION, detail)
            degrees = rotation if self._turn and rotation > 0 else 0
            image = prepare(self._stored.read(index), self._options, degrees)
        except ImageRejected as rejected:
            return rejected
        return image, self.masks.load(index, image.width, image.height, degrees)

    def _load_all(self) -> Iterator[tuple[PreparedImage, LoadedMasks] | ImageRejected]:
        count = len(self._ids)
        if self._may_do_without and all(self._stored.expect(index) for index in range(min(count, EXPECTED))):
            for index in range(count):
                if index + EXPECTED < count:
                    self._stored.expect(index + EXPECTED)
                yield self._load(index)
            return
        yield from map_in_order(
            self._load,
            range(count),
            threads=self._threads,
            max_bytes=PREFETCH_BYTES,
            # What waits for a network costs more than to hand over a task.
            items_per_task=1 if self._is_remote else ITEMS_PER_TASK,
            size_of=lambda item: 0 if isinstance(item, ImageRejected) else len(item[0].encoded) + item[1].size,
        )

    def __iter__(self) -> Iterator[tuple[int, PreparedImage, ImageMasks | None]]:
        for index, item in enumerate(self._load_all()):
            if isinstance(item, ImageRejected):
                image_id = format_id(self._ids[index])
                path = self._stored.path(index)
                self.rejects.append(Rejected("images", path, -1, image_id, item.reason, item.detail))
                continue
            image, loaded_masks = item
            self.has_record[index] = True
            self.records += 1
            self.image_bytes += len(image.encoded)
            if image.action == "reencoded":
                self.reencoded[image.source_format] += 1
            self._changes["stripped"] += image.action == "stripped"
            self._changes["resized"] += image.resized
            self._changes["turned"] += image.turned
            yield index, image, self.masks.take(index, loaded_masks)

    def counts(self) -> dict[str, int]:
        """Returns ShardAccount.image_counts."""
        facts = {name: int(np.count_nonzero(of & self.has_record)) for name, of in self._facts.counted.items()}
        return {name: count for name, count in (self._changes | facts).items() if count}
