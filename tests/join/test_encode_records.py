import hashlib
import io
import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oi_tfrecord.images.mask_png import ImageMasks
from oi_tfrecord.images.values import PreparedImage
from oi_tfrecord.join.batches import Batch, decode, sort_by_shard
from oi_tfrecord.join.encode_records import RecordEncoder
from oi_tfrecord.join.join_shard import Annotations, JoinedShard, JoinRules, join_shard
from oi_tfrecord.join.pair_masks import Masks
from oi_tfrecord.join.shard_rows import ShardRows, collect_tables
from oi_tfrecord.openimages.classes import Vocabulary
from oi_tfrecord.openimages.csv.check_rows import RowRules, columns_to_parse, make_rows
from oi_tfrecord.openimages.csv.parse import parse_rows
from oi_tfrecord.openimages.schema import (
    ATTRIBUTES,
    ATTRIBUTION,
    BOX_ID,
    BOX_ROW,
    COORDINATES,
    CSV_TABLES,
    FLAGS,
    LABEL_ROW,
    LABEL_TABLES,
    MASK_ROW,
    METADATA_ROW,
    NO_COLUMN,
    UNKNOWN,
    UNKNOWN_IOU,
    RangeKey,
    Table,
)
from oi_tfrecord.records.keys import BOX_FLAGS, IS_CROWD_KEY, ExtraKeys, RecordLayout
from tests.support.optional import pandas
from tests.support.optional import tensorflow as tf

MIDS = ("/m/01g317", "/m/09j2d", "/m/0bt9lr", "/m/0cnyhnx")
# As in a label map: in no order, from 1, and some need two and three bytes.
LABEL_IDS = np.array([300, 1, 20_000, 127])
BOX_SOURCES = ("xclick", "activemil")
ROTATION = 270
LABEL_SOURCES = ("verification", "crowdsource-verification", "")

Row = dict[str, Any]
Features = dict[str, tuple[str, list[Any]]]

BOX: Row = {"label": 0, "source": 0, "confidence": 1.0, "xmin": 0.25, "xmax": 0.75, "ymin": 0.125, "ymax": 0.5}
BOX |= dict.fromkeys((*FLAGS, *ATTRIBUTES), 0)
LABEL: Row = {"label": 0, "source": 0, "confidence": 1.0}
ALL_TABLES = frozenset(CSV_TABLES)
FULL = RecordLayout(ALL_TABLES, frozenset(FLAGS), frozenset(ExtraKeys))
PLAIN = RecordLayout(ALL_TABLES, frozenset(FLAGS))


MASK_TABLE = ShardRows(
    np.array([(8, 0, 0, 0, 0, 0, 0, 0.75), (9, 1, 0, 0, 0, 0, 0, UNKNOWN_IOU)], MASK_ROW),
    (),
    (RangeKey(Table.MASKS, 0, 0),),
    np.zeros(2, np.int64),
    {BOX_ID: pa.array([b"9a041d52", b"00000001"], pa.binary())},
)


def image_of(
    encoded: bytes = b"\xff\xd8 not looked into \xff\xd9", height: int = 480, width: int = 640
) -> PreparedImage:
    return PreparedImage(encoded, width, height, hashlib.sha256(encoded).hexdigest(), "copied", "JPEG")


def annotations_of(per_image: Sequence[Sequence[Row]], row_type: np.dtype, sources: tuple[str, ...]) -> Annotations:
    every = list(itertools.chain.from_iterable(per_image))
    rows = np.zeros(len(every), row_type)
    for name in BOX if row_type == BOX_ROW else LABEL:
        rows[name] = [row[name] for row in every]
    offsets = np.concatenate([[0], np.cumsum([len(rows) for rows in per_image], dtype=np.int64)])
    return Annotations(rows, offsets, sources)


