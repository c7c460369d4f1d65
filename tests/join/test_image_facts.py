import numpy as np
import pyarrow as pa
import pytest

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.join.image_facts import ImageFacts, turn_shard
from oi_tfrecord.join.join_shard import Annotations, JoinedShard
from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.openimages.rotation import NOT_KNOWN, ROTATION_COLUMN
from oi_tfrecord.openimages.schema import BOX_ROW, Table
from oi_tfrecord.records.source_ids import number_images


def shard(rotations: list[bytes]) -> JoinedShard:
    """Returns a shard whose image `i` has `i` boxes at the left side."""
    count = len(rotations)
    ids = np.arange(count, dtype=np.uint64)
    ids = ids[np.argsort(hash_ids(ids))]
    boxes = np.zeros(count * (count - 1) // 2, BOX_ROW)
    boxes["xmax"], boxes["ymax"] = 0.25, 1
    annotations = {Table.BOXES: Annotations(boxes, np.append(0, np.cumsum(np.arange(count))), ("xclick",))}
    columns = {ROTATION_COLUMN: pa.array(rotations, pa.binary())}
    return JoinedShard(ids, annotations, columns, [], {}, {}, 0, np.ones(count, bool))


def facts_of(
    joined: JoinedShard, *, with_rotation: bool = False, turn: bool = False, numeric_ids: bool = False
) -> ImageFacts:
    return ImageFacts.of(joined, 0, 1, with_rotation=with_rotation, turn=turn, numeric_ids=numeric_ids)


def test_rotations_are_those_of_the_metadata_if_they_are_used() -> None:
    joined = shard([b"90.0", b"", b"0"])
    facts = facts_of(joined, with_rotation=True)
    assert facts.rotations.tolist() == facts.to_turn.tolist() == [90, NOT_KNOWN, 0]
    assert facts.counted["rotation_unknown"].tolist() == [False, True, False]
    assert facts_of(joined).rotations.tolist() == [NOT_KNOWN] * 3
    assert facts_of(joined).counted == {}


def test_turned_images_need_no_further_turn() -> None:
    facts = facts_of(shard([b"90.0", b"", b"0"]), with_rotation=True, turn=True)
    assert facts.rotations.tolist() == [90, NOT_KNOWN, 0]
    assert facts.to_turn.tolist() == [0, NOT_KNOWN, 0]


def test_source_ids_are_numbers_of_the_images() -> None:
    joined = shard([b"0"] * 3)
    numbers, moved = number_images(hash_ids(joined.image_ids), 0, 1)
    facts = facts_of(joined, numeric_ids=True)
    assert facts.source_ids == numbers.tolist()
    assert facts.counted["source_id_moved"].tolist() == moved.tolist()
    assert facts_of(joined).source_ids is None


def test_more_images_than_numbers_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(hashes: np.ndarray, shard: int, num_shards: int) -> None:
        raise ValueError("3 images, 2 ids")

    monkeypatch.setattr("oi_tfrecord.join.image_facts.number_images", refuse)
    with pytest.raises(ConfigError, match="shard 0: 3 images, 2 ids") as raised:
        facts_of(shard([b"0"] * 3), numeric_ids=True)
    assert raised.value.field == "source_id"


def test_the_boxes_of_an_image_are_turned_with_the_image() -> None:
    joined = shard([b"0", b"90", b"0"])
    rows = turn_shard(joined, np.array([0, 90, 0])).annotations[Table.BOXES].rows
    # Turned counter-clockwise, the left quarter of an image is its lower quarter.
    assert rows["xmax"].tolist() == [1, 0.25, 0.25]
    assert rows["ymin"].tolist() == [0.75, 0, 0]
    assert joined.annotations[Table.BOXES].rows["xmax"].tolist() == [0.25] * 3
