"""What all shards of a conversion have in common."""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from oi_tfrecord.dataset.work_folder import WorkFolder
from oi_tfrecord.images.values import ImageOptions
from oi_tfrecord.join.join_shard import JoinRules
from oi_tfrecord.openimages.hierarchy import Hierarchy
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.records.keys import ExtraKeys, RecordLayout
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.sources.masks import MaskSource
from oi_tfrecord.sources.protocol import ImageSource


@dataclasses.dataclass(frozen=True)
class ShardJob:
    """What all shards of a conversion have in common.

    Attributes:
        split: name of the split.
        num_shards: number of shards.
        output_dir: folder of the shard files.
        work: folder of unfinished results.
        driver: table whose ImageIDs are the images.
        select: which of the images are written (`JoinRules`).
        files: table or listing to the paths of its files.
        mids: MID of each vocabulary code.
        layout: keys of the records.
        source: where image bytes come from.
        image_options: how they are checked and encoded.
        read_threads: images read at once; 0 chooses by storage.
        hierarchy: by which boxes and labels are expanded; None if they are not.
        is_listed: bool array, which vocabulary codes are in the class list; the hierarchy alone needs the array.
        is_chosen: bool array, which vocabulary codes are written; the hierarchy alone needs the array.
        dry_run: whether to join and count only, as if every image were there.
        masks: where the masks of boxes come from; None for records without masks.
        source_id: `hex` or `numeric`.
        turn_images: whether images and boxes are turned by the metadata's Rotation.
        attribution_csv: whether to list the author of each record's image.
        conversion: digest of the fingerprint of the conversion; empty for shards that no dataset has.
        skips_missing: whether images that are not there are left out, and are no rejects.
        has_spare_cores: whether there are fewer shards than workers.
        shard_sha256: whether to compute the SHA-256 of each shard file.
    """

    split: str
    num_shards: int
    output_dir: str
    work: WorkFolder
    driver: Table
    select: str
    files: dict[Table, tuple[str, ...]]
    mids: tuple[str, ...]
    layout: RecordLayout
    source: ImageSource
    image_options: ImageOptions
    read_threads: int
    hierarchy: Hierarchy | None = None
    is_listed: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, bool))
    is_chosen: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, bool))
    dry_run: bool = False
    masks: MaskSource | None = None
    source_id: str = "hex"
    turn_images: bool = False
    attribution_csv: bool = False
    conversion: str = ""
    skips_missing: bool = False
    has_spare_cores: bool = False
    shard_sha256: bool = False

    @property
    def join_rules(self) -> JoinRules:
        """How the tables are joined."""
        return JoinRules(self.driver, self.select, self.masks.rules if self.masks else None)

    @property
    def uses_rotation(self) -> bool:
        """Whether the metadata's Rotation is used at all."""
        return self.turn_images or ExtraKeys.ROTATION in self.layout.extra_keys

    def label_ids(self, label_map: LabelMap) -> np.ndarray:
        """Returns the label map id of each vocabulary code, 0 for those not in the label map."""
        return self._label_ids.of(label_map)

    @functools.cached_property
    def _label_ids(self) -> "_LabelIds":
        return _LabelIds(self.mids)


class _LabelIds:
    """The label map id of each vocabulary code, kept for the next shard.

    A worker does thousands of shards with one label map, which may have 20,000 classes.
    """

    def __init__(self, mids: Sequence[str]):
        self._code_of = {mid: code for code, mid in enumerate(mids)}
        self._last: tuple[LabelMap | None, np.ndarray] = (None, np.zeros(0, np.int64))

    def of(self, label_map: LabelMap) -> np.ndarray:
        # The threads of a process share this object: read and replaced as one value, it is of one label map.
        known, ids = self._last
        if known is not label_map:
            ids = np.zeros(len(self._code_of), np.int64)
            # A label map that is given may have classes that the class files do not know.
            known_items = [item for item in label_map.items if item.name in self._code_of]
            ids[[self._code_of[item.name] for item in known_items]] = [item.id for item in known_items]
            self._last = (label_map, ids)
        return ids
