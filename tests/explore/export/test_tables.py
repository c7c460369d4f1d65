from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from oi_tfrecord.explore.export.tables import CLASSES, SCHEMAS, RecordError, ShardTables, make_classes, make_tables
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from tests.support.optional import tensorflow as tf

LABEL_MAP = LabelMap((LabelMapItem(2, "/m/b", "Bee"), LabelMapItem(1, "/m/a", "Ant")))
BOX = {f"image/object/bbox/{side}": [0.25] for side in ("xmin", "xmax", "ymin", "ymax")}


def example(features: dict[str, list[Any]]) -> bytes:
    """Returns an Example as TensorFlow writes it."""
    made = tf.train.Example()
    for key, values in features.items():
        feature = made.features.feature[key]
        if values and isinstance(values[0], float):
            feature.float_list.value.extend(values)
        elif values and isinstance(values[0], int):
            feature.int64_list.value.extend(values)
        else:
            feature.bytes_list.value.extend(value if isinstance(value, bytes) else value.encode() for value in values)
    return made.SerializeToString()


def rows_of(*features: dict[str, list[Any]], label_map: LabelMap | None = LABEL_MAP) -> ShardTables:
    return make_tables("train", "shard-0", map(example, features), label_map)


def table(rows: ShardTables, name: str) -> list[dict[str, Any]]:
    assert rows.tables[name].schema == SCHEMAS[name]
    return rows.tables[name].to_pylist()


def test_a_record_with_every_key() -> None:
    rows = rows_of(
        {
            "image/source_id": ["00ff"], "image/encoded": [b"12345"], "image/width": [4], "image/height": [3],
            "image/key/sha256": ["abc"],
            **{f"image/attribution/{name}": [name.upper()] for name in ("license", "author", "profile_url", "title")},
            "image/attribution/landing_url": ["über\n"],
            "image/object/bbox/xmin": [0.0, 0.25], "image/object/bbox/xmax": [0.5, 1.0],
            "image/object/bbox/ymin": [0.125, 0.75], "image/object/bbox/ymax": [0.5, 0.875],
            "image/object/class/text": ["/m/a", "/m/b"], "image/object/class/label": [1, 2],
            **{f"image/object/{name}": [1, 0] for name in ("occluded", "truncated", "group_of", "depiction", "inside")},
            "image/object/bbox/confidence": [1.0, 0.5], "image/object/source": ["xclick", ""],
            "image/class/text": ["/m/b"], "image/class/label": [2], "image/class/confidence": [0.0],
            "image/class/source": ["verification"],
            "image/machine_class/text": ["/m/a"], "image/machine_class/label": [1],
            "image/machine_class/confidence": [0.5],
        }
    )  # fmt: skip
    key = {"split": "train", "image_id": "00ff"}
    assert table(rows, "images") == [
        key | {
            "width": 4, "height": 3, "bytes": 5, "sha256": "abc", "license": "LICENSE", "author": "AUTHOR",
            "profile_url": "PROFILE_URL", "title": "TITLE", "landing_url": "über\n", "shard": "shard-0", "record": 0,
        }
    ]  # fmt: skip
    flags = ("occluded", "truncated", "group_of", "depiction", "inside")
    assert table(rows, "boxes") == [
        key
        | {"number": 0, "mid": "/m/a", "x_min": 0.0, "x_max": 0.5, "y_min": 0.125, "y_max": 0.5}
        | dict.fromkeys(flags, True)
        | {"confidence": 1.0, "source": "xclick"},
        key
        | {"number": 1, "mid": "/m/b", "x_min": 0.25, "x_max": 1.0, "y_min": 0.75, "y_max": 0.875}
        | dict.fromkeys(flags, False)
        | {"confidence": 0.5, "source": ""},
    ]
    assert table(rows, "image_labels") == [
        key | {"number": 0, "mid": "/m/b", "verified": True, "confidence": 0.0, "source": "verification"},
        key | {"number": 1, "mid": "/m/a", "verified": False, "confidence": 0.5, "source": None},
    ]
    assert rows.classes == {"/m/a": 1, "/m/b": 2}


