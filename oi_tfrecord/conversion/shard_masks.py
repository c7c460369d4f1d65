"""Loads the masks of a shard's boxes, image by image, and counts what became of them."""

import dataclasses
from collections import Counter

import numpy as np

from oi_tfrecord.dataset.accounts import TableAccount
from oi_tfrecord.images.mask_png import ImageMasks, empty_mask, prepare_mask
from oi_tfrecord.images.values import ImageRejected
from oi_tfrecord.join.archive_places import ImageFiles
from oi_tfrecord.join.join_account import JoinFault
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.join.shard_rows import ShardRows
from oi_tfrecord.openimages.schema import MASK_PATH, Table
from oi_tfrecord.reasons import Reject
from oi_tfrecord.sources.masks import MaskSource


@dataclasses.dataclass(frozen=True, slots=True)
class LoadedMasks:
    """What was read for one image.

    Attributes:
        masks: of the boxes that are written; None if masks are not asked for.
        broken: (row of the mask table, why) of masks that could not be read.
        left_out: places, among the shard's, of boxes that are left out as their mask could not be read.
    """

    masks: ImageMasks | None
    broken: tuple[tuple[int, ImageRejected], ...] = ()
    left_out: tuple[int, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of the masks."""
        return sum(map(len, self.masks.encoded)) if self.masks else 0


class ShardMasks:
    """The masks of one shard.

    Attributes:
        faults: rows of the mask table whose PNG could not be read.
        written: bool array [rows of the mask table with a box], whether the mask is in a record.
        boxes_left_out: places, among the shard's, of boxes that are left out as their mask could not be read.
    """

    def __init__(self, source: MaskSource | None, joined: JoinedShard):
        """Initializes the instance.

        Args:
            source: where the masks are; None if they are not asked for.
            joined: the shard.
        """
        self._source = source
        self.faults: list[JoinFault] = []
        self.boxes_left_out: list[int] = []
        self._joined = joined.masks
        if self._joined is None:
            self.written = np.zeros(0, bool)
            return
        boxes, of_box = joined.annotations[Table.BOXES], self._joined.of_box
        if boxes.added is not None:
            # What the hierarchy adds comes right after the box it follows from, and has its mask.
            of_box = of_box[np.cumsum(~boxes.added) - 1]
        self._of_box = of_box.tolist()
        self._offsets = boxes.offsets.tolist()
        self._wanted = np.zeros(len(self._joined.table.rows), bool)
        self._wanted[of_box[of_box >= 0]] = True
        self.written = np.zeros(len(self._wanted), bool)

    def load(self, index: int, width: int, height: int, angle: int = 0) -> LoadedMasks:
        """Reads the masks of the boxes of an image; may be called from several threads.

        Args:
            index: number of the image in the shard.
            width: pixels of the image in the record.
            height: pixels of the image in the record.
            angle: by which it was turned (`prepare_mask`).
        """
        if self._source is None or self._joined is None:
            return LoadedMasks(None)
        table, start, end = self._joined.table, self._offsets[index], self._offsets[index + 1]
        read: dict[int, bytes | ImageRejected] = {}
        for mask in self._of_box[start:end]:
            if mask >= 0 and mask not in read:
                read[mask] = self._read(mask, table, self._joined.files, width, height, angle)
        pngs = [found if isinstance(found := read.get(mask), bytes) else None for mask in self._of_box[start:end]]
        broken = tuple((mask, found) for mask, found in read.items() if isinstance(found, ImageRejected))
        if self._source.rules.keep_boxes_without:
            encoded = tuple(png or empty_mask(width, height) for png in pngs)
            weights = tuple(1.0 if png else 0.0 for png in pngs)
            return LoadedMasks(ImageMasks(tuple(range(len(pngs))), encoded, weights), broken)
        kept = tuple(place for place, png in enumerate(pngs) if png)
        left_out = tuple(start + place for place, png in enumerate(pngs) if not png)
        return LoadedMasks(ImageMasks(kept, tuple(png for png in pngs if png)), broken, left_out)

    def _read(
        self, mask: int, table: ShardRows, files: ImageFiles | None, width: int, height: int, angle: int
    ) -> bytes | ImageRejected:
        assert self._source is not None
        try:
            path = table.text_columns[MASK_PATH][mask].as_py().decode("utf-8", "surrogateescape")
            data = self._source.read(path, mask, files)
            return prepare_mask(data, width, height, angle, self._source.max_pixels)
        except ImageRejected as rejected:
            return rejected

    def take(self, index: int, loaded: LoadedMasks) -> ImageMasks | None:
        """Counts what was loaded for the image at `index`, and returns what goes into its record."""
        if self._joined is None:
            return None
        start, end = self._offsets[index], self._offsets[index + 1]
        self.written[[mask for mask in self._of_box[start:end] if mask >= 0]] = True
        for mask, rejected in loaded.broken:
            self.written[mask] = False
            self.faults.append(self._joined.table.fault(mask, rejected.reason, rejected.detail))
        self.boxes_left_out += loaded.left_out
        return loaded.masks

    def count(self, table: Table, rejected: Counter[str], dropped: dict[str, int]) -> TableAccount:
        """Returns what became of the rows of the mask table, or of the listed files of masks.

        Args:
            table: which of the two.
            rejected: those that the join rejected, by reason.
            dropped: those that it left out, by reason.
        """
        if self._joined is None:
            return TableAccount(0, dict(rejected), dropped)
        counted = self._wanted
        if table is Table.MASKS:
            rejected = rejected + Counter(str(fault.reason) for fault in self.faults)
            in_image = int(np.count_nonzero(counted & ~self.written)) - len(self.faults)
        else:
            files = self._joined.files
            counted = np.zeros(0, bool) if files is None else files.archives >= 0
            in_image = int(np.count_nonzero(counted & ~self.written[: len(counted)]))
        if in_image:
            rejected = rejected + Counter({str(Reject.IMAGE_REJECTED): in_image})
        written = int(np.count_nonzero(counted & self.written[: len(counted)]))
        return TableAccount(written, dict(rejected), dropped)
