"""The boxes and labels of a shard as columns that are laid out once, so that a record is slices of them."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from oi_tfrecord.images.mask_png import ImageMasks
from oi_tfrecord.join.join_shard import Annotations
from oi_tfrecord.join.pair_masks import Masks
from oi_tfrecord.openimages.schema import ATTRIBUTES, BOX_ID, FLAGS, UNKNOWN_IOU
from oi_tfrecord.records.example_writer import (
    bytes_feature,
    bytes_value,
    float_feature,
    joined_bytes_feature,
    joined_int64_feature,
)
from oi_tfrecord.records.keys import (
    BBOX_KEYS,
    BOX_CONFIDENCE_KEY,
    BOX_FLAGS,
    BOX_LABEL_KEY,
    BOX_SOURCE_KEY,
    BOX_TEXT_KEY,
    IS_CROWD_KEY,
    MASK_BOX_ID_KEY,
    MASK_IOU_KEY,
    MASK_KEY,
    MASK_WEIGHT_KEY,
    SIDES,
    ExtraKeys,
    RecordLayout,
    attribute_key,
    flag_key,
)


class ClassValues(NamedTuple):
    """Classes as they are in a record, by vocabulary code: the MID, and the id in the label map."""

    mids: Mapping[int, bytes]
    ids: Mapping[int, bytes]

    def features(self, codes: Sequence[int]) -> tuple[bytes, bytes]:
        """Returns the feature of the MIDs and that of the ids of some classes."""
        return (
            joined_bytes_feature(b"".join([self.mids[code] for code in codes])),
            joined_int64_feature(b"".join([self.ids[code] for code in codes])),
        )


class BoxColumns:
    """The box columns of a shard."""

    def __init__(self, boxes: Annotations, layout: RecordLayout, classes: ClassValues):
        """Lays out the columns.

        Args:
            boxes: the boxes of the shard.
            layout: the keys of the dataset.
            classes: the classes of the boxes.
        """
        rows = boxes.rows
        self._classes = classes
        self._offsets = boxes.offsets.tolist()
        self._codes = rows["label"].tolist()
        sides = {side: np.ascontiguousarray(rows[side], "<f4") for side in SIDES}
        self._area = (sides["xmax"] - sides["xmin"]).astype(np.float64) * (sides["ymax"] - sides["ymin"])
        self._floats = {key: sides[side].tobytes() for key, side in zip(BBOX_KEYS, SIDES, strict=True)}
        if ExtraKeys.BOX_CONFIDENCE in layout.extra_keys:
            self._floats[BOX_CONFIDENCE_KEY] = np.ascontiguousarray(rows["confidence"], "<f4").tobytes()
        self._flags = {flag_key(flag): _flag_values(rows[flag]) for flag in _written_flags(layout)}
        if (group_of := self._flags.get(flag_key("group_of"))) is not None:
            self._flags[IS_CROWD_KEY] = group_of
        if ExtraKeys.ATTRIBUTES in layout.extra_keys:
            # The code of a value takes one byte as a varint, as a flag does.
            self._flags |= {attribute_key(name): rows[name].tobytes() for name in ATTRIBUTES}
        self._sources = _source_values(boxes) if ExtraKeys.BOX_SOURCE in layout.extra_keys else None

    def count(self, index: int) -> int:
        """Returns the number of boxes of an image."""
        return self._offsets[index + 1] - self._offsets[index]

    def features(self, index: int, places: Sequence[int] | None = None) -> dict[str, bytes]:
        """Returns the features of the boxes of an image by key, without their areas.

        Args:
            index: number of the image in the shard.
            places: which of its boxes are written, ascending; None for all.
        """
        start, end = self._offsets[index], self._offsets[index + 1]
        codes = self._codes[start:end] if places is None else [self._codes[start + place] for place in places]
        texts, ids = self._classes.features(codes)
        features = {BOX_TEXT_KEY: texts, BOX_LABEL_KEY: ids}
        for key, values in self._floats.items():
            features[key] = float_feature(_take(values[4 * start : 4 * end], 4, places))
        for key, values in self._flags.items():
            features[key] = joined_int64_feature(_take(values[start:end], 1, places))
        if self._sources is not None:
            sources = self._sources[start:end] if places is None else [self._sources[start + place] for place in places]
            features[BOX_SOURCE_KEY] = joined_bytes_feature(b"".join(sources))
        return features

    def area_feature(self, index: int, pixels: int, places: Sequence[int] | None = None) -> bytes:
        """Returns the feature of the areas of the boxes of an image of so many pixels; see `features`."""
        area = (self._area[self._offsets[index] : self._offsets[index + 1]] * pixels).astype("<f4").tobytes()
        return float_feature(_take(area, 4, places))


class LabelColumns:
    """The columns of the image-level labels of a shard."""

    def __init__(self, prefix: str, values: Collection[str], labels: Annotations, classes: ClassValues):
        """Lays out the columns.

        Args:
            prefix: of the keys, such as `image/class`.
            values: what there is a key for beside the classes: `confidence`, `source`.
            labels: the labels of the shard.
            classes: the classes of the labels.
        """
        self._text_key, self._label_key = f"{prefix}/text", f"{prefix}/label"
        self._source_key = f"{prefix}/source"
        self._classes = classes
        self._offsets = labels.offsets.tolist()
        self._codes = labels.rows["label"].tolist()
        self._floats = {}
        if "confidence" in values:
            self._floats[f"{prefix}/confidence"] = np.ascontiguousarray(labels.rows["confidence"], "<f4").tobytes()
        self._sources = _source_values(labels) if "source" in values else None

    def features(self, index: int) -> dict[str, bytes]:
        """Returns the features of the labels of an image by key; `index` is its number in the shard."""
        start, end = self._offsets[index], self._offsets[index + 1]
        texts, ids = self._classes.features(self._codes[start:end])
        features = {self._text_key: texts, self._label_key: ids}
        for key, values in self._floats.items():
            features[key] = float_feature(values[4 * start : 4 * end])
        if self._sources is not None:
            features[self._source_key] = joined_bytes_feature(b"".join(self._sources[start:end]))
        return features


class MaskColumns:
    """The columns of the masks of a shard."""

    def __init__(self, masks: Masks, extra_keys: Collection[ExtraKeys]):
        """Lays out the columns.

        Args:
            masks: the masks of the shard's boxes.
            extra_keys: the extra keys of the dataset.
        """
        table = masks.table
        # A box without a mask has the index -1, so the last value is its value.
        self._box_ids = self._iou = None
        if ExtraKeys.BOX_ID in extra_keys:
            texts = table.text_columns[BOX_ID].to_pylist() if BOX_ID in table.text_columns else [b""] * len(table.rows)
            self._box_ids = [*texts, b""]
        if ExtraKeys.PREDICTED_IOU in extra_keys:
            self._iou = np.append(table.rows["predicted_iou"], np.float32(UNKNOWN_IOU)).astype("<f4")

    def features(self, masks: ImageMasks) -> dict[str, bytes]:
        """Returns the features of the masks of an image by key."""
        features = {MASK_KEY: bytes_feature(masks.encoded)}
        if masks.weights is not None:
            features[MASK_WEIGHT_KEY] = float_feature(np.array(masks.weights, "<f4").tobytes())
        if self._box_ids is not None:
            features[MASK_BOX_ID_KEY] = bytes_feature(tuple(self._box_ids[row] for row in masks.rows))
        if self._iou is not None:
            features[MASK_IOU_KEY] = float_feature(self._iou[list(masks.rows)].tobytes())
        return features


def _written_flags(layout: RecordLayout) -> list[str]:
    """Returns the flags that the records have: a flag whose column the input lacks is not there, which is not 0."""
    written = BOX_FLAGS + (("inside",) if ExtraKeys.INSIDE in layout.extra_keys else ())
    return [flag for flag in FLAGS if flag in written and flag in layout.flags]


def _flag_values(values: np.ndarray) -> bytes:
    """Returns flags as one byte each; unknown (-1) becomes 0, as every reader takes -1 for true."""
    return (values == 1).astype(np.uint8).tobytes()


def _take(values: bytes, width: int, places: Sequence[int] | None) -> bytes:
    """Returns the values, of `width` bytes each, at some places; None for all."""
    if places is None:
        return values
    return b"".join([values[width * place : width * (place + 1)] for place in places])


def _source_values(annotations: Annotations) -> list[bytes]:
    names = [bytes_value(name.encode()) for name in annotations.sources]
    return [names[code] for code in annotations.rows["source"].tolist()]
