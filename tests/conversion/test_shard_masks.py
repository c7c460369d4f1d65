import pathlib

import numpy as np
import pyarrow as pa
import pytest

from oi_tfrecord.conversion.shard_masks import LoadedMasks, MaskOutcome, ShardMasks
from oi_tfrecord.join.join_shard import Annotations, JoinedShard
from oi_tfrecord.join.pair_masks import MaskRules, Masks
from oi_tfrecord.join.shard_rows import ShardRows
from oi_tfrecord.openimages.schema import BOX_ROW, MASK_PATH, MASK_ROW, RangeKey, Table
from oi_tfrecord.reasons import Reject
from oi_tfrecord.settings.allowed_values import BoxesWithoutMask
from oi_tfrecord.sources.archives import ArchiveSource
from oi_tfrecord.sources.files import PatternSource
from oi_tfrecord.sources.masks import MaskSource
from tests.support.mask_release import png_of
from tests.support.optional import tensorflow as tf

CORNER = np.zeros((2, 3), bool)
CORNER[0, 0] = True


def joined_shard() -> JoinedShard:
    """Two images of two boxes each: the first has both masks, the second has one that cannot be read."""
    rows = np.zeros(3, MASK_ROW)
    rows["line"] = range(3)
    paths = {MASK_PATH: pa.array([b"a.png", b"broken.png", b"b.png"], pa.binary())}
    table = ShardRows(rows, (), (RangeKey(Table.MASKS, 0, 0),), np.zeros(3, np.int64), paths)
    return JoinedShard(
        image_ids=np.array([1, 2], np.uint64),
        annotations={Table.BOXES: Annotations(np.zeros(4, BOX_ROW), np.array([0, 2, 4]), ())},
        text_columns={},
        faults=[],
        rejected={},
        dropped={},
        images_not_selected=0,
        has_metadata=np.ones(2, bool),
        masks=Masks(table, np.array([2, 0, 1, -1]), None),
    )


def shard_masks(source: MaskSource) -> ShardMasks:
    joined = joined_shard()
    assert joined.masks is not None
    return ShardMasks(source, joined.masks, joined.annotations[Table.BOXES])


def source(folder: pathlib.Path, keep: bool) -> MaskSource:
    for name, data in (("a", png_of(CORNER)), ("b", png_of(~CORNER)), ("broken", b"no PNG")):
        (folder / f"{name}.png").write_bytes(data)
    pattern = PatternSource(str(folder / "{mask_path}"), "train", 1000)
    return MaskSource(
        MaskRules(BoxesWithoutMask.EMPTY if keep else BoxesWithoutMask.DROP), pattern, ArchiveSource((), 1000), 1000
    )


def test_masks_come_in_the_order_of_the_boxes_turned_as_the_image(tmp_path: pathlib.Path) -> None:
    masks = shard_masks(source(tmp_path, keep=False))
    for angle, size in ((0, (3, 2)), (90, (2, 3))):
        loaded = masks.load(0, *size, angle)
        assert loaded.masks is not None
        assert loaded.masks.boxes == (0, 1)
        pixels = [tf.io.decode_png(png).numpy()[..., 0] for png in loaded.masks.encoded]
        for found, drawn in zip(pixels, (~CORNER, CORNER), strict=True):
            np.testing.assert_array_equal(found, np.rot90(drawn, angle // 90))
        assert loaded.size == sum(map(len, loaded.masks.encoded))


@pytest.mark.parametrize("keep", [True, False])
def test_what_becomes_of_boxes_without_a_readable_mask(tmp_path: pathlib.Path, keep: bool) -> None:
    masks = shard_masks(source(tmp_path, keep))
    loaded = masks.load(1, 4, 4)
    masks.note_written(1, loaded)
    found, outcome = loaded.masks, masks.outcome()
    assert found is not None
    assert found.boxes == ((0, 1) if keep else ())
    assert found.weights == ((0.0, 0.0) if keep else None)
    # The box that never had a mask is kept by the join only where it is kept here.
    assert outcome.boxes_left_out.tolist() == ([] if keep else [2, 3])
    assert [(fault.line, fault.reason) for fault in outcome.faults] == [(1, Reject.NOT_AN_IMAGE)]


def test_masks_of_a_record_are_noted_only_when_the_record_is(tmp_path: pathlib.Path) -> None:
    masks = shard_masks(source(tmp_path, keep=False))
    loaded = masks.load(0, 3, 2)
    assert masks.outcome().written.tolist() == [False, False, False]
    masks.note_written(0, loaded)
    assert masks.outcome().written.tolist() == [True, False, True]
    assert masks.fault_count == 0


def test_without_masks_nothing_has_a_size() -> None:
    assert LoadedMasks().size == 0
    assert MaskOutcome.all_written(None).written.tolist() == []
    assert MaskOutcome.all_written(joined_shard().masks).written.tolist() == [True] * 3