def shard_of_images(
    image_ids: Sequence[int],
    boxes: Sequence[Sequence[Row]] | None = None,
    human: Sequence[Sequence[Row]] | None = None,
    machine: Sequence[Sequence[Row]] | None = None,
    *,
    texts: dict[str, list[bytes]] | None = None,
) -> JoinedShard:
    annotations = {}
    if boxes is not None:
        annotations[Table.BOXES] = annotations_of(boxes, BOX_ROW, BOX_SOURCES)
    for table, labels in zip(LABEL_TABLES, (human, machine), strict=True):
        if labels is not None:
            annotations[table] = annotations_of(labels, LABEL_ROW, LABEL_SOURCES)
    return JoinedShard(
        image_ids=np.array(image_ids, np.uint64),
        annotations=annotations,
        text_columns={name: pa.array(values, pa.binary()) for name, values in (texts or {}).items()},
        faults=[],
        rejected={},
        dropped={},
        images_not_selected=0,
        has_metadata=np.ones(len(image_ids), bool),
        masks=Masks(MASK_TABLE, np.zeros(0, np.int64), None),
    )


def encode(shard: JoinedShard, layout: RecordLayout, index: int = 0, image: PreparedImage | None = None) -> bytes:
    masks = masks_of(shard, index) if ExtraKeys.MASKS in layout.extra_keys else None
    rotations = [ROTATION] * len(shard.image_ids)
    encoder = RecordEncoder(shard, MIDS, LABEL_IDS, layout, rotations=rotations)
    return b"".join(encoder.encode(index, image or image_of(), masks))


def masks_of(shard: JoinedShard, index: int) -> ImageMasks:
    """Returns bytes that stand for the masks of the boxes of an image."""
    boxes = shard.annotations.get(Table.BOXES)
    places = tuple(range(int(np.diff(boxes.offsets)[index]))) if boxes else ()
    return ImageMasks(
        places, tuple(f"mask {place}".encode() for place in places), tuple(min(place, 1) for place in places)
    )


def parse(record: bytes) -> Features:
    """Returns key -> (kind, values) as TensorFlow's own Example has them."""
    features: Features = {}
    for key, feature in tf.train.Example.FromString(record).features.feature.items():
        kind = feature.WhichOneof("kind")
        features[key] = kind.removesuffix("_list"), list(getattr(feature, kind).value)
    return features


def float32(values: Sequence[float]) -> list[float]:
    return [float(np.float32(value)) for value in values]


