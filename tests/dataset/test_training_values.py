import numpy as np
import pytest

from oi_tfrecord.dataset.training_values import VALUE_SPECS, torchvision_values, training_values
from oi_tfrecord.errors import ConfigError
from oi_tfrecord.records.keys import BOX_FLAGS

NONE = np.zeros(0, np.int64)
EXAMPLE = {
    "image/source_id": [b"id"],
    "image/height": np.array([2]),
    "image/width": np.array([3]),
    "image/object/bbox/ymin": np.array([0.1, 0.2], np.float32),
    "image/object/bbox/xmin": np.array([0.3, 0.4], np.float32),
    "image/object/bbox/ymax": np.array([0.5, 0.6], np.float32),
    "image/object/bbox/xmax": np.array([0.7, 0.8], np.float32),
    "image/object/class/label": np.array([5, 6]),
    "image/object/group_of": np.array([0, 1]),
    "image/class/label": np.array([7]),
    "image/class/confidence": np.array([0], np.float32),
}


def test_values_of_a_record() -> None:
    values = training_values(EXAMPLE)
    assert list(values) == list(VALUE_SPECS)
    assert values["image_id"] == b"id"
    assert (values["height"], values["width"]) == (2, 3)
    # ymin, xmin, ymax, xmax
    assert values["boxes"].tolist() == np.array([[0.1, 0.3, 0.5, 0.7], [0.2, 0.4, 0.6, 0.8]], np.float32).tolist()
    assert values["labels"].tolist() == [5, 6]
    assert values["group_of"].tolist() == [0, 1]
    assert values["occluded"].tolist() == [0, 0]
    assert values["image_labels"].tolist() == [7]
    assert values["image_confidences"].tolist() == [0]


@pytest.mark.parametrize("empty", [None, NONE])
def test_an_image_without_annotations(empty: np.ndarray | None) -> None:
    bare = {key: EXAMPLE[key] if key.count("/") == 1 else empty for key in EXAMPLE}
    values = training_values(bare)
    assert values["boxes"].shape == (0, 4)
    assert values["boxes"].dtype == np.float32
    assert all(len(values[name]) == 0 for name in ("labels", *BOX_FLAGS, "image_labels", "image_confidences"))


def test_labels_without_confidences_are_present() -> None:
    values = training_values({key: value for key, value in EXAMPLE.items() if key != "image/class/confidence"})
    assert values["image_confidences"].tolist() == [1]


def test_boxes_of_torchvision_are_pixels_and_have_an_area() -> None:
    values = {
        "image": np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3),
        "boxes": np.array([[0, 0.25, 1, 0.5], [0.5, 0, 0.5, 1], [0.2, 0.3, 0.4, 0.3], [0.9, 0, 0.1, 1]], np.float32),
        "labels": np.array([3, 4, 5, 6]),
        "group_of": np.array([1, 0, 0, 0]),
        "image_id": b"a1",
        "masks": np.ones((4, 2, 4), np.uint8),
        "image/object/class/text": [b"/m/a", b"/m/b", b"/m/c", b"/m/d"],
    }
    image, target = torchvision_values(values, ["image/object/class/text"])
    assert (image.shape, image.dtype, image.flags.writeable) == ((3, 2, 4), np.float32, True)
    np.testing.assert_allclose(image[1, 1, 2], values["image"][1, 2, 1] / 255)
    assert target["boxes"].tolist() == [[1, 0, 2, 2]]
    assert (target["boxes"].dtype, target["labels"].dtype) == (np.float32, np.int64)
    assert (target["labels"].tolist(), target["iscrowd"].tolist(), target["area"].tolist()) == ([3], [1], [2])
    assert (target["image_id"], target["image/object/class/text"]) == ("a1", [b"/m/a"])
    assert (target["masks"].shape, target["masks"].dtype) == ((1, 2, 4), np.uint8)
    with pytest.raises(ConfigError, match="4 boxes and 0 masks"):
        torchvision_values({**values, "masks": np.zeros((0, 2, 4), np.uint8)})
