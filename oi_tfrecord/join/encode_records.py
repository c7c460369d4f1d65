"""The record of an image: which keys it has, and their values."""

import bisect
import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from oi_tfrecord.images.mask_png import ImageMasks
from oi_tfrecord.images.values import PreparedImage
from oi_tfrecord.join.join_shard import Annotations, JoinedShard
from oi_tfrecord.join.record_columns import BoxColumns, ClassValues, LabelColumns, MaskColumns
from oi_tfrecord.openimages.schema import ATTRIBUTION, BOX_ROW, LABEL_ROW, Table
from oi_tfrecord.records.example_writer import (
    EntryEncoder,
    assemble,
    bytes_feature,
    bytes_value,
    int64_feature,
    joined_bytes_feature,
    varint,
)
from oi_tfrecord.records.keys import (
    AREA_KEY,
    ENCODED_KEY,
    FILENAME_KEY,
    FORMAT_KEY,
    HEIGHT_KEY,
    MASK_BOX_ID_KEY,
    MASK_IOU_KEY,
    MASK_KEY,
    MASK_WEIGHT_KEY,
    ROTATION_KEY,
    SHA256_KEY,
    SOURCE_ID_KEY,
    WIDTH_KEY,
    ExtraKeys,
    RecordLayout,
    attribution_key,
)

_JPEG = bytes_feature((b"jpeg",))

_UNKNOWN_ROTATION = -1

_KNOWN_AT_ONCE = 256
"""Images whose entries are encoded at once: between two images of 250 KB, the caches of the processor lose the code."""


class _KnownEntries(NamedTuple):
    """The entries of an image that are known before it is read, in the order of the keys of its record.

    Attributes:
        before_image: those before the bytes of the image.
        after_image: those from there to the first entry that depends on the bytes of the image.
        after_cuts: those that follow each of the entries that depend on these bytes.
    """

    before_image: bytes
    after_image: bytes
    after_cuts: Sequence[bytes]


class RecordEncoder:
    """Encodes the Examples of one shard.

    The columns are laid out once per shard, so that a record is slices of them.
    """

    def __init__(
        self,
        shard: JoinedShard,
        mids: Sequence[str],
        label_ids: np.ndarray,
        layout: RecordLayout,
        source_ids: Sequence[int] | None = None,
        rotations: Sequence[int] | None = None,
    ):
        """Lays out the columns of the shard.

        Args:
            shard: the images and their annotations.
            mids: MID of each vocabulary code.
            label_ids: int array, label map id of each vocabulary code, from 1.
            layout: the keys of the dataset.
            source_ids: number of each image to write as its source id; None writes the ImageID.
            rotations: degrees by which each image is still to be turned, negative where that is not known, for the key
                of ExtraKeys.ROTATION; None for not known.
        """
        self._image_ids = shard.id_texts
        self._source_ids = source_ids
        self._rotations = rotations or [_UNKNOWN_ROTATION] * len(self._image_ids)
        self._has_rotation = ExtraKeys.ROTATION in layout.extra_keys
        classes = _class_values(shard, mids, label_ids)
        self._boxes = None
        if layout.has_boxes:
            self._boxes = BoxColumns(_annotations(shard, Table.BOXES, BOX_ROW), layout, classes)
        self._masks = MaskColumns(shard.masks, layout.extra_keys) if shard.masks else None
        self._labels = _label_columns(shard, layout, classes)
        self._texts = _attribution(shard) if ExtraKeys.ATTRIBUTION in layout.extra_keys else {}
        of_masks = (MASK_KEY, MASK_WEIGHT_KEY, MASK_BOX_ID_KEY, MASK_IOU_KEY) if self._masks else ()
        self._cuts = sorted((HEIGHT_KEY, SHA256_KEY, WIDTH_KEY, *([AREA_KEY] if layout.has_boxes else ()), *of_masks))
        self._entries: dict[str, EntryEncoder] = {}
        self._known: Sequence[_KnownEntries] = ()
        self._first_known = 0

    def encode(self, index: int, image: PreparedImage, masks: ImageMasks | None = None) -> tuple[bytes, bytes, bytes]:
        """Returns the Example of one image as three pieces; the middle one is the image's bytes.

        Args:
            index: number of the image in the shard.
            image: its bytes and size in pixels.
            masks: masks of its boxes; None writes no key of masks.
        """
        places = self._find_places(index, masks)
        known = self._find_known(index) if places is None else self._encode_known(index, places)
        features = {
            HEIGHT_KEY: _pixels_feature(image.height),
            SHA256_KEY: joined_bytes_feature(bytes_value(image.sha256.encode())),
            WIDTH_KEY: _pixels_feature(image.width),
        }
        if self._boxes is not None:
            features[AREA_KEY] = self._boxes.area_feature(index, image.height * image.width, places)
        if masks is not None and self._masks is not None:
            features |= self._masks.features(masks)
        after = [known.after_image]
        for key, entries in zip(self._cuts, known.after_cuts, strict=True):
            if key in features:
                after.append(self._entry(key).encode(features[key]))
            after.append(entries)
        before = known.before_image + self._entry(ENCODED_KEY).encode_around(len(image.encoded))
        return assemble(before, image.encoded, b"".join(after))

    def _find_places(self, index: int, masks: ImageMasks | None) -> Sequence[int] | None:
        """Returns which boxes of an image are written; None for all."""
        if masks is None or self._boxes is None or len(masks.boxes) == self._boxes.count(index):
            return None
        return masks.boxes

    def _find_known(self, index: int) -> "_KnownEntries":
        """Returns the entries of an image, which are encoded with those of the images that follow."""
        if not 0 <= index - self._first_known < len(self._known):
            end = min(index + _KNOWN_AT_ONCE, len(self._image_ids))
            self._known = [self._encode_known(number) for number in range(index, end)]
            self._first_known = index
        return self._known[index - self._first_known]

    def _encode_known(self, index: int, places: Sequence[int] | None = None) -> "_KnownEntries":
        """Encodes what is known of an image before it is read.

        Args:
            index: number of the image in the shard.
            places: which of its boxes are written, ascending; None for all.
        """
        image_id = self._image_ids[index].encode()
        source_id = image_id if self._source_ids is None else str(self._source_ids[index]).encode()
        features = {
            FILENAME_KEY: bytes_feature((image_id + b".jpg",)),
            FORMAT_KEY: _JPEG,
            SOURCE_ID_KEY: bytes_feature((source_id,)),
        }
        if self._boxes is not None:
            features |= self._boxes.features(index, places)
        for labels in self._labels:
            features |= labels.features(index)
        for key, column in self._texts.items():
            features[key] = bytes_feature((column[index].as_py(),))
        if self._has_rotation:
            features[ROTATION_KEY] = int64_feature([angle for angle in (self._rotations[index],) if angle >= 0])
        # The keys of a record are sorted, as deterministic serialization sorts them.
        pieces: list[list[bytes]] = [[] for _ in range(len(self._cuts) + 2)]
        for key in sorted(features):
            place = 0 if key < ENCODED_KEY else 1 + bisect.bisect(self._cuts, key)
            pieces[place].append(self._entry(key).encode(features[key]))
        before, after, *after_cuts = map(b"".join, pieces)
        return _KnownEntries(before, after, after_cuts)

    def _entry(self, key: str) -> EntryEncoder:
        return self._entries.get(key) or self._entries.setdefault(key, EntryEncoder(key))


