import math

import numpy as np
import pytest

from oi_tfrecord.explore.report import record_stats
from oi_tfrecord.explore.report.box_shapes import ASPECT_BINS
from oi_tfrecord.explore.report.record_stats import (
    CLASS_COUNTS,
    LONG_SIDE_STEP,
    RecordStats,
    measure_records,
    merge_stats,
)
from oi_tfrecord.records.example_reader import ExampleError, RecordFault
from oi_tfrecord.records.example_writer import bytes_feature, int64_feature
from tests.support.few_records import boxes, floats, image
from tests.support.few_records import make_example as example

DOG, CAT = "/m/0bt9lr", "/m/01yrx"


RICH = example(
    **image(),
    **boxes((0, 0, 1, 1), (0, 0, 0.5, 0.5), (0.25, 0.25, 0.75, 0.5), mids=(DOG, DOG, CAT)),
    object__group_of=int64_feature((1, 0, 0)),
    object__occluded=int64_feature((1, 1, 0)),
    object__source=bytes_feature((b"xclick", b"xclick", b"activemil")),
    class__text=bytes_feature((DOG.encode(), CAT.encode())),
    class__confidence=floats(1, 0),
    class__source=bytes_feature((b"verification", b"crowdsource-verification")),
    machine_class__text=bytes_feature((DOG.encode(),)),
    attribution__license=bytes_feature((b"CC BY",)),
)


def test_a_record_is_counted_by_class_flag_and_source() -> None:
    stats = measure_records([RICH], {})
    assert {mid: dict(zip(CLASS_COUNTS, counts.tolist(), strict=True)) for mid, counts in stats.classes.items()} == {
        DOG: {"images": 1, "boxes": 2, "positive": 1, "negative": 0, "machine": 1, "masks": 0},
        CAT: {"images": 1, "boxes": 1, "positive": 0, "negative": 1, "machine": 0, "masks": 0},
    }
    assert (stats.boxes, stats.positive_labels, stats.negative_labels, stats.machine_labels) == (3, 1, 1, 1)
    assert {name: counts.tolist() for name, counts in stats.flags.items()} == {"group_of": [1, 3], "occluded": [2, 3]}
    assert stats.sources == {
        "boxes": {"xclick": 2, "activemil": 1},
        "human_labels": {"verification": 1, "crowdsource-verification": 1},
    }
    assert stats.licenses == {"CC BY": 1}
    assert stats.keys["image/object/source"] == 1


