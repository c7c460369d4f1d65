"""Loads the masks of a shard's boxes, image by image, and notes what became of each mask."""

import dataclasses

import numpy as np

from oi_tfrecord.images.mask_png import ImageMasks, empty_mask, prepare_mask
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.join.join_account import JoinFault
from oi_tfrecord.join.join_shard import Annotations
from oi_tfrecord.join.pair_masks import Masks
from oi_tfrecord.openimages.schema import MASK_PATH
from oi_tfrecord.settings.allowed_values import BoxesWithoutMask
from oi_tfrecord.sources.masks import MaskSource


@dataclasses.dataclass(frozen=True, slots=True)
class LoadedMasks:
    """The masks that were read for one image.

    Attributes:
        masks: masks of the boxes that are written; None for a record without masks.
        broken: reason by row of the mask table, for masks that could not be read.
        left_out: places, among the boxes of the shard, of boxes that are left out as their mask could not be read.
    """

    masks: ImageMasks | None = None
    broken: tuple[tuple[int, ImageRejected], ...] = ()
    left_out: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the masks."""
        return sum(map(len, self.masks.encoded)) if self.masks else 0


@dataclasses.dataclass(frozen=True)
class MaskOutcome:
    """What became of the masks of a shard's boxes.

    Attributes:
        written: bool array [rows of the mask table that have a box], whether the mask is in a record.
        faults: rows of the mask table whose PNG could not be read.
        boxes_left_out: int array, places among the boxes of the shard, of boxes that are left out as their mask could
            not be read.
    """

    written: np.ndarray
    faults: tuple[JoinFault, ...] = ()
    boxes_left_out: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64))

    @classmethod
    def all_written(cls, masks: Masks | None) -> "MaskOutcome":
        """Returns the outcome of a shard whose masks can all be read."""
        return cls(np.ones(len(masks.table.rows) if masks else 0, bool))


class ShardMasks:
    """The masks of one shard."""

    def __init__(self, source: MaskSource, masks: Masks, boxes: Annotations):
        """Reads nothing yet.

        Args:
            source: where the masks are.
            masks: the masks of the shard's boxes.
            boxes: the boxes of the shard.
        """
        self._source = source
        self._masks = masks
        self._mask_of = masks.of_box.tolist()
        self._keeps_without = source.rules.keeps_without(boxes.rows).tolist()
        self._offsets = boxes.offsets.tolist()
        self._written = np.zeros(len(masks.table.rows), bool)
        self._faults: list[JoinFault] = []
        self._boxes_left_out: list[int] = []

    @property
    def fault_count(self) -> int:
        """Masks that could not be read until now."""
        return len(self._faults)

    def load(self, index: int, width: int, height: int, angle: int = 0) -> LoadedMasks:
        """Reads the masks of the boxes of an image; may be called from several threads.

        Args:
            index: number of the image in the shard.
            width: pixels of the image in the record.
            height: pixels of the image in the record.
            angle: by which it was turned (`prepare_mask`).
        """
        first, end = self._offsets[index], self._offsets[index + 1]
        mask_of = self._mask_of[first:end]
        pngs: dict[int, bytes] = {}
        broken: dict[int, ImageRejected] = {}
        for mask in dict.fromkeys(mask for mask in mask_of if mask >= 0):
            try:
                pngs[mask] = prepare_mask(self._read(mask), width, height, angle, self._source.max_pixels)
            except ImageRejected as rejected:
                broken[mask] = rejected
        is_kept = [mask in pngs or keeps for mask, keeps in zip(mask_of, self._keeps_without[first:end], strict=True)]
        kept = tuple(place for place, keep in enumerate(is_kept) if keep)
        rows = tuple(mask_of[place] if mask_of[place] in pngs else -1 for place in kept)
        encoded = tuple(pngs[row] if row >= 0 else empty_mask(width, height) for row in rows)
        has_weights = self._source.rules.boxes_without_mask is not BoxesWithoutMask.DROP
        weights = tuple(float(row >= 0) for row in rows) if has_weights else None
        left_out = tuple(first + place for place, keep in enumerate(is_kept) if not keep)
        return LoadedMasks(ImageMasks(kept, encoded, rows, weights), tuple(broken.items()), left_out)

    def _read(self, mask: int) -> bytes:
        path = self._masks.table.text_columns[MASK_PATH][mask].as_py().decode("utf-8", "surrogateescape")
        return self._source.read(path, mask, self._masks.files)

    def note_written(self, index: int, loaded: LoadedMasks) -> None:
        """Notes that the image at `index`, with the masks that were loaded for it, is in a record."""
        mask_of = self._mask_of[self._offsets[index] : self._offsets[index + 1]]
        self._written[[mask for mask in mask_of if mask >= 0]] = True
        for mask, rejected in loaded.broken:
            self._written[mask] = False
            self._faults.append(self._masks.table.fault(mask, rejected.reason, rejected.detail))
        self._boxes_left_out += loaded.left_out

    def outcome(self) -> MaskOutcome:
        """Returns what became of the masks of the images noted until now."""
        return MaskOutcome(self._written, tuple(self._faults), np.array(self._boxes_left_out, np.int64))
