import numpy as np

from oi_tfrecord.explore.record_text import class_names, describe_record
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem

NAMES = {"/m/01": "Tree", "/m/02": "Ball"}
MID_OF = {1: "/m/01", 2: "/m/02"}
LABEL_MAP = LabelMap((LabelMapItem(1, "/m/01", "Tree"), LabelMapItem(2, "/m/02", "Ball")))


def test_every_key_is_a_line() -> None:
    features = {
        "image/class/label": np.array([2, 9]),
        "image/encoded": [b"\xff\xd8\xff" + bytes(3000)],
        "image/height": np.array([30]),
        "image/none": None,
        "image/object/area": np.array([0.1, 2.5], np.float32),
        "image/object/class/text": [b"/m/01", b"/m/09"],
        "image/object/source": [],
        "image/title": ["Zürich".encode(), b"", b"\x00", b"x" * 300],
        "image/trap": ["é\n\x1b[31m".encode(), b"\n" * 300, b"\xff"],
        "many": np.arange(1000),
    }
    lines = {line.split()[0]: " ".join(line.split()[1:]) for line in describe_record(features, NAMES, MID_OF)}
    assert list(lines) == list(features)
    assert lines["image/class/label"] == "int64 2 2 (Ball), 9"
    assert lines["image/encoded"] == "bytes 1 3,003 bytes ff d8 ff 00 00 00 00 00 ..."
    assert lines["image/height"] == "int64 1 30"
    assert lines["image/none"] == "no kind"
    assert lines["image/object/area"] == "float 2 0.1, 2.5"
    assert lines["image/object/class/text"] == "bytes 2 /m/01 (Tree), /m/09"
    assert lines["image/object/source"] == "bytes 0"
    assert lines["image/title"].startswith("bytes 4 Zürich, '', '\\x00', xxx")
    assert lines["image/title"].endswith("x... (300 bytes)")
    assert lines["image/trap"].startswith("bytes 3 'é\\n\\x1b[31m', '\\n\\n")
    assert lines["image/trap"].endswith("\\n'... (300 bytes), b'\\xff'")
    assert lines["many"].endswith("18, 19, ... 980 more")
    assert list(describe_record({}, {}, {})) == []


def test_keys_are_in_order_and_all_values_are_listed_if_asked_for() -> None:
    features = {"b": np.arange(1000), "a/none": None, "c": [b"x"] * 21}
    lines = list(describe_record(features, {}, {}, max_values=None))
    assert lines[0] == "a/none  no kind"
    assert lines[1].split()[:3] == ["b", "int64", "1000"]
    assert lines[1].endswith("998, 999")
    assert lines[2].count("x") == 21


def test_boxes_are_named_by_text_or_by_label() -> None:
    labels = {"image/object/class/label": np.array([2, 9])}
    assert class_names(labels, LABEL_MAP) == ["Ball", "9"]
    assert class_names(labels, None) == ["2", "9"]
    assert class_names(labels | {"image/object/class/text": [b"/m/01", b"x"]}, LABEL_MAP) == ["Tree", "x"]
    assert class_names({}, LABEL_MAP) == []
