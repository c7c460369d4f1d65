import hashlib
import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oi_tfrecord.records.keys import ALWAYS_WRITTEN
from oi_tfrecord.records.label_map import LabelMap, LabelMapItem
from oi_tfrecord.verification.check_record import RecordRules, check_record
from oi_tfrecord.verification.faults import FaultKind

LABEL_MAP = LabelMap((LabelMapItem(1, "/m/01", "Tree"), LabelMapItem(2, "/m/02", "Ball")))
OURS = RecordRules.of(True, ALWAYS_WRITTEN, LABEL_MAP, decode=False)
THIRD_PARTY = RecordRules.of(False, ("image/encoded",), LABEL_MAP, decode=False)


def jpeg(size: tuple[int, int]) -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise(size, 60).save(buffer, "JPEG")
    return buffer.getvalue()


ENCODED = jpeg((40, 30))


def floats(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def record() -> dict[str, Any]:
    """A record of ours with two boxes and three image labels."""
    return {
        "image/encoded": [ENCODED],
        "image/filename": [b"00000000000000ab.jpg"],
        "image/source_id": [b"00000000000000ab"],
        "image/format": [b"jpeg"],
        "image/height": integers(30),
        "image/width": integers(40),
        "image/key/sha256": [hashlib.sha256(ENCODED).hexdigest().encode()],
        "image/object/bbox/ymin": floats(0.1, 0),
        "image/object/bbox/xmin": floats(0.2, 0),
        "image/object/bbox/ymax": floats(0.5, 1),
        "image/object/bbox/xmax": floats(0.4, 1),
        "image/object/area": floats(0.4 * 0.2 * 1200, 1200),
        "image/object/class/text": [b"/m/01", b"/m/02"],
        "image/object/class/label": integers(1, 2),
        "image/object/group_of": integers(0, 1),
        "image/object/is_crowd": integers(0, 1),
        "image/object/bbox/confidence": floats(1, 0.5),
        "image/class/text": [b"/m/01", b"/m/02", b"/m/02"],
        "image/class/label": integers(1, 2, 2),
        "image/class/confidence": floats(1, 0, 0.5),
        "image/machine_class/text": [b"/m/01"],
        "image/machine_class/label": integers(1),
        "image/machine_class/confidence": floats(0.7),
    }


def test_a_good_record_has_no_fault() -> None:
    assert check_record(record(), OURS) == []
    assert check_record(record(), THIRD_PARTY) == []


@pytest.mark.parametrize("key", ALWAYS_WRITTEN)
def test_a_record_of_ours_has_every_key(key: str) -> None:
    features = record()
    del features[key]
    assert (FaultKind.KEY_MISSING, key) in {(item.kind, item.key) for item in check_record(features, OURS)}
    features[key] = None
    assert (FaultKind.KEY_MISSING, key) in {(item.kind, item.key) for item in check_record(features, OURS)}


@pytest.mark.parametrize("key", sorted(record()))
def test_every_key_has_its_kind_and_length(key: str) -> None:
    values = record()[key]
    wrong_kind = integers(1) if isinstance(values, list) else [b"1"]
    assert [(item.kind, item.key) for item in check_record(record() | {key: wrong_kind}, OURS) if item.key == key] == [
        (FaultKind.KEY_KIND, key)
    ]
    longer = [*values, values[0]] if isinstance(values, list) else np.append(values, values[0])
    # Of two lists that differ, either may be the wrong one.
    lengths = check_record(record() | {key: longer}, OURS)
    assert FaultKind.KEY_LENGTH in {finding.kind for finding in lengths}
    if not key.startswith("image/machine_class"):
        assert (FaultKind.KEY_LENGTH, key) in {(finding.kind, finding.key) for finding in lengths}


@pytest.mark.parametrize(
    ("changes", "kind", "key", "problem"),
    [
        ({"image/object/bbox/xmax": floats(0.4, 1.1)}, FaultKind.BAD_BOX, "image/object/bbox/xmax", "value 1 is 1.1"),
        ({"image/object/bbox/ymin": floats(-0.1, 0)}, FaultKind.BAD_BOX, "image/object/bbox/ymin", "not within"),
        ({"image/object/bbox/ymin": floats(np.nan, 0)}, FaultKind.BAD_BOX, "image/object/bbox/ymin", "nan"),
        ({"image/object/bbox/ymax": floats(np.inf, 1)}, FaultKind.BAD_BOX, "image/object/bbox/ymax", "inf"),
        ({"image/object/bbox/ymin": floats(0.6, 0)}, FaultKind.BAD_BOX, "image/object/bbox/ymin", "box 0 goes from"),
        ({"image/object/bbox/xmin": floats(0.5, 0)}, FaultKind.BAD_BOX, "image/object/bbox/xmin", "box 0 goes from"),
        ({"image/object/group_of": integers(0, -1)}, FaultKind.BAD_VALUE, "image/object/group_of", "not 0 or 1"),
        ({"image/object/bbox/confidence": floats(2, 0)}, FaultKind.BAD_VALUE, "image/object/bbox/confidence", "2.0"),
        ({"image/class/confidence": floats(1, 0, -1)}, FaultKind.BAD_VALUE, "image/class/confidence", "value 2"),
        ({"image/object/area": floats(-1, 1200)}, FaultKind.BAD_VALUE, "image/object/area", "negative"),
        ({"image/height": integers(0)}, FaultKind.BAD_VALUE, "image/height", "below 1"),
        ({"image/height": integers(31)}, FaultKind.IMAGE_SIZE, "image/height", "31, and the image has 30"),
        ({"image/width": integers(41)}, FaultKind.IMAGE_SIZE, "image/width", "41, and the image has 40"),
        ({"image/object/class/label": integers(0, 2)}, FaultKind.BAD_LABEL, "image/object/class/label", "below 1"),
        ({"image/object/class/label": integers(2, 2)}, FaultKind.BAD_LABEL, "image/object/class/label", "/m/01 is 1"),
        ({"image/class/label": integers(1, 2, 1)}, FaultKind.BAD_LABEL, "image/class/label", "value 2 is 1"),
        (
            {"image/object/class/text": [b"/m/01", b"/m/09"]},
            FaultKind.BAD_LABEL,
            "image/object/class/text",
            "value 1 is /m/09, which is not in the label map",
        ),
        ({"image/key/sha256": [b"0" * 64]}, FaultKind.IMAGE_SHA256, "image/key/sha256", "0000"),
        ({"image/encoded": [ENCODED[:-2]]}, FaultKind.BAD_IMAGE, "image/encoded", "end-of-image"),
        ({"image/encoded": [b"GIF89a"]}, FaultKind.BAD_IMAGE, "image/encoded", "image|JPEG|open"),
    ],
)
def test_each_fault_is_named(changes: dict[str, Any], kind: FaultKind, key: str, problem: str) -> None:
    for rules in (OURS, THIRD_PARTY):
        found = [item for item in check_record(record() | changes, rules) if (item.kind, item.key) == (kind, key)]
        assert len(found) == 1
        assert any(part in found[0].detail for part in problem.split("|"))


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"image/object/is_crowd": integers(0, 0)}, "image/object/is_crowd"),
        ({"image/object/area": floats(96, 1100)}, "image/object/area"),
        ({"image/format": [b"png"]}, "image/format"),
        ({"image/source_id": [b"00000000000000ac"]}, "image/source_id"),
        ({"image/filename": [b"a.jpg"]}, "image/filename"),
        ({"image/key/sha256": [b""]}, "image/key/sha256"),
        ({"image/object/bbox/xmax": floats(0.2, 1)}, "image/object/bbox/xmin"),
    ],
)
def test_our_records_are_held_to_more(changes: dict[str, Any], key: str) -> None:
    assert key in {finding.key for finding in check_record(record() | changes, OURS)}
    assert check_record(record() | changes, THIRD_PARTY) == []