TWO_BOXES = [
    BOX | {"label": 2, "source": 1, "confidence": 0.5, "xmin": 0.1, "xmax": 0.951487, "ymin": 0.0, "ymax": 1.0}
    | {"occluded": 1, "truncated": UNKNOWN, "group_of": 1, "depiction": 0, "inside": 1}
    | {"gender_presentation": 1, "age_presentation": 3},
    BOX | {"label": 1, "occluded": 0, "truncated": 1, "group_of": UNKNOWN, "depiction": 1, "inside": UNKNOWN},
]  # fmt: skip
THREE_LABELS = [LABEL | {"label": 3}, LABEL | {"label": 0, "source": 1, "confidence": 0.0}, LABEL | {"source": 2}]
TWO_MACHINE_LABELS = [LABEL | {"label": 1, "confidence": 0.7}, LABEL | {"label": 2, "confidence": 0.0}]
TEXTS = {
    "License": [b"https://creativecommons.org/licenses/by/2.0/"],
    "Author": ['Zoë, "the cat"'.encode()],
    "AuthorProfileURL": [b""],
    "Title": [b"a\0b\xff\xfe\nc"],
    "OriginalLandingURL": [b"https://example.org/1"],
    "OriginalURL": [b"in no key"],
}
IMAGE_KEYS: Features = {
    "image/encoded": ("bytes", [b"\xff\xd8 not looked into \xff\xd9"]),
    "image/filename": ("bytes", [b"0000033073932c2e.jpg"]),
    "image/format": ("bytes", [b"jpeg"]),
    "image/height": ("int64", [480]),
    "image/key/sha256": ("bytes", [hashlib.sha256(b"\xff\xd8 not looked into \xff\xd9").hexdigest().encode()]),
    "image/source_id": ("bytes", [b"0000033073932c2e"]),
    "image/width": ("int64", [640]),
}
# Areas: of the float32 sides, by 480 * 640 pixels.
ANNOTATION_KEYS: Features = {
    "image/class/confidence": ("float", [1.0, 0.0, 1.0]),
    "image/class/label": ("int64", [127, 300, 300]),
    "image/class/text": ("bytes", [b"/m/0cnyhnx", b"/m/01g317", b"/m/01g317"]),
    "image/object/area": ("float", [pytest.approx((0.951487 - 0.1) * 307200, rel=1e-6), 0.5 * 0.375 * 307200]),
    "image/object/bbox/xmax": ("float", float32([0.951487, 0.75])),
    "image/object/bbox/xmin": ("float", float32([0.1, 0.25])),
    "image/object/bbox/ymax": ("float", [1.0, 0.5]),
    "image/object/bbox/ymin": ("float", [0.0, 0.125]),
    "image/object/class/label": ("int64", [20_000, 1]),
    "image/object/class/text": ("bytes", [b"/m/0bt9lr", b"/m/09j2d"]),
    "image/object/depiction": ("int64", [0, 1]),
    "image/object/group_of": ("int64", [1, 0]),
    "image/object/is_crowd": ("int64", [1, 0]),
    "image/object/occluded": ("int64", [1, 0]),
    "image/object/truncated": ("int64", [0, 1]),
}
EXTRA: dict[ExtraKeys, Features] = {
    ExtraKeys.BOX_SOURCE: {"image/object/source": ("bytes", [b"activemil", b"xclick"])},
    ExtraKeys.BOX_CONFIDENCE: {"image/object/bbox/confidence": ("float", [0.5, 1.0])},
    ExtraKeys.INSIDE: {"image/object/inside": ("int64", [1, 0])},
    ExtraKeys.LABEL_SOURCE: {
        "image/class/source": ("bytes", [b"verification", b"crowdsource-verification", b""]),
    },
    ExtraKeys.PRESENT_LABELS: {
        "image/present_class/confidence": ("float", [1.0, 1.0]),
        "image/present_class/label": ("int64", [127, 300]),
        "image/present_class/text": ("bytes", [b"/m/0cnyhnx", b"/m/01g317"]),
    },
    ExtraKeys.MACHINE_LABELS: {
        "image/machine_class/confidence": ("float", float32([0.7, 0.0])),
        "image/machine_class/label": ("int64", [1, 20_000]),
        "image/machine_class/text": ("bytes", [b"/m/09j2d", b"/m/0bt9lr"]),
    },
    ExtraKeys.MASKS: {"image/object/mask": ("bytes", [b"mask 0", b"mask 1"])},
    ExtraKeys.BOX_ID: {"image/object/box_id": ("bytes", [b"9a041d52", b"00000001"])},
    ExtraKeys.PREDICTED_IOU: {"image/object/predicted_iou": ("float", [0.75, -1.0])},
    ExtraKeys.ATTRIBUTES: {
        "image/object/attribute/age_presentation": ("int64", [3, 0]),
        "image/object/attribute/gender_presentation": ("int64", [1, 0]),
    },
    ExtraKeys.ROTATION: {"image/rotation": ("int64", [270])},
    ExtraKeys.ATTRIBUTION: {
        "image/attribution/author": ("bytes", ["Zoë, \"the cat\"".encode()]),
        "image/attribution/landing_url": ("bytes", [b"https://example.org/1"]),
        "image/attribution/license": ("bytes", [b"https://creativecommons.org/licenses/by/2.0/"]),
        "image/attribution/profile_url": ("bytes", [b""]),
        "image/attribution/title": ("bytes", [b"a\0b\xff\xfe\nc"]),
    },
}  # fmt: skip


def full_shard() -> JoinedShard:
    return shard_of_images([0x33073932C2E], [TWO_BOXES], [THREE_LABELS], [TWO_MACHINE_LABELS], texts=TEXTS)


def emptied(features: Features) -> Features:
    return {key: (kind, []) for key, (kind, _) in features.items()}


