"""Reads detections from JSON: results of COCO, rows with ImageID and MID, or arrays by image.

Source of the results of COCO: cocodataset.org/#format-results, and `loadRes` of pycocotools/coco.py.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from oi_tfrecord.errors import InputError
from oi_tfrecord.evaluation.detection_rows import (
    NO_BOX,
    REMEDY,
    SIDES,
    DetectionRow,
    ParsedDetection,
    RowFault,
    parse_numbers,
    parse_size,
)
from oi_tfrecord.images.mask_rle import MaskRle, MaskTextError, compress_counts, parse_challenge_text, parse_counts
from oi_tfrecord.openimages.csv.files import open_decompressed
from oi_tfrecord.records.label_map import LabelMap

_FORMS = (
    "Give a list of COCO results (image_id, category_id, bbox, score), a list of rows (ImageID, LabelName, Score, "
    "XMin, XMax, YMin, YMax), or an object of ImageID to boxes, scores and classes"
)


def read_json(path: str, label_map: LabelMap) -> tuple[bool, Iterator[DetectionRow]]:
    """Returns whether the boxes are in pixels, and the detections; see `detections.read_detections`."""
    with open_decompressed(path) as stream:
        try:
            given = json.load(stream)
        except (ValueError, RecursionError) as error:
            raise InputError(path, f"is not JSON: {error}", _FORMS) from error
    label_of_ids = {_name_id(number): number for number in label_map.id_of.values()}
    if isinstance(given, dict):
        return False, _read_items(_flatten(given, path), _parse_array_item, label_of_ids, path)
    if not isinstance(given, list):
        raise InputError(path, "is no list of detections and no object of images", _FORMS)
    if given and isinstance(given[0], dict) and "image_id" in given[0]:
        return True, _read_items(given, _parse_result, label_of_ids, path)
    return False, _read_items(given, _parse_row, label_map.id_of, path)


def _name_id(number: int) -> str:
    """Returns the name of a class in a file that gives label map ids."""
    return f"id {number}"


def _read_items(
    items: Iterable[Any],
    parse: Callable[[Mapping[str, Any]], ParsedDetection],
    label_of: Mapping[str, int],
    path: str,
) -> Iterator[DetectionRow]:
    for place, item in enumerate(items, start=1):
        try:
            if not isinstance(item, dict):
                raise RowFault("is no JSON object")
            parsed = parse(item)
        except KeyError as error:
            raise InputError(path, f"item {place}: {error.args[0]} is missing", _FORMS) from error
        except (RowFault, MaskTextError) as error:
            raise InputError(path, f"item {place}: {error}", REMEDY) from error
        yield DetectionRow(place, label_of.get(parsed.class_name, 0), parsed)


def _parse_result(item: Mapping[str, Any]) -> ParsedDetection:
    """Parses a result of COCO: `bbox` is (x, y, width, height) in pixels."""
    image, class_name = str(item["image_id"]), _parse_id(item["category_id"], "category_id")
    (score,) = parse_numbers([item["score"]], ("score",))
    mask = _parse_segmentation(item["segmentation"]) if "segmentation" in item else None
    if mask is not None and "bbox" not in item:
        return ParsedDetection(image, class_name, score, NO_BOX, mask)
    x, y, width, height = _parse_four(item["bbox"], ("x", "y", "width", "height"), "bbox")
    return ParsedDetection(image, class_name, score, (y, x, y + height, x + width), mask)


def _parse_segmentation(value: Any) -> MaskRle:
    size, counts = (value.get("size"), value.get("counts")) if isinstance(value, dict) else (None, None)
    if not isinstance(size, list) or len(size) != 2 or not isinstance(counts, str | list):
        raise RowFault("segmentation is not {size: [height, width], counts: ...}, the run lengths of COCO")
    width, height = parse_size(size[::-1])
    if isinstance(counts, list):
        return compress_counts(counts, width, height)
    return parse_counts(counts, width, height)


def _parse_row(item: Mapping[str, Any]) -> ParsedDetection:
    """Parses a row with the columns of the official program's CSV."""
    image, name = str(item["ImageID"]), str(item["LabelName"])
    (score,) = parse_numbers([item["Score"]], ("Score",))
    if "Mask" in item:
        size = parse_size([item["ImageWidth"], item["ImageHeight"]])
        return ParsedDetection(image, name, score, NO_BOX, parse_challenge_text(str(item["Mask"]), *size))
    ymin, xmin, ymax, xmax = parse_numbers([item[side] for side in SIDES], SIDES)
    return ParsedDetection(image, name, score, (ymin, xmin, ymax, xmax))


def _flatten(images: Mapping[str, Any], path: str) -> Iterator[Mapping[str, Any]]:
    """Yields an item for each detection of arrays by image: `boxes`, `scores` and `classes`."""
    for image, values in images.items():
        try:
            rows = list(zip(values["boxes"], values["scores"], values["classes"], strict=True))
        except (TypeError, KeyError, ValueError) as error:
            problem = f"image {image!r} has no boxes, scores and classes of equal length"
            raise InputError(path, problem, _FORMS) from error
        for box, score, class_id in rows:
            yield {"image": image, "box": box, "score": score, "class": class_id}


def _parse_array_item(item: Mapping[str, Any]) -> ParsedDetection:
    (score,) = parse_numbers([item["score"]], ("score",))
    box = _parse_four(item["box"], SIDES, "the box")
    return ParsedDetection(item["image"], _parse_id(item["class"], "the class"), score, box)


def _parse_id(value: Any, name: str) -> str:
    """Returns the name of the class that has a label map id."""
    (number,) = parse_numbers([value], (name,))
    if number % 1:
        raise RowFault(f"{name} is {value!r}, which is no label map id")
    return _name_id(int(number))


def _parse_four(value: Any, names: Sequence[str], name: str) -> tuple[float, float, float, float]:
    if not isinstance(value, list) or len(value) != 4:
        raise RowFault(f"{name} is {value!r}, not [{', '.join(names)}]")
    first, second, third, fourth = parse_numbers(value, names)
    return first, second, third, fourth