@functools.lru_cache
def _pixels_feature(pixels: int) -> bytes:
    return int64_feature((pixels,))


def _class_values(shard: JoinedShard, mids: Sequence[str], label_ids: np.ndarray) -> ClassValues:
    """Returns the classes that the shard has rows of."""
    codes = {code for part in shard.annotations.values() for code in np.unique(part.rows["label"]).tolist()}
    return ClassValues(
        mids={code: bytes_value(mids[code].encode()) for code in codes},
        ids={code: varint(int(label_ids[code])) for code in codes},
    )


def _label_columns(shard: JoinedShard, layout: RecordLayout, classes: ClassValues) -> list[LabelColumns]:
    """Returns the columns of human-verified labels, and apart from them those of machine labels."""
    columns = []
    source = {"source"} if ExtraKeys.LABEL_SOURCE in layout.extra_keys else set()
    if Table.HUMAN_LABELS in layout.tables:
        human = _annotations(shard, Table.HUMAN_LABELS, LABEL_ROW)
        is_present = human.rows["confidence"] > 0
        present = human.filter(is_present)
        if layout.has_boxes:
            columns.append(LabelColumns("image/class", {"confidence", *source}, human, classes))
        else:
            columns.append(LabelColumns("image/class", {"confidence", *source}, present, classes))
            columns.append(LabelColumns("image/absent_class", source, human.filter(~is_present), classes))
        if ExtraKeys.PRESENT_LABELS in layout.extra_keys:
            columns.append(LabelColumns("image/present_class", {"confidence"}, present, classes))
    if ExtraKeys.MACHINE_LABELS in layout.extra_keys:
        machine = _annotations(shard, Table.MACHINE_LABELS, LABEL_ROW)
        columns.append(LabelColumns("image/machine_class", {"confidence"}, machine, classes))
    return columns


def _annotations(shard: JoinedShard, table: Table, row_type: np.dtype) -> Annotations:
    none = Annotations(np.zeros(0, row_type), np.zeros(len(shard.image_ids) + 1, np.int64), ())
    return shard.annotations.get(table, none)


def _attribution(shard: JoinedShard) -> dict[str, pa.Array]:
    columns = {attribution_key(name): column for name, column in ATTRIBUTION.items()}
    return {key: shard.text_columns[column] for key, column in columns.items() if column in shard.text_columns}