def test_a_record_has_the_keys_of_the_format() -> None:
    assert parse(encode(full_shard(), PLAIN)) == IMAGE_KEYS | ANNOTATION_KEYS


@pytest.mark.parametrize("group", ExtraKeys)
def test_each_group_of_extra_keys_adds_its_own_and_changes_no_other(group: ExtraKeys) -> None:
    groups = {group} | ({ExtraKeys.MASKS} if group in (ExtraKeys.BOX_ID, ExtraKeys.PREDICTED_IOU) else set())
    layout = RecordLayout(ALL_TABLES, frozenset(FLAGS), frozenset(groups))
    expected = IMAGE_KEYS | ANNOTATION_KEYS | EXTRA[group] | (EXTRA[ExtraKeys.MASKS] if len(groups) > 1 else {})
    assert parse(encode(full_shard(), layout)) == expected


def test_all_groups_of_extra_keys_together() -> None:
    expected = IMAGE_KEYS | ANNOTATION_KEYS
    for features in EXTRA.values():
        expected = expected | features
    record = encode(full_shard(), FULL)
    assert parse(record) == expected
    # protobuf's implementations differ in the order of such keys, so bytes would depend on who writes.
    assert not [(one, other) for one in expected for other in expected if one != other and other.startswith(one)]
    assert record == tf.train.Example.FromString(record).SerializeToString(deterministic=True)


@pytest.mark.parametrize("tables_are_there", [True, False], ids=["no row of the image", "no row in the shard"])
def test_an_image_without_box_and_label_has_empty_lists_of_the_right_kind(tables_are_there: bool) -> None:
    # With rows, those of another image, before and after which the image in question comes.
    full = full_shard()
    texts = {name: values * 3 for name, values in TEXTS.items()}
    rows = [[[], rows, []] if tables_are_there else None for rows in (TWO_BOXES, THREE_LABELS, TWO_MACHINE_LABELS)]
    shard = shard_of_images([0x33073932C2E, 1, 0x33073932C2E], *rows, texts=texts)
    of_image = (ExtraKeys.ATTRIBUTION, ExtraKeys.ROTATION)
    expected = IMAGE_KEYS | emptied(ANNOTATION_KEYS) | EXTRA[of_image[0]] | EXTRA[of_image[1]]
    for group in set(ExtraKeys) - set(of_image):
        expected = expected | emptied(EXTRA[group])
    for index in (0, 2):
        assert parse(encode(shard, FULL, index)) == expected
    if tables_are_there:
        assert parse(encode(shard, FULL, 1)).keys() == parse(encode(full, FULL)).keys()


def test_boxes_without_mask_are_left_out_of_every_list() -> None:
    boxes = [
        BOX | {"label": label, "xmin": label / 8, "occluded": label % 2, "source": label % 2} for label in range(4)
    ]
    groups = frozenset(ExtraKeys) - {ExtraKeys.MASKS, ExtraKeys.ROTATION}
    labels, layout = [[LABEL]] * 3, RecordLayout(ALL_TABLES, frozenset(FLAGS), groups)
    shard = shard_of_images([7, 8, 9], [[BOX], boxes, [BOX]], labels, texts={name: v * 3 for name, v in TEXTS.items()})
    masks = ImageMasks((1, 3), (b"one", b"three"), (0, -1), (1.0, 0.0))
    record = b"".join(RecordEncoder(shard, MIDS, LABEL_IDS, layout).encode(1, image_of(), masks))
    chosen = shard_of_images([8], [[boxes[1], boxes[3]]], labels[:1], texts=TEXTS)
    expected = parse(encode(chosen, layout)) | {
        "image/object/box_id": ("bytes", [b"9a041d52", b""]),
        "image/object/predicted_iou": ("float", [0.75, -1.0]),
        "image/object/mask": ("bytes", [b"one", b"three"]),
        "image/object/mask/weight": ("float", [1.0, 0.0]),
    }
    assert parse(record) == expected


