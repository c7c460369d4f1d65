import json
import math

import pytest

from oi_tfrecord.explore.browse.image_page import describe_image, media_type
from oi_tfrecord.records.example_reader import RecordFault, parse_example
from oi_tfrecord.records.example_writer import bytes_feature, int64_feature
from tests.support.few_records import boxes, floats, image, make_example, texts

NAMES = {"/m/a": "Apple"}


def describe(**features: bytes) -> dict:
    return describe_image(parse_example(make_example(**image(), **features)), NAMES, {7: "/m/a"})


def test_boxes_have_corners_class_flags_and_source() -> None:
    facts = describe(
        **boxes((0.1, 0.2, 0.3, 0.4), (0, 0, 1, 1), mids=("/m/a", "/m/b")),
        object__group_of=int64_feature((0, 1)),
        object__inside=int64_feature((1, 1)),
        object__source=texts("xclick", "freeform"),
    )
    colours = [(box.pop("colour"), box.pop("ink")) for box in facts["boxes"]]
    assert colours[0][0] != colours[1][0]
    assert {ink for _, ink in colours} <= {"#000000", "#ffffff"}
    assert facts["boxes"] == [
        {
            "mid": "/m/a", "name": "Apple", "box": [0.2, 0.1, 0.4, 0.3], "flags": ["inside"], "source": "xclick",
            "confidence": None, "mask": False,
        },
        {
            "mid": "/m/b", "name": "/m/b", "box": [0, 0, 1, 1], "flags": ["group_of", "inside"], "source": "freeform",
            "confidence": None, "mask": False,
        },
    ]  # fmt: skip
    assert (facts["width"], facts["height"], facts["bytes"]) == (640, 480, len(b"jpeg"))


def test_labels_are_positive_negative_or_of_a_machine() -> None:
    facts = describe(
        class__label=int64_feature((7, 8)),
        class__confidence=floats(1, 0),
        class__source=texts("verification", "crowdsource-verification"),
        machine_class__text=texts("/m/c"),
        machine_class__confidence=floats(0.7),
    )
    assert [(row["mid"], row["kind"], row["confidence"], row["source"]) for row in facts["labels"]] == [
        ("/m/a", "positive", 1.0, "verification"),
        ("id 8", "negative", 0.0, "crowdsource-verification"),
        ("/m/c", "machine", 0.7, ""),
    ]


def test_attribution_is_what_the_record_has() -> None:
    facts = describe(attribution__author=texts("Ann"), attribution__title=texts(""))
    assert facts["attribution"] == {"author": "Ann"}


def test_numbers_that_json_lacks_are_no_obstacle() -> None:
    facts = describe(**boxes((math.nan, -math.inf, math.inf, 1), mids=("/m/a",)))
    assert json.loads(json.dumps(facts, allow_nan=False))["boxes"][0]["box"] == [0, 0, 1, 0]


def test_lists_that_do_not_fit_together_are_a_fault() -> None:
    with pytest.raises(RecordFault):
        describe(**boxes((0, 0, 1, 1), mids=("/m/a", "/m/b")))
    with pytest.raises(RecordFault):
        describe(**boxes((0, 0, 1, 1), mids=("/m/a",)), object__source=texts("a", "b"))


@pytest.mark.parametrize(
    ("encoded", "kind"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"\x89PNG\r\n\x1a\n", "image/png"),
        (b"<svg onload='x'>", "application/octet-stream"),
        (b"<html>", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_only_images_are_served_as_images(encoded: bytes, kind: str) -> None:
    assert media_type(encoded) == kind


def test_the_text_names_every_key() -> None:
    facts = describe(custom=bytes_feature((b"mine",)))
    assert "image/custom   bytes   1  mine\n" in facts["text"]


def test_a_box_has_a_mask_unless_an_empty_one_stands_in_for_a_missing_mask() -> None:
    two = boxes((0, 0, 1, 1), (0, 0, 1, 1), mids=("/m/a", "/m/b"))
    masks = bytes_feature((b"png", b"png"))
    assert [box["mask"] for box in describe(**two, object__mask=masks)["boxes"]] == [True, True]
    facts = describe(**two, object__mask=masks, object__mask__weight=floats(0, 1))
    assert [box["mask"] for box in facts["boxes"]] == [False, True]
