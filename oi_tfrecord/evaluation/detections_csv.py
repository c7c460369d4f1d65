"""Reads detections from CSV: a row per detection, or the challenge's rows per image with a PredictionString.

Sources: the columns that metrics/oid_challenge_evaluation_utils.py of the Object Detection API reads, and the
submission format of the challenges of 2018 and 2019 (storage.googleapis.com/openimages/web/challenge2019.html).
"""

import csv
import io
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence

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
from oi_tfrecord.images.mask_rle import MaskTextError, parse_challenge_text
from oi_tfrecord.openimages.csv.files import open_decompressed
from oi_tfrecord.records.label_map import LabelMap

_COLUMNS = {
    name.lower(): name
    for name in ("ImageID", "LabelName", "Score", *SIDES, "ImageWidth", "ImageHeight", "Mask", "PredictionString")
}
"""Column in lower case to its name; submissions spell ImageID and ImageId."""

_FORMS = (
    "The columns are ImageID,PredictionString or ImageID,ImageWidth,ImageHeight,PredictionString (a row per image), or "
    "ImageID,LabelName,Score with XMin,XMax,YMin,YMax or ImageWidth,ImageHeight,Mask (a row per detection)"
)

_BRACES = str.maketrans("{},", "   ")


def read_csv_rows(path: str, label_map: LabelMap) -> Iterator[DetectionRow]:
    """Yields the detections of a CSV, with normalised boxes; see `detections.read_detections`."""
    # A PredictionString with masks is longer than the 128 KiB that the csv module takes by default.
    csv.field_size_limit(sys.maxsize)
    with open_decompressed(path) as stream:
        reader = csv.reader(io.TextIOWrapper(stream, "utf-8-sig", newline=""), strict=True)
        try:
            columns = [_COLUMNS.get(name.strip().lower(), name) for name in next(reader, [])]
            parse = _choose_form(columns, path)
            for fields in filter(None, reader):
                for parsed in parse(_name_fields(columns, fields)):
                    yield DetectionRow(reader.line_num, label_map.id_of.get(parsed.class_name, 0), parsed)
        except (csv.Error, RowFault, MaskTextError) as error:
            raise InputError(path, str(error), REMEDY, reader.line_num) from error
        except UnicodeDecodeError as error:
            raise InputError(path, "the text is not UTF-8", "Save the file as UTF-8", reader.line_num + 1) from error


def _name_fields(columns: Sequence[str], fields: Sequence[str]) -> Mapping[str, str]:
    if len(fields) != len(columns):
        raise RowFault(f"the row has {len(fields)} fields, but the header {len(columns)}")
    return dict(zip(columns, fields, strict=True))


def _choose_form(columns: Sequence[str], path: str) -> Callable[[Mapping[str, str]], Iterator[ParsedDetection]]:
    for needed, parse in (
        (("ImageID", "ImageWidth", "ImageHeight", "PredictionString"), _parse_mask_predictions),
        (("ImageID", "PredictionString"), _parse_box_predictions),
        (("ImageID", "LabelName", "Score", "ImageWidth", "ImageHeight", "Mask"), _parse_mask),
        (("ImageID", "LabelName", "Score", *SIDES), _parse_box),
    ):
        if set(needed) <= set(columns):
            return parse
    raise InputError(path, f"the header {','.join(columns)!r} is that of no form of detections", _FORMS, 1)


def _parse_box(row: Mapping[str, str]) -> Iterator[ParsedDetection]:
    names = ("Score", *SIDES)
    score, ymin, xmin, ymax, xmax = parse_numbers([row[name] for name in names], names)
    yield ParsedDetection(row["ImageID"], row["LabelName"], score, (ymin, xmin, ymax, xmax))


def _parse_mask(row: Mapping[str, str]) -> Iterator[ParsedDetection]:
    (score,) = parse_numbers([row["Score"]], ("Score",))
    size = parse_size([row["ImageWidth"], row["ImageHeight"]])
    yield ParsedDetection(row["ImageID"], row["LabelName"], score, NO_BOX, parse_challenge_text(row["Mask"], *size))


def _parse_box_predictions(row: Mapping[str, str]) -> Iterator[ParsedDetection]:
    names = ("Score", "XMin", "YMin", "XMax", "YMax")
    for name, *values in _group_words(row["PredictionString"], ("Label", *names)):
        score, xmin, ymin, xmax, ymax = parse_numbers(values, names)
        yield ParsedDetection(row["ImageID"], name, score, (ymin, xmin, ymax, xmax))


def _parse_mask_predictions(row: Mapping[str, str]) -> Iterator[ParsedDetection]:
    size = parse_size([row["ImageWidth"], row["ImageHeight"]])
    for name, text, mask in _group_words(row["PredictionString"], ("Label", "Score", "Mask")):
        (score,) = parse_numbers([text], ("Score",))
        yield ParsedDetection(row["ImageID"], name, score, NO_BOX, parse_challenge_text(mask, *size))


def _group_words(text: str, names: Sequence[str]) -> Iterator[list[str]]:
    """Yields the words of each detection of a PredictionString, `{Label Score ...} {Label Score ...}`."""
    words = text.translate(_BRACES).split()
    if len(words) % len(names):
        raise RowFault(f"PredictionString has {len(words)} words, which are no groups of {' '.join(names)}")
    for start in range(0, len(words), len(names)):
        yield words[start : start + len(names)]