def test_image_level_keys_are_there_only_if_the_table_is() -> None:
    layout = RecordLayout(frozenset({Table.METADATA, Table.BOXES}), frozenset(FLAGS))
    expected = {key: value for key, value in ANNOTATION_KEYS.items() if key.startswith("image/object/")}
    assert parse(encode(shard_of_images([0x33073932C2E], [TWO_BOXES]), layout)) == IMAGE_KEYS | expected


@pytest.mark.parametrize("flag", BOX_FLAGS)
def test_a_flag_is_there_only_if_its_column_is(flag: str) -> None:
    without = parse(encode(full_shard(), RecordLayout(ALL_TABLES, frozenset(FLAGS) - {flag})))
    missing = {f"image/object/{flag}"} | ({IS_CROWD_KEY} if flag == "group_of" else set())
    assert parse(encode(full_shard(), PLAIN)).keys() - without.keys() == missing
    only = parse(encode(full_shard(), RecordLayout(ALL_TABLES, frozenset({flag}))))
    present = {key for key in only if key.rpartition("/")[2] in (*FLAGS, "is_crowd")}
    assert present == missing


def test_files_without_flag_columns_give_no_flag_keys() -> None:
    layout = RecordLayout(ALL_TABLES, frozenset(), frozenset({ExtraKeys.INSIDE}))
    boxes = [BOX | dict.fromkeys(FLAGS, NO_COLUMN)]
    keys = parse(encode(shard_of_images([1], [boxes]), layout)).keys()
    assert not [key for key in keys if key.rpartition("/")[2] in (*FLAGS, "is_crowd")]


@pytest.mark.parametrize("flag", FLAGS)
def test_unknown_is_written_as_zero(flag: str) -> None:
    # NO_COLUMN is met beside other values where one of several box files lacks the column.
    boxes = [BOX | {flag: value} for value in (UNKNOWN, 1, NO_COLUMN, 0)]
    features = parse(encode(shard_of_images([1], [boxes]), FULL))
    assert features[f"image/object/{flag}"] == ("int64", [0, 1, 0, 0])


def test_attribution_of_columns_the_metadata_lacks_is_left_out() -> None:
    layout = RecordLayout(ALL_TABLES, frozenset(), frozenset({ExtraKeys.ATTRIBUTION}))
    shard = shard_of_images([1], texts={"Title": [b"t"], "License": [b"l"]})
    keys = {key for key in parse(encode(shard, layout)) if "attribution" in key}
    assert keys == {"image/attribution/title", "image/attribution/license"}


@pytest.mark.parametrize(("rotations", "expected"), [([0], [0]), ([180], [180]), ([-1], []), (None, [])])
def test_a_rotation_that_is_not_known_is_an_empty_list(rotations: list[int] | None, expected: list[int]) -> None:
    record = RecordEncoder(full_shard(), MIDS, LABEL_IDS, FULL, rotations=rotations).encode(0, image_of())
    assert parse(b"".join(record))["image/rotation"] == ("int64", expected)


def test_numeric_source_ids_take_the_place_of_the_image_id_there_only() -> None:
    record = RecordEncoder(full_shard(), MIDS, LABEL_IDS, PLAIN, source_ids=[16_777_215]).encode(0, image_of())
    features = parse(b"".join(record))
    assert features["image/source_id"] == ("bytes", [b"16777215"])
    assert features | {"image/source_id": IMAGE_KEYS["image/source_id"]} == parse(encode(full_shard(), PLAIN))


def test_the_bytes_of_the_image_are_passed_on_without_being_copied() -> None:
    image = image_of(bytes(100_000))
    pieces = RecordEncoder(full_shard(), MIDS, LABEL_IDS, FULL).encode(0, image)
    assert pieces[1] is image.encoded


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 3_000_000])
def test_images_of_every_size(size: int) -> None:
    image = image_of(bytes(size), height=2**31 - 1, width=1)
    record = encode(full_shard(), FULL, 0, image)
    assert parse(record)["image/encoded"] == ("bytes", [bytes(size)])
    assert parse(record)["image/height"] == ("int64", [2**31 - 1])
    assert record == tf.train.Example.FromString(record).SerializeToString(deterministic=True)


