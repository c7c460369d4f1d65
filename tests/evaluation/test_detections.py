import gzip
import json
import pathlib

import numpy as np
import pytest

from oi_tfrecord.errors import InputError
from oi_tfrecord.evaluation.detections import Detections, read_detections
from oi_tfrecord.images.mask_rle import encode_mask, format_challenge_text
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem

CLASSES = LabelMap((LabelMapItem(1, "/m/a", "A"), LabelMapItem(4, "/m/b", "B")))
MASK = encode_mask(np.eye(4, 6, dtype=np.uint8))
TEXT = format_challenge_text(MASK)
SEGMENTATION = {"size": [4, 6], "counts": MASK.counts.decode()}


def read(folder: pathlib.Path, name: str, text: str) -> Detections:
    (folder / name).write_text(text)
    return read_detections(str(folder / name), CLASSES)


BOX_FORMS = {
    "rows.csv": "ImageID,LabelName,Score,XMin,XMax,YMin,YMax\ny,/m/b,0.5,0,0.5,0.25,1\nx,/m/a,0.75,0,1,0,1\n",
    "challenge.csv": "ImageId,PredictionString\ny,/m/b 0.5 0 0.25 0.5 1\nx,{/m/a 0.75 0 0 1 1}\nz,\n",
    "rows.json": json.dumps(
        [
            {"ImageID": "y", "LabelName": "/m/b", "Score": 0.5, "XMin": 0, "XMax": 0.5, "YMin": 0.25, "YMax": 1},
            {"ImageID": "x", "LabelName": "/m/a", "Score": 0.75, "XMin": 0, "XMax": 1, "YMin": 0, "YMax": 1},
        ]
    ),
    "coco.json": json.dumps(
        [
            {"image_id": "y", "category_id": 4, "score": 0.5, "bbox": [0, 1, 3, 3]},
            {"image_id": "x", "category_id": 1, "score": 0.75, "bbox": [0, 0, 6, 4]},
        ]
    ),
    "arrays.json": json.dumps(
        {
            "y": {"boxes": [[0.25, 0, 1, 0.5]], "scores": [0.5], "classes": [4]},
            "x": {"boxes": [[0, 0, 1, 1]], "scores": [0.75], "classes": [1]},
        }
    ),
}


@pytest.mark.parametrize("name", BOX_FORMS)
def test_each_form_of_boxes_gives_the_same_detections(name: str, tmp_path: pathlib.Path) -> None:
    detections = read(tmp_path, name, BOX_FORMS[name])
    assert detections.images == ("x", "y")
    index = detections.find(["none", "y"])
    assert index == 1
    found = detections.of_image(index, width=6, height=4)
    assert found.labels.tolist() == [4]
    assert found.scores.tolist() == [0.5]
    assert found.boxes.tolist() == [[0.25, 0, 1, 0.5]]
    assert not found.masks
    assert detections.find(["z"]) is None


MASK_FORMS = {
    "rows.csv": f"ImageID,ImageWidth,ImageHeight,LabelName,Score,Mask\ny,6,4,/m/b,0.5,{TEXT}\n",
    "challenge.csv": f"ImageID,ImageWidth,ImageHeight,PredictionString\ny,6,4,/m/b 0.5 {TEXT}\n",
    "rows.json": json.dumps(
        [{"ImageID": "y", "LabelName": "/m/b", "Score": 0.5, "ImageWidth": 6, "ImageHeight": 4, "Mask": TEXT}]
    ),
    "coco.json": json.dumps([{"image_id": "y", "category_id": 4, "score": 0.5, "segmentation": SEGMENTATION}]),
    # The diagonal of 4 rows and 6 columns: one pixel, then each time a whole column and the pixel below.
    "numbers.json": json.dumps(
        [
            {
                "image_id": "y",
                "category_id": 4,
                "score": 0.5,
                "segmentation": {"size": [4, 6], "counts": [0, 1, 4, 1, 4, 1, 4, 1, 8]},
            }
        ]
    ),
}


@pytest.mark.parametrize("name", MASK_FORMS)
def test_each_form_of_masks_gives_the_same_detections(name: str, tmp_path: pathlib.Path) -> None:
    found = read(tmp_path, name, MASK_FORMS[name]).of_image(0, width=6, height=4)
    assert found.labels.tolist() == [4]
    assert found.masks == (MASK,)
    # The box is that of the mask: 4 of 6 columns.
    assert found.boxes.tolist() == [[0, 0, 1, 4 / 6]]


def test_a_long_row_and_a_compressed_file_are_read(tmp_path: pathlib.Path) -> None:
    text = "ImageID,PredictionString\nx," + "/m/a 0.5 0 0 1 1 " * 20_000 + "\n"
    with gzip.open(tmp_path / "found.csv.gz", "wt") as file:
        file.write(text)
    assert len(read_detections(str(tmp_path / "found.csv.gz"), CLASSES).columns.labels) == 20_000