def test_shapes_of_boxes_are_in_their_bins() -> None:
    # A box over all of 640 x 480 is of side 1 and aspect 4:3; a quarter of it of side 1/2 and the same aspect;
    # (0.25 x 480) wide and (0.5 x 480) high is of side sqrt(1/8).
    stats = measure_records([RICH], {})
    bins = len(stats.box_sides)
    assert np.flatnonzero(stats.box_sides).tolist() == [math.floor(bins * math.sqrt(1 / 8)), bins // 2, bins - 1]
    wide, tall = (ASPECT_BINS // 2 + math.floor(4 * math.log2(ratio)) for ratio in (640 / 480, 160 / 240))
    assert {index: int(stats.box_aspects[index]) for index in np.flatnonzero(stats.box_aspects)} == {wide: 2, tall: 1}
    assert stats.box_areas.tolist() == [0, 0, 3]
    assert stats.long_sides == {640 // LONG_SIDE_STEP: 1}
    assert stats.image_sizes == {(640, 480): 1}


@pytest.mark.parametrize(("side", "place"), [(31.9, 0), (32.1, 1), (95.9, 1), (96.1, 2)])
def test_areas_are_by_cocos_limits(side: float, place: int) -> None:
    stats = measure_records([example(**image(1000, 1000), **boxes((0, 0, side / 1000, side / 1000), mids=(DOG,)))], {})
    assert np.flatnonzero(stats.box_areas).tolist() == [place]


def test_boxes_without_area_are_counted_apart() -> None:
    corners = ((0.5, 0.5, 0.5, 0.9), (0.9, 0.1, 0.2, 0.3), (0, 0, math.nan, 1), (0, 0, 1, 1))
    stats = measure_records([example(**image(), **boxes(*corners, mids=(DOG,) * 4))], {})
    assert (stats.boxes, stats.degenerate_boxes, stats.box_sides.sum(), stats.box_aspects.sum()) == (4, 3, 1, 1)


def test_extreme_boxes_are_in_the_last_bins() -> None:
    corners = ((0, 0, 1, 0.001), (0, 0, 0.001, 1))
    stats = measure_records([example(**image(1000, 1000), **boxes(*corners, mids=(DOG, DOG)))], {})
    assert np.flatnonzero(stats.box_aspects).tolist() == [0, ASPECT_BINS - 1]


def test_classes_of_records_with_ids_only() -> None:
    features = boxes((0, 0, 1, 1), (0, 0, 1, 1), mids=(DOG, DOG)) | {
        "object__class__text": bytes_feature(()),
        "object__class__label": int64_feature((1, 7)),
    }
    assert set(measure_records([example(**image(), **features)], {1: DOG}).classes) == {DOG, "id 7"}


def test_boxes_are_counted_by_size_and_aspect_together() -> None:
    stats = measure_records([RICH], {})
    assert stats.box_shapes.sum() == 3
    assert stats.box_shapes.sum(0).tolist() == stats.box_aspects.reshape(-1, 2).sum(1).tolist()
    assert stats.box_shapes.sum(1).tolist() == stats.box_sides.reshape(-1, 2).sum(1).tolist()


def test_classes_that_are_together_are_those_of_boxes_or_else_of_positive_labels() -> None:
    labels = {"class__text": bytes_feature((b"/m/a", b"/m/b", b"/m/c")), "class__confidence": floats(1, 1, 0)}
    assert measure_records([RICH, RICH], {}).class_pairs == {(CAT, DOG): 2}
    assert measure_records([example(**image(), **labels)], {}).class_pairs == {("/m/a", "/m/b"): 1}
    assert measure_records([example(**image(), **labels, **boxes(mids=()))], {}).class_pairs == {}


def test_classes_that_are_not_in_the_first_records_have_no_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record_stats, "SAMPLED_IMAGES", 2)
    late = example(**image(), **boxes((0, 0, 1, 1), (0, 0, 1, 1), mids=(DOG, "/m/late")))
    stats = measure_records([RICH, RICH, late, RICH, RICH], {})
    assert stats.class_pairs == {(CAT, DOG): 4}
    assert stats.unpaired == {"/m/late": 1}
    assert (
        stats.box_places.sum()
        == merge_stats([measure_records([record], {}) for record in [RICH] * 4 + [late]]).box_places.sum()
    )


def test_labels_without_confidence_are_positive() -> None:
    stats = measure_records([example(**image(), class__text=bytes_feature((DOG.encode(), CAT.encode())))], {})
    assert (stats.positive_labels, stats.negative_labels) == (2, 0)


def test_a_record_without_anything_is_an_image_without_boxes() -> None:
    stats = measure_records([b""], {})
    assert (stats.records, stats.boxes_per_image[0], stats.boxes) == (1, 1, 0)


def test_counts_add_up_over_any_parts() -> None:
    records = [
        RICH,
        example(**image(), **boxes(mids=())),
        example(**image(1024, 768, b"x" * 5000), **boxes((0, 0, 0.2, 0.9), mids=(CAT,))),
        example(**image(), object__truncated=int64_feature(())),
    ]
    whole = measure_records(records, {})
    parts = [measure_records(records[start:end], {}) for start, end in ((2, 4), (0, 1), (1, 2))]
    assert repr(_ordered(merge_stats(parts))) == repr(_ordered(whole))
    assert merge_stats([]).records == 0
    assert whole.image_bytes == 3 * len(b"jpeg") + 5000


def _ordered(stats: RecordStats) -> dict[str, object]:
    def order(value: object) -> object:
        return sorted((key, order(item)) for key, item in value.items()) if isinstance(value, dict) else value

    return {name: order(value) for name, value in vars(stats).items()}


@pytest.mark.parametrize(
    ("features", "problem"),
    [
        (boxes((0, 0, 1, 1), mids=(DOG, CAT)), "2 values of class for 1 "),
        (boxes((0, 0, 1, 1), mids=(DOG,)) | {"object__bbox__ymax": floats()}, "0 values of ymax for 1 "),
        (boxes((0, 0, 1, 1), mids=(DOG,)) | {"object__group_of": int64_feature((0, 1))}, "2 values of group_of for 1 "),
        (
            {"class__text": bytes_feature((b"/m/1",)), "class__confidence": floats(1, 1)},
            "2 values of confidence for 1 ",
        ),
        ({"object__bbox__xmin": bytes_feature((b"0.5",))}, "image/object/bbox/xmin holds bytes"),
        ({"object__class__text": int64_feature((5,))}, "image/object/class/text holds numbers"),
    ],
)
def test_a_record_that_does_not_fit_together_is_a_fault(features: dict[str, bytes], problem: str) -> None:
    with pytest.raises(RecordFault, match=problem):
        measure_records([example(**image(), **features)], {})


def test_bytes_that_are_no_example_are_an_error() -> None:
    with pytest.raises(ExampleError):
        measure_records([b"\xff\xff"], {})


def test_masks_are_counted_per_class_without_empty_ones() -> None:
    boxed = boxes((0, 0, 1, 1), (0, 0, 1, 1), (0, 0, 1, 1), mids=(DOG, CAT, DOG))
    masks = bytes_feature((b"a", b"b", b"c"))
    column = CLASS_COUNTS.index("masks")
    stats = measure_records([example(**image(), **boxed, object__mask=masks)], {})
    assert (stats.masks, stats.classes[DOG][column], stats.classes[CAT][column]) == (3, 2, 1)
    weighted = example(**image(), **boxed, object__mask=masks, object__mask__weight=floats(1, 0, 0))
    stats = measure_records([weighted], {})
    assert (stats.masks, stats.classes[DOG][column], stats.classes[CAT][column]) == (1, 1, 0)
    with pytest.raises(RecordFault, match="2 values of mask for 3"):
        measure_records([example(**image(), **boxed, object__mask=bytes_feature((b"a", b"b")))], {})