SIDES = st.integers(0, 10**6)
LABEL_ROWS = st.fixed_dictionaries(
    {"label": st.integers(0, 3), "source": st.integers(0, 2), "confidence": st.floats(0, 1, width=32)}
)
BOX_ROWS = st.fixed_dictionaries(
    {"label": st.integers(0, 3), "source": st.integers(0, 1), "confidence": st.floats(0, 1, width=32)}
    | {name: SIDES.map(lambda side: side / 10**6) for name in COORDINATES}
    | {name: st.integers(-2, 1) for name in FLAGS}
    | {name: st.integers(0, 3) for name in ATTRIBUTES}
)
IMAGES = st.fixed_dictionaries(
    {
        "boxes": st.lists(BOX_ROWS, max_size=4),
        "human": st.lists(LABEL_ROWS, max_size=4),
        "machine": st.lists(LABEL_ROWS, max_size=3),
        "texts": st.tuples(*[st.binary(max_size=20)] * len(ATTRIBUTION)),
    }
)
LAYOUTS = st.builds(
    RecordLayout,
    tables=st.sets(st.sampled_from(CSV_TABLES)).map(frozenset),
    flags=st.sets(st.sampled_from(sorted(FLAGS))).map(frozenset),
    extra_keys=st.sets(st.sampled_from(ExtraKeys)).map(frozenset),
)


def labels_of(prefix: str, rows: list[Row], with_source: bool) -> Features:
    features: Features = {
        f"{prefix}/text": ("bytes", [MIDS[row["label"]].encode() for row in rows]),
        f"{prefix}/label": ("int64", [int(LABEL_IDS[row["label"]]) for row in rows]),
        f"{prefix}/confidence": ("float", [row["confidence"] for row in rows]),
    }
    if with_source:
        features[f"{prefix}/source"] = ("bytes", [LABEL_SOURCES[row["source"]].encode() for row in rows])
    return features


def features_of(image_id: int, drawn: dict[str, Any], image: PreparedImage, layout: RecordLayout) -> Features:
    """The record of an image, put together from its rows one by one."""
    boxes, extra = drawn["boxes"], layout.extra_keys
    features: Features = {
        "image/encoded": ("bytes", [image.encoded]),
        "image/filename": ("bytes", [b"%016x.jpg" % image_id]),
        "image/format": ("bytes", [b"jpeg"]),
        "image/height": ("int64", [image.height]),
        "image/key/sha256": ("bytes", [hashlib.sha256(image.encoded).hexdigest().encode()]),
        "image/source_id": ("bytes", [b"%016x" % image_id]),
        "image/width": ("int64", [image.width]),
        **{f"image/object/bbox/{side}": ("float", float32([box[side] for box in boxes])) for side in COORDINATES},
        "image/object/class/text": ("bytes", [MIDS[box["label"]].encode() for box in boxes]),
        "image/object/class/label": ("int64", [int(LABEL_IDS[box["label"]]) for box in boxes]),
    }
    areas = []
    for box in boxes:
        xmin, xmax, ymin, ymax = float32([box[side] for side in ("xmin", "xmax", "ymin", "ymax")])
        areas.append(pytest.approx((xmax - xmin) * (ymax - ymin) * image.height * image.width, rel=1e-6))
    features["image/object/area"] = ("float", areas)
    for flag in layout.flags:
        values = [int(box[flag] == 1) for box in boxes]
        if flag != "inside" or ExtraKeys.INSIDE in extra:
            features[f"image/object/{flag}"] = ("int64", values)
        if flag == "group_of":
            features["image/object/is_crowd"] = ("int64", values)
    if ExtraKeys.BOX_SOURCE in extra:
        features["image/object/source"] = ("bytes", [BOX_SOURCES[box["source"]].encode() for box in boxes])
    if ExtraKeys.BOX_CONFIDENCE in extra:
        features["image/object/bbox/confidence"] = ("float", [box["confidence"] for box in boxes])
    if ExtraKeys.ATTRIBUTES in extra:
        names = {name: f"image/object/attribute/{name}" for name in ATTRIBUTES}
        features |= {key: ("int64", [box[name] for box in boxes]) for name, key in names.items()}
    if Table.HUMAN_LABELS in layout.tables:
        features |= labels_of("image/class", drawn["human"], ExtraKeys.LABEL_SOURCE in extra)
        if ExtraKeys.PRESENT_LABELS in extra:
            present = [row for row in drawn["human"] if row["confidence"] > 0]
            features |= labels_of("image/present_class", present, False)
    if ExtraKeys.MACHINE_LABELS in extra:
        features |= labels_of("image/machine_class", drawn["machine"], False)
    if ExtraKeys.ROTATION in extra:
        features["image/rotation"] = ("int64", [])
    if ExtraKeys.ATTRIBUTION in extra:
        features |= {
            f"image/attribution/{name}": ("bytes", [text])
            for name, text in zip(ATTRIBUTION, drawn["texts"], strict=True)
        }
    return features


