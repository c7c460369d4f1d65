"""The parts of the Object Detection API's pipeline.config that follow from a dataset.

Source: protos/{pipeline,input_reader,eval,model}.proto of the Object Detection API.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from google.protobuf import text_encoding

from oi_tfrecord import storage
from oi_tfrecord.dataset.file_names import LABEL_MAP_FILE
from oi_tfrecord.dataset.label_map import read_label_map
from oi_tfrecord.dataset.splits import find_splits, require_manifest
from oi_tfrecord.errors import InputError
from oi_tfrecord.records.label_map import LabelMap
from oi_tfrecord.settings.allowed_values import Choice
from oi_tfrecord.settings.options import REQUIRED, Group, check_values, option

MODELS = ("ssd", "faster_rcnn", "center_net", "context_rcnn")
"""Kinds of model of protos/model.proto that have num_classes; context_rcnn is a faster_rcnn."""

METRICS = ("oid_V2_detection_metrics", "oid_challenge_detection_metrics", "coco_detection_metrics")

_READERS = 64


@dataclasses.dataclass(frozen=True)
class TrainingConfigOptions:
    """The options of `training_config`."""

    output_dir: str = option(REQUIRED, "Folder that `oi-tfrecord convert` wrote.", Group.INPUTS, positional="DIR")
    model: str = option(REQUIRED, "Kind of the model.", Group.RECORDS, Choice(MODELS))
    metrics: str = option(METRICS[0], "Metrics of the evaluation.", Group.RECORDS, Choice(METRICS))
    train: str = option("train", "Split to train with.", Group.RECORDS)
    eval: str = option("validation", "Split to evaluate with.", Group.RECORDS)
    folder: str = option("", "Folder of the records on the training machine; DIR by default.", Group.OUTPUT)
    beam_arguments: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_values(self)


def training_config(options: TrainingConfigOptions) -> str:
    """Writes the parts of a pipeline.config that follow from the records.

    Args:
        options: the records, the model and the metrics.

    Returns:
        `model`, `train_input_reader`, `eval_config` and `eval_input_reader` as protobuf text.

    Raises:
        InputError: if a split, its manifest or the label map is missing.
    """
    storage.use_options(options.beam_arguments)
    splits = find_splits(options.output_dir, [options.train, options.eval])
    folder = options.folder or storage.join(storage.working_folder(), options.output_dir)
    train, evaluation = (
        training_input(folder, name, require_manifest(options.output_dir, splits[name]))
        for name in (options.train, options.eval)
    )
    label_map = read_label_map(options.output_dir)
    if label_map is None:
        raise InputError(options.output_dir, f"there is no {LABEL_MAP_FILE}", "Convert a split again with --overwrite")
    path = storage.join(folder, LABEL_MAP_FILE)
    return format_training_config(train, evaluation, label_map, path, options.model, options.metrics)


@dataclasses.dataclass(frozen=True)
class TrainingInput:
    """A split, as an input reader needs it.

    Attributes:
        pattern: glob of its shards.
        shards: number of them.
        most_boxes: boxes of the image that has most.
        has_masks: whether the records hold instance masks.
        has_confidences: whether the records hold `image/class/confidence`.
    """

    pattern: str
    shards: int
    most_boxes: int
    has_masks: bool
    has_confidences: bool


def training_input(folder: str, split: str, manifest: Mapping[str, Any]) -> TrainingInput:
    """Returns what an input reader needs of a split.

    Args:
        folder: of the records, as the training machine sees it.
        split: its name.
        manifest: its part of `manifest.json`.
    """
    shards = len(manifest["shards"])
    groups = manifest["config"]["extra_keys"]
    return TrainingInput(
        pattern=f"{folder.rstrip('/')}/{split}.tfrecord-?????-of-{shards:05d}",
        shards=shards,
        most_boxes=manifest["totals"]["most_boxes_in_an_image"],
        has_masks="masks" in groups,
        has_confidences="human_labels" in manifest["tables"],
    )


def format_training_config(
    train: TrainingInput, evaluation: TrainingInput, label_map: LabelMap, label_map_path: str, model: str, metrics: str
) -> str:
    """Writes the parts as protobuf text, to be put into a pipeline.config in the place of those it has.

    Args:
        train, evaluation: the splits.
        label_map: of the records.
        label_map_path: where it is, as the training machine sees it.
        model: one of MODELS, whose num_classes is set.
        metrics: one of METRICS.

    Returns:
        `model`, `train_input_reader`, `eval_config` and `eval_input_reader`.
    """
    kind = "faster_rcnn" if model == "context_rcnn" else model
    # The classes of a model are numbered to the highest id, whether or not each is used.
    num_classes = max(item.id for item in label_map.items)
    related = any(item.ancestor_ids or item.descendant_ids for item in label_map.items)
    lines = [
        "model {",
        f"  {kind} {{",
        f"    num_classes: {num_classes}",
        "  }",
        "}",
        *_reader("train_input_reader", train, label_map_path, related, ["  shuffle: true"]),
        "eval_config {",
        f'  metrics_set: "{metrics}"',
        "  batch_size: 1",
        "}",
        *_reader("eval_input_reader", evaluation, label_map_path, related, ["  shuffle: false", "  num_epochs: 1"]),
    ]
    return "\n".join(lines) + "\n"


def _reader(name: str, split: TrainingInput, label_map_path: str, related: bool, order: list[str]) -> list[str]:
    return [
        f"{name} {{",
        f'  label_map_path: "{text_encoding.CEscape(label_map_path.encode(), as_utf8=True)}"',
        *order,
        f"  num_readers: {min(split.shards, _READERS)}",
        # The API's own bound is 100; boxes beyond it would not be learnt or counted.
        f"  max_number_of_boxes: {max(split.most_boxes, 1)}",
        *(["  load_instance_masks: true", "  mask_type: PNG_MASKS"] if split.has_masks else []),
        # The API expands by the relatives that the label map names, and needs confidences for that.
        *(["  expand_labels_hierarchy: true"] if related and split.has_confidences else []),
        "  tf_record_input_reader {",
        f'    input_path: "{text_encoding.CEscape(split.pattern.encode(), as_utf8=True)}"',
        "  }",
        "}",
    ]
