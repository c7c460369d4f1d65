"""The ground truth of an image as evaluation needs it, from its record."""

import dataclasses
import posixpath
import re
from collections.abc import Iterator, Mapping

import numpy as np

from oi_tfrecord import storage
from oi_tfrecord.dataset.splits import Split, read_shard
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.example_reader import (
    ExampleError,
    RecordFault,
    Values,
    check_lengths,
    decode,
    get_bytes,
    get_integer,
    get_numbers,
    get_strings,
    parse_example,
)
from oi_tfrecord.records.keys import (
    BBOX_KEYS,
    BOX_LABEL_KEY,
    BOX_TEXT_KEY,
    FILENAME_KEY,
    HEIGHT_KEY,
    LABEL_CONFIDENCE_KEY,
    LABEL_KEY,
    LABEL_TEXT_KEY,
    MASK_KEY,
    SOURCE_ID_KEY,
    WIDTH_KEY,
    flag_key,
)
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.records.tfrecord import FramingError

_IMAGE_ID = re.compile("[0-9a-f]{16}")

_REMEDY = "`oi-tfrecord verify` lists all faults; convert the split again"


@dataclasses.dataclass(frozen=True)
class GroundTruth:
    """What people say about an image.

    Attributes:
        image_id: the ImageID; without one, the source id or the name of the file.
        names: names that detections may give the image: ImageID, source id, name of the file.
        width: in pixels; 0 in third-party records without a size.
        height: in pixels; 0 in third-party records without a size.
        boxes: float64 [n, 4] (ymin, xmin, ymax, xmax), normalised; the shortest decimals that the record's float32
            stand for, so that they equal the numbers of the published tables.
        labels: int64 [n], label map id of each box.
        is_group: bool [n], whether a box is that of a group.
        masks: PNG of each box, empty bytes for none; no item if the record has no masks.
        verified: int64 [k], label map ids of the human-verified image labels.
        confidences: float32 [k], 1 for a class that is present and 0 for one that is absent.
    """

    image_id: str
    names: tuple[str, ...]
    width: int
    height: int
    boxes: np.ndarray
    labels: np.ndarray
    is_group: np.ndarray
    masks: tuple[bytes, ...]
    verified: np.ndarray
    confidences: np.ndarray


def read_ground_truths(split: Split, label_map: LabelMap) -> Iterator[GroundTruth]:
    """Yields the ground truth of each record of a split, in order.

    Args:
        split: the shards.
        label_map: gives the ids of classes in records that have names only.

    Raises:
        InputError: naming the shard and the record that cannot be read.
    """
    for path in split.shards:
        if not storage.exists(path):
            raise InputError(path, "is missing, though the manifest names it", _REMEDY)
        number = 0
        try:
            for number, (_, data) in enumerate(read_shard(path)):
                truth = read_ground_truth(parse_example(data), label_map.id_of)
                yield truth if truth.image_id else dataclasses.replace(truth, image_id=f"{path}:{number}")
        except FramingError as error:
            raise InputError(path, str(error), _REMEDY) from error
        except (RecordFault, ExampleError) as error:
            raise InputError(path, f"record {number}: {error}", _REMEDY) from error


def read_ground_truth(example: Mapping[str, Values], id_of: Mapping[str, int]) -> GroundTruth:
    """Returns the ground truth of a record.

    Args:
        example: a record as `parse_example` returns it.
        id_of: MID to label map id.

    Raises:
        RecordFault: if lists do not belong together, or a class is not in the label map.
    """
    file_name, source_id = (decode(get_bytes(example, key)) for key in (FILENAME_KEY, SOURCE_ID_KEY))
    stem = posixpath.splitext(posixpath.basename(file_name))[0]
    image_id = stem if _IMAGE_ID.fullmatch(stem) else source_id or file_name
    sides = [get_numbers(example, key) for key in BBOX_KEYS]
    labels = _read_ids(example, BOX_LABEL_KEY, BOX_TEXT_KEY, id_of)
    groups = get_numbers(example, flag_key("group_of"))
    verified = _read_ids(example, LABEL_KEY, LABEL_TEXT_KEY, id_of)
    confidences = get_numbers(example, LABEL_CONFIDENCE_KEY)
    masks = get_strings(example, MASK_KEY)
    lengths = {key: len(side) for key, side in zip(BBOX_KEYS, sides, strict=True)}
    lengths |= {MASK_KEY: len(masks)} if masks else {}
    lengths |= {flag_key("group_of"): len(groups)} if len(groups) else {}
    check_lengths(lengths, len(labels))
    if len(confidences):
        check_lengths({LABEL_CONFIDENCE_KEY: len(confidences)}, len(verified))
    return GroundTruth(
        image_id,
        tuple(dict.fromkeys(filter(None, (image_id, source_id, file_name, stem)))),
        get_integer(example, WIDTH_KEY),
        get_integer(example, HEIGHT_KEY),
        _to_decimals(np.stack(sides, axis=-1)),
        labels,
        groups.astype(bool) if len(groups) else np.zeros(len(labels), bool),
        tuple(masks),
        verified,
        # Third-party records have no confidences: there, each label means that its class is present.
        confidences.astype(np.float32) if len(confidences) else np.ones(len(verified), np.float32),
    )


def _read_ids(example: Mapping[str, Values], id_key: str, text_key: str, id_of: Mapping[str, int]) -> np.ndarray:
    """Returns the label map ids of boxes or labels, from their names in a record without ids."""
    ids = get_numbers(example, id_key).astype(np.int64)
    if len(ids):
        known = set(id_of.values())
        unknown = [str(number) for number in ids.tolist() if number not in known]
    else:
        names = [decode(name) for name in get_strings(example, text_key)]
        unknown = [repr(name) for name in names if name not in id_of]
        ids = np.array([id_of.get(name, 0) for name in names], np.int64)
    if unknown:
        raise RecordFault(f"the class {unknown[0]} is not in the label map")
    return ids


def _to_decimals(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).astype("U32").astype(np.float64)