@given(
    images=st.lists(IMAGES, min_size=1, max_size=4),
    image_ids=st.lists(st.integers(0, 2**64 - 1), min_size=4, max_size=4),
    encoded=st.binary(max_size=300),
    layout=LAYOUTS,
)
def test_every_record_holds_the_rows_of_its_image_in_tensorflows_bytes(
    images: list[dict[str, Any]], image_ids: list[int], encoded: bytes, layout: RecordLayout
) -> None:
    texts = {column: [image["texts"][at] for image in images] for at, column in enumerate(ATTRIBUTION.values())}
    rows = [[image[name] for image in images] for name in ("boxes", "human", "machine")]
    shard = shard_of_images(image_ids[: len(images)], *rows, texts=texts)
    encoder = RecordEncoder(shard, MIDS, LABEL_IDS, layout)
    # Backwards, as a record may not depend on those before it.
    for index in reversed(range(len(images))):
        image = image_of(encoded, height=index + 1, width=1000)
        record = b"".join(encoder.encode(index, image))
        assert parse(record) == features_of(image_ids[index], images[index], image, layout)
        assert record == tf.train.Example.FromString(record).SerializeToString(deterministic=True)


def metadata_batch(image_ids: Sequence[int]) -> Batch:
    rows = np.zeros(len(image_ids), METADATA_ROW)
    rows["image_id"] = image_ids
    return Batch(RangeKey(Table.METADATA, 0, 0), 0, (), rows, {})


def box_batch(rows: Sequence[tuple[int, float]], file: int, index: int, part: int, sources: tuple[str, ...]) -> Batch:
    boxes = annotations_of([[BOX | {"xmin": xmin} for _, xmin in rows]], BOX_ROW, sources).rows
    boxes["image_id"] = [image_id for image_id, _ in rows]
    boxes["line"] = np.arange(len(rows))
    return Batch(RangeKey(Table.BOXES, file, index), part, sources, boxes, {})


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_boxes_keep_the_order_of_the_files_whatever_the_order_of_the_batches(order: tuple[int, ...]) -> None:
    parts = [
        box_batch([(7, 0.1), (9, 0.2), (7, 0.05)], 0, 0, 0, ("xclick",)),
        box_batch([(9, 0.15), (7, 0.3)], 0, 0, 1, ("xclick",)),
        box_batch([(7, 0.02)], 0, 1, 0, ("activemil",)),
        box_batch([(7, 0.25), (9, 0.01)], 1, 0, 0, ("activemil",)),
    ]
    shard = join_shard(
        collect_tables([metadata_batch([9, 7]), *(parts[at] for at in order)]), JoinRules(Table.METADATA, "all")
    )
    found = {
        int(image_id): parse(encode(shard, FULL, index)) for index, image_id in enumerate(shard.image_ids.tolist())
    }
    assert found[7]["image/object/bbox/xmin"] == ("float", float32([0.1, 0.05, 0.3, 0.02, 0.25]))
    assert found[9]["image/object/bbox/xmin"] == ("float", float32([0.2, 0.15, 0.01]))
    assert found[7]["image/object/source"] == ("bytes", [b"xclick"] * 3 + [b"activemil"] * 2)
    assert found[9]["image/object/source"] == ("bytes", [b"xclick"] * 2 + [b"activemil"])


