"""Facts of each image of a shard beside its annotations: rotation and source id."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from oi_tfrecord.errors import ConfigError
from oi_tfrecord.join.join_shard import JoinedShard
from oi_tfrecord.openimages.image_id import hash_ids
from oi_tfrecord.openimages.rotation import NOT_KNOWN, ROTATION_COLUMN, parse_rotations, turn_boxes
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.source_ids import number_images


@dataclasses.dataclass(frozen=True)
class ImageFacts:
    """Facts of the images of a shard.

    Attributes:
        rotations: int array [n], the angles of the metadata (`parse_rotations`); NOT_KNOWN where they are not used.
        to_turn: int array [n], the angles by which a reader still has to turn the images of the records.
        source_ids: numeric source ids [n]; None if the ImageIDs are the source ids.
        counted: name of a count of images to bool array [n], the images that are counted.
    """

    rotations: np.ndarray
    to_turn: np.ndarray
    source_ids: Sequence[int] | None
    counted: dict[str, np.ndarray]

    @classmethod
    def of(
        cls, joined: JoinedShard, shard: int, num_shards: int, *, with_rotation: bool, turn: bool, numeric_ids: bool
    ) -> "ImageFacts":
        """Returns the facts of a shard.

        Args:
            joined: the images of the shard in hash order.
            shard: number of the shard.
            num_shards: number of shards.
            with_rotation: whether records or images use the Rotation column of the metadata.
            turn: whether images are turned by their rotation.
            numeric_ids: whether source ids are numbers.

        Raises:
            ConfigError: if the shard has more images than numeric ids.
        """
        counted: dict[str, np.ndarray] = {}
        rotations = np.full(len(joined.image_ids), NOT_KNOWN, np.int16)
        if with_rotation:
            if ROTATION_COLUMN in joined.text_columns:
                rotations = parse_rotations(joined.text_columns[ROTATION_COLUMN])
            counted["rotation_unknown"] = rotations == NOT_KNOWN
        source_ids = None
        if numeric_ids:
            try:
                numbers, counted["source_id_moved"] = number_images(hash_ids(joined.image_ids), shard, num_shards)
            except ValueError as error:
                raise ConfigError("source_id", f"numeric has too few ids in shard {shard}: {error}") from None
            source_ids = numbers.tolist()
        return cls(rotations, np.minimum(rotations, 0) if turn else rotations, source_ids, counted)


def turn_shard(joined: JoinedShard, rotations: np.ndarray) -> JoinedShard:
    """Returns a shard whose boxes are turned by the angles [n] of their images."""
    if (boxes := joined.annotations.get(Table.BOXES)) is None:
        return joined
    turned = dataclasses.replace(boxes, rows=turn_boxes(boxes.rows, np.repeat(rotations, np.diff(boxes.offsets))))
    return dataclasses.replace(joined, annotations={**joined.annotations, Table.BOXES: turned})
