"""The record of an image: which keys it has, and their values."""

from collections.abc import Mapping, Sequence

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
    varint,
)
from oi_tfrecord.records.keys import (
    ENCODED_KEY,
    FILENAME_KEY,
    FORMAT_KEY,
    HEIGHT_KEY,
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
        self._entries: dict[str, EntryEncoder] = {}

    def encode(self, index: int, image: PreparedImage, masks: ImageMasks | None = None) -> tuple[bytes, bytes, bytes]:
        """Returns the Example of one image as three pieces; the middle one is the image's bytes.

        Args:
            index: number of the image in the shard.
            image: its bytes and size in pixels.
            masks: masks of its boxes; None writes no key of masks.
        """
        features = self._image_features(index, image)
        if self._boxes is not None:
            places = masks.boxes if masks and len(masks.boxes) < self._boxes.count(index) else None
            features |= self._boxes.features(index, image, places)
        if masks is not None and self._masks is not None:
            features |= self._masks.features(masks)
        for labels in self._labels:
            features |= labels.features(index)
        for key, column in self._texts.items():
            features[key] = bytes_feature((column[index].as_py(),))
        if self._has_rotation:
            features[ROTATION_KEY] = int64_feature([angle for angle in (self._rotations[index],) if angle >= 0])
        return self._assemble(features, image.encoded)

    def _image_features(self, index: int, image: PreparedImage) -> dict[str, bytes]:
        image_id = self._image_ids[index].encode()
        source_id = image_id if self._source_ids is None else str(self._source_ids[index]).encode()
        return {
            FILENAME_KEY: bytes_feature((image_id + b".jpg",)),
            FORMAT_KEY: _JPEG,
            HEIGHT_KEY: int64_feature((image.height,)),
            SHA256_KEY: bytes_feature((image.sha256.encode(),)),
            SOURCE_ID_KEY: bytes_feature((source_id,)),
            WIDTH_KEY: int64_feature((image.width,)),
        }

    def _assemble(self, features: Mapping[str, bytes], encoded: bytes) -> tuple[bytes, bytes, bytes]:
        """Returns the Example with its keys in the order that deterministic serialization gives them."""
        before: list[bytes] = []
        after: list[bytes] = []
        for key in sorted(features):
            (before if key < ENCODED_KEY else after).append(self._entry(key).encode(features[key]))
        before.append(self._entry(ENCODED_KEY).encode_around(len(encoded)))
        return assemble(b"".join(before), encoded, b"".join(after))

    def _entry(self, key: str) -> EntryEncoder:
        return self._entries.get(key) or self._entries.setdefault(key, EntryEncoder(key))


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
