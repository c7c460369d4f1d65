"""The record of an image: which keys it has and what they hold (DESIGN.md section 2)."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pyarrow as pa

from oi_tfrecord.images.mask_png import ImageMasks
from oi_tfrecord.images.values import PreparedImage
from oi_tfrecord.join.join_shard import Annotations, JoinedShard
from oi_tfrecord.openimages.image_id import format_id
from oi_tfrecord.openimages.schema import ATTRIBUTION, BOX_ROW, FLAGS, LABEL_ROW, Table
from oi_tfrecord.records.example_writer import (
    EntryEncoder,
    assemble,
    bytes_feature,
    bytes_value,
    float_feature,
    int64_feature,
    joined_bytes_feature,
    joined_int64_feature,
    varint,
)
from oi_tfrecord.records.keys import (
    BOX_FLAGS,
    ENCODED_KEY,
    IS_CROWD_KEY,
    MASK_KEY,
    MASK_WEIGHT_KEY,
    ExtraKeys,
    RecordLayout,
)


class RecordEncoder:
    """Encodes the Examples of one shard.

    The columns are laid out once per shard, so that a record is slices of them.
    """

    def __init__(
        self,
        shard: JoinedShard,
        mids: tuple[str, ...],
        label_ids: np.ndarray,
        layout: RecordLayout,
        source_ids: Sequence[int] | None = None,
        rotations: Sequence[int] | None = None,
    ):
        """Initializes the instance.

        Args:
            shard: the images and their annotations.
            mids: MID of each vocabulary code.
            label_ids: int array, label map id of each vocabulary code, from 1.
            layout: the keys of the dataset.
            source_ids: number of each image to write as its source id; the ImageID without them.
            rotations: degrees by which each image is still to be turned, negative where that is not known;
                for the key of ExtraKeys.ROTATION.
        """
        extra_keys = layout.extra_keys
        self._image_ids = shard.image_ids.tolist()
        self._source_ids = source_ids
        self._rotations = None
        if ExtraKeys.ROTATION in extra_keys:
            self._rotations = [-1] * len(self._image_ids) if rotations is None else rotations
        self._boxes = None
        if layout.has_boxes:
            self._boxes = _BoxColumns(_annotations(shard, Table.BOXES, BOX_ROW), layout)
        self._labels = []
        if Table.HUMAN_LABELS in layout.tables:
            human = _annotations(shard, Table.HUMAN_LABELS, LABEL_ROW)
            self._labels.append(_LabelColumns("image/class", human, extra_keys))
        if ExtraKeys.MACHINE_LABELS in extra_keys:
            machine = _annotations(shard, Table.MACHINE_LABELS, LABEL_ROW)
            self._labels.append(_LabelColumns("image/machine_class", machine, ()))
        used = {code for part in shard.annotations.values() for code in np.unique(part.rows["label"]).tolist()}
        self._mid_values = {code: bytes_value(mids[code].encode()) for code in used}
        self._id_values = {code: varint(int(label_ids[code])) for code in used}
        self._texts: Mapping[str, pa.Array] = {}
        if ExtraKeys.ATTRIBUTION in extra_keys:
            self._texts = {
                f"image/attribution/{name}": shard.text_columns[column]
                for name, column in ATTRIBUTION.items()
                if column in shard.text_columns
            }
        self._entries: dict[str, EntryEncoder] = {}

    def encode(self, index: int, image: PreparedImage, masks: ImageMasks | None = None) -> tuple[bytes, bytes, bytes]:
        """Returns the Example of one image as three pieces; the middle one is the image's bytes.

        Args:
            index: number of the image in the shard.
            image: its bytes and size in pixels.
            masks: of its boxes; None writes no key of masks.
        """
        image_id = format_id(self._image_ids[index]).encode()
        features = {
            "image/filename": bytes_feature((image_id + b".jpg",)),
            "image/format": b"\x0a\x06\x0a\x04jpeg",
            "image/height": int64_feature((image.height,)),
            "image/key/sha256": bytes_feature((image.sha256.encode(),)),
            "image/source_id": bytes_feature((self._source_id(index) or image_id,)),
            "image/width": int64_feature((image.width,)),
        }
        if self._boxes is not None:
            boxes = masks.boxes if masks and len(masks.boxes) < self._boxes.count(index) else None
            self._boxes.add(features, index, image, self._mid_values, self._id_values, boxes)
        if masks is not None:
            features[MASK_KEY] = bytes_feature(masks.encoded)
            if masks.weights is not None:
                features[MASK_WEIGHT_KEY] = float_feature(np.array(masks.weights, "<f4").tobytes())
        for labels in self._labels:
            labels.add(features, index, self._mid_values, self._id_values)
        for key, column in self._texts.items():
            features[key] = bytes_feature((column[index].as_py(),))
        if self._rotations is not None:
            features["image/rotation"] = int64_feature([angle for angle in (self._rotations[index],) if angle >= 0])

        entries = self._entries
        before: list[bytes] = []
        after: list[bytes] = []
        for key in sorted(features):
            entry = entries.get(key) or entries.setdefault(key, EntryEncoder(key))
            (before if key < ENCODED_KEY else after).append(entry.encode(features[key]))
        entry = entries.get(ENCODED_KEY) or entries.setdefault(ENCODED_KEY, EntryEncoder(ENCODED_KEY))
        before.append(entry.encode_around(len(image.encoded)))
        return assemble(b"".join(before), image.encoded, b"".join(after))

    def _source_id(self, index: int) -> bytes:
        return b"" if self._source_ids is None else str(self._source_ids[index]).encode()


def _annotations(shard: JoinedShard, table: Table, row_type: np.dtype) -> Annotations:
    none = Annotations(np.zeros(0, row_type), np.zeros(len(shard.image_ids) + 1, np.int64), ())
    return shard.annotations.get(table, none)


class _BoxColumns:
    """The box columns of a shard, ready to slice."""

    def __init__(self, boxes: Annotations, layout: RecordLayout):
        extra_keys = layout.extra_keys
        rows = boxes.rows
        self._offsets = boxes.offsets.tolist()
        self._codes = rows["label"].tolist()
        sides = {name: np.ascontiguousarray(rows[name], "<f4") for name in ("ymin", "xmin", "ymax", "xmax")}
        self._floats = {f"image/object/bbox/{name}": side.tobytes() for name, side in sides.items()}
        self._area = (sides["xmax"] - sides["xmin"]).astype(np.float64) * (sides["ymax"] - sides["ymin"])
        if ExtraKeys.BOX_CONFIDENCE in extra_keys:
            self._floats["image/object/bbox/confidence"] = np.ascontiguousarray(rows["confidence"], "<f4").tobytes()
        # Every reader casts -1 to True, so unknown is written as 0 (FORMAT.md finding 1).
        written = BOX_FLAGS + (("inside",) if ExtraKeys.INSIDE in extra_keys else ())
        self._flags = {
            f"image/object/{name}": (rows[name] == 1).astype(np.uint8).tobytes()
            for name in FLAGS
            if name in written and name in layout.flags
        }
        if (group_of := self._flags.get("image/object/group_of")) is not None:
            self._flags[IS_CROWD_KEY] = group_of
        self._sources = _source_values(boxes) if ExtraKeys.BOX_SOURCE in extra_keys else None

    def count(self, index: int) -> int:
        return self._offsets[index + 1] - self._offsets[index]

    def add(
        self,
        features: dict[str, bytes],
        index: int,
        image: PreparedImage,
        mids: Mapping[int, bytes],
        ids: Mapping[int, bytes],
        chosen: Sequence[int] | None = None,
    ) -> None:
        """Adds the keys of the boxes of one image, or of the `chosen` of them."""
        start, end = self._offsets[index], self._offsets[index + 1]
        for key, values in self._floats.items():
            features[key] = float_feature(_take(values[4 * start : 4 * end], 4, chosen))
        area = (self._area[start:end] * (image.height * image.width)).astype("<f4").tobytes()
        features["image/object/area"] = float_feature(_take(area, 4, chosen))
        for key, values in self._flags.items():
            features[key] = joined_int64_feature(_take(values[start:end], 1, chosen))
        codes = self._codes[start:end] if chosen is None else [self._codes[start + place] for place in chosen]
        features["image/object/class/text"] = joined_bytes_feature(b"".join([mids[code] for code in codes]))
        features["image/object/class/label"] = joined_int64_feature(b"".join([ids[code] for code in codes]))
        if self._sources is not None:
            sources = self._sources[start:end] if chosen is None else [self._sources[start + place] for place in chosen]
            features["image/object/source"] = joined_bytes_feature(b"".join(sources))


def _take(values: bytes, width: int, chosen: Sequence[int] | None) -> bytes:
    """Returns the `chosen` of values of `width` bytes each."""
    return values if chosen is None else b"".join([values[width * place : width * (place + 1)] for place in chosen])


class _LabelColumns:
    """The image-level label columns of a shard, ready to slice."""

    def __init__(self, prefix: str, labels: Annotations, extra_keys: Collection[ExtraKeys]):
        self._prefix = prefix
        self._offsets = labels.offsets.tolist()
        self._codes = labels.rows["label"].tolist()
        self._confidence = np.ascontiguousarray(labels.rows["confidence"], "<f4").tobytes()
        self._sources = _source_values(labels) if ExtraKeys.LABEL_SOURCE in extra_keys else None

    def add(self, features: dict[str, bytes], index: int, mids: Mapping[int, bytes], ids: Mapping[int, bytes]) -> None:
        start, end = self._offsets[index], self._offsets[index + 1]
        codes = self._codes[start:end]
        features[self._prefix + "/text"] = joined_bytes_feature(b"".join([mids[code] for code in codes]))
        features[self._prefix + "/label"] = joined_int64_feature(b"".join([ids[code] for code in codes]))
        features[self._prefix + "/confidence"] = float_feature(self._confidence[4 * start : 4 * end])
        if self._sources is not None:
            features[self._prefix + "/source"] = joined_bytes_feature(b"".join(self._sources[start:end]))


def _source_values(annotations: Annotations) -> list[bytes]:
    names = [bytes_value(name.encode()) for name in annotations.sources]
    return [names[code] for code in annotations.rows["source"].tolist()]
