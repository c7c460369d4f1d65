"""What training programs need to know of the records: from the manifest and the label map."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import LABEL_MAP_CSV, LABEL_MAP_FILE, MANIFEST_FILE
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.manifest import is_expanded
from oi_tfrecord.dataset.splits import find_splits, require_manifest
from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Drop
from oi_tfrecord.records.keys import ExtraKeys
from oi_tfrecord.records.label_map import LabelMap, has_relatives

_AGAIN = "Convert again with --overwrite"


@dataclasses.dataclass(frozen=True)
class SplitFacts:
    """What a training program needs to know of a split.

    Attributes:
        name: Name of the split.
        pattern: Glob of its shards, as the training machine sees them.
        shards: Number of its shards.
        records: Number of its records.
        most_boxes: Boxes of the image with most boxes.
        most_expanded_boxes: The same after the Object Detection API's expansion by the label map's ancestors.
        has_boxes: Whether the records hold boxes.
        has_masks: Whether the records hold instance masks.
        has_labels: Whether the records hold human-verified labels.
        has_present_labels: Whether the records hold the labels that are present apart.
        is_expanded: Whether the records are expanded by a hierarchy.
        absent_labels: Human-verified labels beside the present ones that say that a class is not there.
        labels_left_out: Human-verified labels of images without a record.
        may_leave_out_labels: Whether a conversion before the derivation of the records left out images by their boxes.
        numeric_ids: Whether source ids are numbers.
    """

    name: str
    pattern: str
    shards: int
    records: int
    most_boxes: int
    most_expanded_boxes: int
    has_boxes: bool = True
    has_masks: bool = False
    has_labels: bool = False
    has_present_labels: bool = False
    is_expanded: bool = False
    absent_labels: int = 0
    labels_left_out: int = 0
    may_leave_out_labels: bool = False
    numeric_ids: bool = False


@dataclasses.dataclass(frozen=True)
class TrainingFacts:
    """What a training program needs to know of a dataset.

    Attributes:
        train: The split to train with.
        evaluation: The split to evaluate with.
        label_map: The label map of the records.
        label_map_path: Path of `label_map.pbtxt`, as the training machine sees it.
        label_map_csv: Path of `label_map.csv`, likewise.
    """

    train: SplitFacts
    evaluation: SplitFacts
    label_map: LabelMap
    label_map_path: str
    label_map_csv: str

    @property
    def highest_id(self) -> int:
        """Highest id of the label map: a model numbers its classes up to this id, even if ids below have no class."""
        return max(item.id for item in self.label_map.items)

    @property
    def splits(self) -> tuple[SplitFacts, SplitFacts]:
        """The split to train with and that to evaluate with."""
        return self.train, self.evaluation

    @property
    def has_relatives(self) -> bool:
        """Whether the label map names ancestors or descendants."""
        return has_relatives(self.label_map)

    def reader_expands(self, split: SplitFacts) -> bool:
        """Returns whether the Object Detection API's reader is to expand boxes and labels of a split.

        Its decoder (tf_example_decoder.py) repeats the boxes and their classes, but not their masks.
        """
        return self.has_relatives and not split.is_expanded and not split.has_masks

    def boxes_read(self, split: SplitFacts) -> int:
        """Returns the boxes that the Object Detection API's reader has of the fullest image, at least 1."""
        return max(split.most_expanded_boxes if self.reader_expands(split) else split.most_boxes, 1)


def find_facts(output_dir: str, train: str, evaluation: str, folder: str) -> TrainingFacts:
    """Reads what training programs need to know of a dataset.

    Args:
        output_dir: Folder of the records.
        train: Name of the split to train with.
        evaluation: Name of the split to evaluate with.
        folder: Folder of the records on the training machine; empty for `output_dir`.

    Raises:
        InputError: If a split, its manifest, its records or the label map is missing.
    """
    splits = find_splits(output_dir, [train, evaluation])
    folder = folder or storage.join(storage.working_folder(), output_dir)
    label_map = read_label_map(output_dir)
    if label_map is None:
        raise InputError(output_dir, f"there is no {LABEL_MAP_FILE}", "Convert a split again with --overwrite")
    manifests = {name: require_manifest(output_dir, splits[name]) for name in (train, evaluation)}
    facts = TrainingFacts(
        train=split_facts(folder, train, manifests[train]),
        evaluation=split_facts(folder, evaluation, manifests[evaluation]),
        label_map=label_map,
        label_map_path=storage.join(folder, LABEL_MAP_FILE),
        label_map_csv=storage.join(folder, LABEL_MAP_CSV),
    )
    for split in facts.splits:
        _check_split(output_dir, facts, split, manifests[split.name])
    return facts


def split_facts(folder: str, split: str, manifest: Mapping[str, Any]) -> SplitFacts:
    """Returns what a training program needs to know of a split.

    Args:
        folder: Folder of the records, as the training machine sees it.
        split: Name of the split.
        manifest: The split's part of `manifest.json`.
    """
    totals, config = manifest["totals"], manifest["config"]
    labels = manifest["tables"].get(Table.HUMAN_LABELS)
    shards = len(manifest["shards"])
    has_boxes = config.get("task") != "classification"
    return SplitFacts(
        name=split,
        pattern=f"{folder.rstrip('/')}/{split}.tfrecord-?????-of-{shards:05d}",
        shards=shards,
        records=totals["records"],
        most_boxes=totals["most_boxes_in_an_image"],
        most_expanded_boxes=totals.get("most_boxes_after_expansion", totals["most_boxes_in_an_image"]),
        has_boxes=has_boxes,
        has_masks=ExtraKeys.MASKS in config["extra_keys"],
        has_labels=labels is not None,
        has_present_labels=labels is not None and ExtraKeys.PRESENT_LABELS in config["extra_keys"],
        is_expanded=is_expanded(config),
        # Records for classification have the absent classes apart.
        absent_labels=sum(item["negative_labels"] for item in manifest["classes"]) if has_boxes else 0,
        labels_left_out=labels["dropped"].get(Drop.IMAGE_NOT_SELECTED, 0) if labels else 0,
        # The counts of a derived split are those of its records, without what a conversion left out before.
        may_leave_out_labels="derived" in manifest and config.get("select") == "boxed",
        numeric_ids=config.get("source_id") == "numeric",
    )


def _check_split(output_dir: str, facts: TrainingFacts, split: SplitFacts, manifest: Mapping[str, Any]) -> None:
    if not split.records:
        raise InputError(output_dir, f"the split {split.name!r} has no record", "Convert a split with images")
    if facts.reader_expands(split) and "most_boxes_after_expansion" not in manifest["totals"]:
        problem = f"its split {split.name!r} does not say how many boxes the fullest image has after the expansion"
        raise InputError(storage.join(output_dir, MANIFEST_FILE), problem, _AGAIN)
