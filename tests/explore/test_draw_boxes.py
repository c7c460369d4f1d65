import io

import numpy as np
from PIL import Image

from oi_tfrecord.explore.class_colours import colour_of
from oi_tfrecord.explore.draw_boxes import DrawnBox, boxes_of, draw_boxes, outline_boxes
from oi_tfrecord.records.example_reader import Values
from tests.support.mask_release import png_of


def picture(size: tuple[int, int] = (200, 100)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (128, 128, 128)).save(buffer, "JPEG")
    return buffer.getvalue()


def test_boxes_are_drawn_in_the_colour_of_their_class_where_they_are() -> None:
    png = draw_boxes(picture(), [DrawnBox(0.5, 0.25, 0.9, 0.75, 3, "Tree")])
    drawn = Image.open(io.BytesIO(png))
    assert (drawn.format, drawn.size) == ("PNG", (200, 100))
    for corner in ((50, 50), (149, 50), (50, 89), (149, 89), (100, 89)):
        assert drawn.getpixel(corner) == colour_of(3)
    assert drawn.getpixel((100, 70)) == drawn.getpixel((199, 99))
    # The name stands above the box, on its colour.
    assert drawn.getpixel((52, 40)) == colour_of(3)


def test_boxes_that_are_wild_do_not_stop_the_drawing() -> None:
    wild = [DrawnBox(float("nan"), -1, 2, float("inf"), 1, "a"), DrawnBox(0.9, 0.9, 0.1, 0.1, 2, "b" * 500)]
    assert Image.open(io.BytesIO(draw_boxes(picture((3, 2)), wild))).size == (3, 2)


def test_outlines_have_no_names() -> None:
    small = Image.new("RGB", (40, 20))
    outline_boxes(small, [DrawnBox(0.5, 0.25, 0.9, 0.75, 3, "Tree")])
    assert small.getpixel((10, 10)) == colour_of(3)
    assert small.getpixel((12, 4)) == (0, 0, 0)


def test_boxes_of_a_record_have_names_and_flags() -> None:
    features = {f"image/object/bbox/{side}": np.array([0.1, 0.2], np.float32) for side in ("ymin", "xmin")}
    features |= {f"image/object/bbox/{side}": np.array([0.5, 0.6], np.float32) for side in ("ymax", "xmax")}
    features["image/object/class/label"] = np.array([7, 8])
    features["image/object/group_of"] = np.array([0, 1])
    features["image/object/occluded"] = np.array([0, 1])
    boxes = boxes_of(features, ["Tree"])
    assert [(box.label, box.text) for box in boxes] == [(7, "Tree"), (8, "? (group, occluded)")]
    assert np.allclose((boxes[1].ymin, boxes[1].xmax), (0.2, 0.6))
    features["image/object/bbox/ymin"] = np.zeros(1, np.float32)
    assert boxes_of(features, []) == []
    assert boxes_of({}, []) == []


def test_masks_shade_their_pixels_in_the_colour_of_the_class() -> None:
    mask = np.zeros((10, 20), np.uint8)
    mask[2:8, 5:10] = 1
    box = DrawnBox(0, 0, 1, 1, 3, "Tree", mask)
    drawn = np.asarray(Image.open(io.BytesIO(draw_boxes(picture(), [box]))), int)
    plain = np.asarray(Image.open(io.BytesIO(draw_boxes(picture(), [DrawnBox(0, 0, 1, 1, 3, "Tree")]))), int)
    is_shaded = (drawn != plain).any(axis=2)
    # Ten pixels of the picture for each of the mask; the name of the box hides none of them.
    assert is_shaded[20:80, 50:100].all()
    assert np.count_nonzero(is_shaded) == 60 * 50
    expected = 0.55 * plain[50, 60] + 0.45 * np.array(colour_of(3))
    assert np.abs(drawn[50, 60] - expected).max() <= 1


def test_masks_of_a_record_are_read_and_damaged_ones_are_left_out() -> None:
    features: dict[str, Values] = {
        f"image/object/bbox/{side}": np.array([0.1, 0.2], np.float32) for side in ("ymin", "xmin", "ymax", "xmax")
    }
    features["image/object/mask"] = [png_of(np.eye(3, dtype=bool)), b"no PNG"]
    masks = [box.mask for box in boxes_of(features, ["a", "b"])]
    assert masks[0].tolist() == np.eye(3).tolist()
    assert masks[1].size == 0