def test_a_key_that_third_party_records_lack_is_null() -> None:
    rows = rows_of(
        {"image/source_id": ["7"]},
        {"image/filename": ["cat.jpg"], **BOX},
        {"image/source_id": [""]},
        {"image/source_id": ["8"], **BOX, "image/object/class/label": [2], "image/object/class/text": []},
        {"image/source_id": ["9"], **BOX, "image/object/class/label": [30]},
        {"image/source_id": ["10"], "image/class/text": ["dog"]},
    )
    images = table(rows, "images")
    assert [row["image_id"] for row in images] == ["7", "cat.jpg", "shard-0:2", "8", "9", "10"]
    assert [row["record"] for row in images] == list(range(6))
    assert {row[name] for row in images for name in ("width", "height", "sha256", "title")} == {None}
    boxes = table(rows, "boxes")
    # An id without a text is named by the label map, or by itself.
    assert [(row["image_id"], row["mid"]) for row in boxes] == [("cat.jpg", None), ("8", "/m/b"), ("9", "30")]
    assert {row[name] for row in boxes for name in ("group_of", "confidence", "source")} == {None}
    [label] = table(rows, "image_labels")
    assert (label["mid"], label["verified"], label["confidence"]) == ("dog", True, None)
    assert rows.classes == {"/m/b": 2, "30": 30, "dog": None}
    assert (
        table(rows_of({"image/source_id": ["8"], **BOX, "image/object/class/label": [2]}, label_map=None), "boxes")[0][
            "mid"
        ]
        == "2"
    )


@pytest.mark.parametrize(
    ("features", "problem"),
    [
        ({**BOX, "image/object/bbox/ymax": [0.5, 0.5]}, "xmin has 1 values instead of 2"),
        ({**BOX, "image/object/bbox/ymax": []}, "ymax has 0 values instead of 1"),
        ({**BOX, "image/object/class/text": ["/m/a", "/m/b"]}, "image/object/class/text has 2 values instead of 1"),
        ({**BOX, "image/object/group_of": [0.5]}, "image/object/group_of is float instead of int64"),
        ({"image/width": ["4"]}, "image/width is bytes instead of int64"),
        ({"image/height": [1 << 40]}, "image/height has a value beyond 32 bits"),
        ({"image/height": [-(1 << 63)]}, "image/height has a value beyond 32 bits"),
        ({"image/class/text": ["/m/a"], "image/class/confidence": [1.0, 0.0]}, "confidence has 2 values instead of 1"),
    ],
)
def test_keys_that_contradict_each_other_are_errors(features: dict[str, list[Any]], problem: str) -> None:
    with pytest.raises(RecordError, match=problem) as caught:
        rows_of({}, features)
    assert caught.value.record == 1
    with pytest.raises(RecordError, match=r"not a tf\.train\.Example"):
        make_tables("train", "s", [b"<html>"], None)


def test_bytes_that_are_no_text_are_replaced() -> None:
    [row] = table(rows_of({"image/attribution/title": [b"J\xf6rg"]}), "images")
    assert row["title"] == "J�rg"


def test_classes_are_those_of_the_label_map_and_of_the_records() -> None:
    classes = make_classes(LABEL_MAP, {"/m/0": None, "/m/a": 77, "z": 5})
    assert classes.schema == CLASSES
    assert [tuple(row.values()) for row in classes.to_pylist()] == [
        ("/m/0", None, None),
        ("/m/a", 1, "Ant"),
        ("/m/b", 2, "Bee"),
        ("z", 5, None),
    ]
    assert make_classes(None, {}).num_rows == 0


def test_no_records_are_empty_tables() -> None:
    rows = rows_of()
    assert {name: part.num_rows for name, part in rows.tables.items()} == dict.fromkeys(SCHEMAS, 0)
    assert isinstance(rows.tables["boxes"], pa.Table)
    assert np.dtype("f4") == rows.tables["boxes"]["x_min"].to_numpy().dtype


def test_a_numeric_source_id_is_no_image_id() -> None:
    example = tf.train.Example()
    for key, value in (("image/source_id", b"12345"), ("image/filename", b"0123456789abcdef.jpg")):
        example.features.feature[key].bytes_list.value.append(value)
    rows = make_tables("train", "shard", [example.SerializeToString()], None)
    assert rows.tables["images"]["image_id"].to_pylist() == ["0123456789abcdef"]