def test_third_party_records_may_lack_keys_that_no_reader_needs() -> None:
    assert check_record({"image/encoded": [ENCODED]}, THIRD_PARTY) == []
    some_sides = record()
    del some_sides["image/object/bbox/ymax"]
    assert [(item.kind, item.key) for item in check_record(some_sides, THIRD_PARTY)] == [
        (FaultKind.KEY_MISSING, "image/object/bbox/ymax")
    ]


def test_third_party_labels_may_be_display_names_or_ids_alone() -> None:
    named = record() | {"image/object/class/text": [b"Tree", b"Ball"]}
    assert check_record(named, THIRD_PARTY) == []
    assert {finding.kind for finding in check_record(named, OURS)} == {FaultKind.BAD_LABEL}
    alone = record() | {"image/object/class/label": integers(1, 3)}
    del alone["image/object/class/text"]
    assert [finding.key for finding in check_record(alone, THIRD_PARTY)] == ["image/object/class/label"]
    no_map = RecordRules.of(False, (), None, decode=False)
    assert check_record(alone, no_map) == []


def test_names_of_any_form_are_those_of_the_file() -> None:
    features = record() | {"image/filename": [b"a name.jpg"], "image/source_id": [b"7"]}
    for ours, any_ids, expected in ((True, True, b"a name"), (False, True, b"7"), (False, False, b"7")):
        rules = RecordRules.of(ours, (), None, False, any_ids=any_ids)
        assert rules.image_id_of(features) == expected
    assert RecordRules.of(True, (), None, False).image_id_of(record()) == record()["image/source_id"][0]


def test_decoding_is_asked_for() -> None:
    # Half of the image data is gone, and the markers at both ends are there.
    noise = jpeg((256, 256))
    damaged = noise[: len(noise) // 2] + b"\xff\xc4" + noise[len(noise) // 2 + 2 :]
    features = record() | {
        "image/encoded": [damaged],
        "image/height": integers(256),
        "image/width": integers(256),
        "image/key/sha256": [hashlib.sha256(damaged).hexdigest().encode()],
        "image/object/area": floats(0.4 * 0.2 * 65536, 65536),
    }
    assert check_record(features, OURS) == []
    decoding = RecordRules.of(True, ALWAYS_WRITTEN, LABEL_MAP, decode=True)
    assert [(item.kind, item.key) for item in check_record(features, decoding)] == [
        (FaultKind.BAD_IMAGE, "image/encoded")
    ]