def test_unknown_classes_are_counted(tmp_path: pathlib.Path) -> None:
    detections = read(tmp_path, "a.csv", "ImageID,PredictionString\nx,/m/c 1 0 0 1 1 /m/c 1 0 0 1 1 /m/a 1 0 0 1 1\n")
    assert detections.unknown_classes == {"/m/c": 2}
    assert len(detections.columns.labels) == 1
    coco = [{"image_id": 7, "category_id": 2, "score": 1, "bbox": [0, 0, 1, 1]}]
    assert read(tmp_path, "a.json", json.dumps(coco)).unknown_classes == {"id 2": 1}


FAULTS = {
    "header.csv": ("ImageID,Label\n", "line 1: the header 'ImageID,Label' is that of no form of detections"),
    "empty.csv": ("", "line 1: the header '' is that of no form"),
    "words.csv": ("ImageID,PredictionString\nx,/m/a 1 0 0 1\n", "line 2: PredictionString has 5 words"),
    "number.csv": ("ImageID,PredictionString\ny,\nx,/m/a 1 0 0 1 one\n", "line 3: YMax is 'one', which is no finite"),
    "nan.csv": ("ImageID,LabelName,Score,XMin,XMax,YMin,YMax\nx,/m/a,nan,0,1,0,1\n", "line 2: Score is 'nan'"),
    "fields.csv": ("ImageID,PredictionString\nx\n", "line 2: the row has 1 fields, but the header 2"),
    "mask.csv": (
        "ImageID,ImageWidth,ImageHeight,LabelName,Score,Mask\nx,6,4,/m/a,1,zz\n",
        r"line 2: the mask is not base64\(zlib\(run lengths\)\)",
    ),
    "size.csv": (f"ImageID,ImageWidth,ImageHeight,LabelName,Score,Mask\nx,2,2,/m/a,1,{TEXT}\n", "line 2: total counts"),
    "text.json": ("{", "is not JSON"),
    "number.json": ("3", "is no list of detections"),
    "item.json": ("[3]", "item 1: is no JSON object"),
    "key.json": ('[{"image_id": 1, "score": 1, "bbox": [0, 0, 1, 1]}]', "item 1: category_id is missing"),
    "box.json": ('[{"image_id": 1, "category_id": 1, "score": 1, "bbox": [0, 0, 1]}]', r"item 1: bbox is \[0, 0, 1\]"),
    "score.json": ('[{"image_id": 1, "category_id": 1, "score": "?", "bbox": [0, 0, 1, 1]}]', "item 1: score is '?'"),
    "polygon.json": (
        '[{"image_id": 1, "category_id": 1, "score": 1, "segmentation": [[0, 0, 1, 1]]}]',
        "item 1: segmentation is not",
    ),
    "sum.json": (
        '[{"image_id": 1, "category_id": 1, "score": 1, "segmentation": {"size": [4, 6], "counts": [0, 1, 4]}}]',
        "item 1: the run lengths do not add up to 6x4 pixels",
    ),
    "arrays.json": ('{"x": {"boxes": [], "scores": [1], "classes": []}}', "image 'x' has no boxes, scores and classes"),
    "mixed.json": (
        json.dumps(
            [
                {"image_id": 1, "category_id": 1, "score": 1, "bbox": [0, 0, 1, 1]},
                {"image_id": 1, "category_id": 1, "score": 1, "segmentation": SEGMENTATION},
            ]
        ),
        "item 2: only this detection has a mask",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_malformed_row_is_named(name: str, tmp_path: pathlib.Path) -> None:
    text, message = FAULTS[name]
    with pytest.raises(InputError, match=message.replace("?'", r"\?'")):
        read(tmp_path, name, text)


def test_text_that_is_no_utf_8_is_named(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"ImageID,PredictionString\n\xff,\n")
    with pytest.raises(InputError, match="the text is not UTF-8"):
        read_detections(str(tmp_path / "a.csv"), CLASSES)


def test_a_mask_of_another_size_is_named(tmp_path: pathlib.Path) -> None:
    detections = read(tmp_path, "rows.csv", MASK_FORMS["rows.csv"])
    with pytest.raises(InputError, match="line 2: the mask has 6x4 pixels, but the image 12x8"):
        detections.of_image(0, width=12, height=8)


def test_boxes_in_pixels_need_the_size_of_the_image(tmp_path: pathlib.Path) -> None:
    detections = read(tmp_path, "coco.json", BOX_FORMS["coco.json"])
    with pytest.raises(InputError, match="the record of x has no size"):
        detections.of_image(0, width=0, height=0)