BOX_COLUMNS = ("ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax", "IsGroupOf")


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([1, 2**64 - 1, 0x33073932C2E]),
            st.sampled_from(MIDS),
            st.sets(SIDES, min_size=2, max_size=2).map(lambda sides: tuple(sorted(sides))),
            st.sets(SIDES, min_size=2, max_size=2).map(lambda sides: tuple(sorted(sides))),
            st.sampled_from([-1, 0, 1]),
        ),
        min_size=1,
        max_size=12,
        unique=True,
    ),
    digits=st.sampled_from([6, 9]),
)
def test_coordinates_equal_those_of_the_way_through_pandas(rows: list[tuple[Any, ...]], digits: int) -> None:
    """The way of the Object Detection API: read by pandas as float64, handed as such to a FloatList."""
    lines = [
        f"{image_id:016x},xclick,{mid},1,"
        + ",".join(f"{side / 10**6:.{digits}f}" for side in (*horizontal, *vertical))
        + f",{flag}"
        for image_id, mid, horizontal, vertical, flag in rows
    ]
    data = ("\n".join(lines) + "\n").encode()
    parsed = parse_rows(data, BOX_COLUMNS, columns_to_parse(Table.BOXES, BOX_COLUMNS), quoted_line_breaks=False)
    made = make_rows(Table.BOXES, parsed, RowRules(Vocabulary(MIDS), np.ones(len(MIDS), bool)))
    batches = [decode(batch) for _, batch in sort_by_shard(RangeKey(Table.BOXES, 0, 0), made, 1).batches()]
    shard = join_shard(collect_tables(batches), JoinRules(Table.BOXES, "all"))

    frame = pandas.read_csv(io.BytesIO(data), names=BOX_COLUMNS, dtype={"ImageID": str})
    for index, image_id in enumerate(shard.image_ids.tolist()):
        features = parse(encode(shard, FULL, index))
        of_image = frame[frame.ImageID == f"{image_id:016x}"]
        assert len(of_image)
        for side in ("XMin", "XMax", "YMin", "YMax"):
            theirs = list(tf.train.FloatList(value=of_image[side].to_numpy()).value)
            assert features[f"image/object/bbox/{side.lower()}"] == ("float", theirs)
        assert features["image/object/class/text"] == ("bytes", [mid.encode() for mid in of_image.LabelName])


def feature_spec() -> dict[str, Any]:
    """A reader's specification of every key, with no default: an absent key would be an error."""
    one = {"bytes": tf.string, "int64": tf.int64, "float": tf.float32}
    expected = IMAGE_KEYS | ANNOTATION_KEYS
    for features in EXTRA.values():
        expected = expected | features
    fixed = IMAGE_KEYS.keys() | EXTRA[ExtraKeys.ATTRIBUTION].keys()
    return {
        key: tf.io.FixedLenFeature([], one[kind]) if key in fixed else tf.io.RaggedFeature(one[kind])
        for key, (kind, _) in expected.items()
    }


@pytest.mark.parametrize("boxes", [0, 1, 2, 150])
def test_tensorflow_parses_a_record_with_every_key_specified(boxes: int) -> None:
    rows = [BOX | {"xmin": 0.5 * number / boxes} for number in range(boxes)]
    labels = THREE_LABELS if boxes else []
    record = encode(shard_of_images([0x33073932C2E], [rows], [labels], [labels], texts=TEXTS), FULL)
    parsed = tf.io.parse_single_example(record, feature_spec())
    assert parsed.keys() == parse(record).keys()
    for key, (_, values) in parse(record).items():
        found = parsed[key].numpy()
        assert (found.tolist() if isinstance(found, np.ndarray) else [found]) == values, key
    corners = [parsed[f"image/object/bbox/{side}"] for side in ("ymin", "xmin", "ymax", "xmax")]
    assert tf.stack(corners, axis=1).shape == (boxes, 4)
