import pathlib

import pytest

from oi_tfrecord.dataset.ground_truth import GroundTruth, read_ground_truth, read_ground_truths
from oi_tfrecord.dataset.splits import find_splits
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.example_reader import RecordFault, parse_example
from oi_tfrecord.records.example_writer import int64_feature
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from tests.support.few_records import boxes, floats, image, make_example, texts, write_shard

IDS = {"/m/a": 1, "/m/b": 4}


def read(**features: bytes) -> GroundTruth:
    return read_ground_truth(parse_example(make_example(**features)), IDS)


def test_coordinates_are_the_decimals_of_the_table() -> None:
    truth = read(**image(image_id="a" * 16), **boxes((0.1, 0.2, 0.653061, 0.875), mids=["/m/b"]))
    assert truth.boxes.tolist() == [[0.1, 0.2, 0.653061, 0.875]]
    assert truth.labels.tolist() == [4]
    assert truth.is_group.tolist() == [False]
    assert (truth.image_id, truth.width, truth.height, truth.masks) == ("a" * 16, 640, 480, ())


def test_an_image_has_the_names_that_detections_may_give() -> None:
    numbered = image(image_id="17") | {"filename": texts("0123456789abcdef.jpg")}
    truth = read(**numbered, **boxes(mids=[]))
    assert truth.image_id == "0123456789abcdef"
    assert truth.names == ("0123456789abcdef", "17", "0123456789abcdef.jpg")


def test_labels_without_confidences_are_present() -> None:
    label = {"class__label": int64_feature([1, 4])}
    assert read(**image(), **label).confidences.tolist() == [1, 1]
    absent = {"class__confidence": floats(1, 0)}
    assert read(**image(), **label, **absent).confidences.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (boxes((0, 0, 1, 1), mids=["/m/none"]), "the class '/m/none' is not in the label map"),
        ({"class__label": int64_feature([3])}, "the class 3 is not in the label map"),
        (boxes((0, 0, 1, 1), mids=["/m/a"]) | {"object__mask": texts("x", "y")}, "2 values of image/object/mask for 1"),
        (boxes((0, 0, 1, 1), mids=["/m/a", "/m/a"]), "1 values of image/object/bbox/ymin for 2"),
    ],
)
def test_lists_that_do_not_belong_together_are_faults(features: dict[str, bytes], message: str) -> None:
    with pytest.raises(RecordFault, match=message):
        read(**image(), **features)


def test_the_record_is_named(tmp_path: pathlib.Path) -> None:
    good, bad = make_example(**image(), **boxes(mids=[])), make_example(**image(), class__label=int64_feature([3]))
    write_shard(tmp_path / "test.tfrecord-00000-of-00001", [good, bad])
    label_map = LabelMap((LabelMapItem(1, "/m/a", "A"),))
    truths = read_ground_truths(find_splits(str(tmp_path))["test"], label_map)
    assert next(truths).image_id.endswith("test.tfrecord-00000-of-00001:0")
    with pytest.raises(InputError, match="record 1: the class 3 is not in the label map"):
        next(truths)
