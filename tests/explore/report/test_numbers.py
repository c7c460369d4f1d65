import json

import numpy as np

from oi_tfrecord.explore.report.numbers import make_numbers
from oi_tfrecord.explore.report.record_stats import RecordStats
from oi_tfrecord.records.label_map import LabelMapItem

ITEMS = (LabelMapItem(1, "/m/a", "A"), LabelMapItem(2, "/m/b", "B"), LabelMapItem(3, "/m/c", "C"))


def stats(**classes: tuple[int, int, int, int, int, int]) -> RecordStats:
    held = RecordStats(records=10)
    held.classes = {f"/m/{name}": np.array(counts) for name, counts in classes.items()}
    return held


def manifest(**changes: object) -> dict[str, object]:
    return {
        "config": {"release": "v3"},
        "balanced": True,
        "totals": {"bytes": 1, "images_reencoded": {"cmyk": 2}, "unknown_flags_written_as_0": 3},
        "tables": {"boxes": {"rows_read": 70, "dropped": {"small_box": 5, "class_not_in_label_map": 9}}},
        "sources": {"boxes": {"xclick": 4}},
        "warnings": ["w"],
        **changes,
    }


def test_classes_are_ordered_by_positive_then_negative_labels() -> None:
    # Columns: images, boxes, positive, negative, machine.
    held = stats(b=(1, 1, 5, 2, 0, 0), d=(1, 1, 5, 3, 0, 0), c=(9, 99, 0, 0, 0, 50))
    classes = make_numbers("train", None, 1, held, ITEMS, None).classes
    assert classes["mid"] == ["/m/d", "/m/b", "/m/c", "/m/a"]
    assert classes["name"] == ["/m/d", "B", "C", "A"]
    assert classes["id"] == [None, 2, 3, 1]
    assert classes["boxes"] == [1, 1, 99, 0]
    assert classes["masks"] == [0, 0, 50, 0]


def test_a_split_is_compared_with_what_was_published() -> None:
    held = stats()
    held.boxes, held.positive_labels, held.negative_labels = 60, 8, 4
    held.boxes_per_image.update({0: 4, 1: 2, 14: 4})
    rows = {row["what"]: row for row in make_numbers("validation", manifest(), 1, held, ITEMS, []).published}
    # The published numbers are those of READMEV3.md, tables 1 and 2.
    assert rows["images"] == {"what": "images", "published": 41620, "read": None, "records": 10}
    assert rows["images with boxes"]["records"] == 6
    assert rows["boxes"] == {"what": "boxes", "published": 204621, "read": 70, "records": 60}
    assert rows["human-verified labels"]["published"] == 551390
    assert rows["human-verified labels"]["records"] == 12
    assert rows["machine-generated labels"]["records"] is None


def test_an_unknown_release_has_nothing_published() -> None:
    data = make_numbers("train", manifest(config={"release": "mine"}), 1, stats(), ITEMS, [])
    assert {row["published"] for row in data.published} == {None}


def test_third_party_records_have_numbers_without_a_manifest() -> None:
    data = make_numbers("coco", None, 3, stats(), (), None)
    assert (data.release, data.balanced, data.rejects, data.left_out) == ("", None, None, [])
    assert (data.totals["shards"], data.totals["bytes"]) == (3, None)


def test_sources_are_counted_in_the_records_if_they_have_sources() -> None:
    held = stats()
    assert make_numbers("train", manifest(), 1, held, (), []).sources == [
        {"table": "boxes", "source": "xclick", "count": 4, "counted_in": "manifest"}
    ]
    held.sources = {"boxes": held.licenses.__class__({"freeform": 7})}
    assert make_numbers("train", manifest(), 1, held, (), []).sources == [
        {"table": "boxes", "source": "freeform", "count": 7, "counted_in": "records"}
    ]


def test_reasons_of_left_out_rows_come_largest_first() -> None:
    left_out = make_numbers("train", manifest(), 1, stats(), (), []).left_out
    assert [(row["reason"], row["count"]) for row in left_out] == [("class_not_in_label_map", 9), ("small_box", 5)]


def test_histograms_have_every_bin_and_its_bounds() -> None:
    held = stats()
    held.boxes_per_image.update({0: 2, 3: 1})
    held.long_sides.update({15: 4, 16: 1})
    data = make_numbers("train", None, 1, held, (), None)
    assert data.boxes_per_image == {"from": [0, 1, 2, 3], "to": [1, 2, 3, 4], "count": [2, 0, 0, 1]}
    assert data.long_sides == {"from": [960, 1024], "to": [1024, 1088], "count": [4, 1]}
    assert data.box_sides["from"][:2] == [0.0, 0.02]
    assert data.box_sides["to"][-1] == 1.0
    assert data.encoded_sizes == {"from": [], "to": [], "count": []}


def test_the_numbers_are_plain_values() -> None:
    held = stats(a=(1, 1, 1, 1, 1, 1))
    held.flags = {"group_of": np.array([1, 2])}
    data = make_numbers("train", manifest(), 1, held, ITEMS, [])
    assert json.loads(json.dumps(vars(data))) == vars(data)


def test_pairs_of_the_most_frequent_classes_are_listed_if_all_of_them_were_counted() -> None:
    held = stats(a=(5, 5, 0, 0, 0, 0), b=(9, 9, 0, 0, 0, 0), c=(7, 7, 0, 0, 0, 0), d=(0, 0, 4, 0, 0, 0))
    held.boxes = 21
    held.class_pairs.update({("/m/a", "/m/b"): 3, ("/m/b", "/m/c"): 2})
    held.unpaired.update({"/m/c": 1})
    assert make_numbers("train", None, 1, held, ITEMS, None).class_pairs == {
        "mid": ["/m/b", "/m/a"],
        "images": [9, 5],
        "together": [[0, 3], [3, 0]],
    }
