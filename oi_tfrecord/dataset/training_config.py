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
"""Models of protos/model.proto with num_classes; context_rcnn is a faster_rcnn."""

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
        options: The records, the model and the metrics.

    Returns:
        `model`, `train_input_reader`, `eval_config` and `eval_input_reader` as protobuf text.

    Raises:
        InputError: If a split, its manifest or the label map is missing.
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
    """What an input reader needs to know of a split.

    Attributes:
        pattern: Glob of its shards.
        shards: Number of its shards.
        most_boxes: Boxes of the image with most boxes.
        has_masks: Whether the records hold instance masks.
        has_confidences: Whether the records hold `image/class/confidence`.
    """

    pattern: str
    shards: int
    most_boxes: int
    has_masks: bool
    has_confidences: bool


def training_input(folder: str, split: str, manifest: Mapping[str, Any]) -> TrainingInput:
    """Returns what an input reader needs to know of a split.

    Args:
        folder: Folder of the records, as the training machine sees it.
        split: Name of the split.
        manifest: The split's part of `manifest.json`.
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
    """Writes the parts as protobuf text; they replace the same parts of a pipeline.config.

    Args:
        train: The split to train with.
        evaluation: The split to evaluate with.
        label_map: The label map of the records.
        label_map_path: Path of the label map, as the training machine sees it.
        model: One of MODELS, whose num_classes is set.
        metrics: One of METRICS.

    Returns:
        `model`, `train_input_reader`, `eval_config` and `eval_input_reader`.
    """
    kind = "faster_rcnn" if model == "context_rcnn" else model
    # A model numbers its classes up to the highest id, even if ids below have no class.
    num_classes = max(item.id for item in label_map.items)
    has_relatives = any(item.ancestor_ids or item.descendant_ids for item in label_map.items)
    lines = [
        "model {",
        f"  {kind} {{",
        f"    num_classes: {num_classes}",
        "  }",
        "}",
        *_reader("train_input_reader", train, label_map_path, has_relatives, ["  shuffle: true"]),
        "eval_config {",
        f'  metrics_set: "{metrics}"',
        "  batch_size: 1",
        "}",
        *_reader(
            "eval_input_reader", evaluation, label_map_path, has_relatives, ["  shuffle: false", "  num_epochs: 1"]
        ),
    ]
    return "\n".join(lines) + "\n"


def _reader(name: str, split: TrainingInput, label_map_path: str, has_relatives: bool, order: list[str]) -> list[str]:
    return [
        f"{name} {{",
        f"  label_map_path: {_quote(label_map_path)}",
        *order,
        f"  num_readers: {min(split.shards, _READERS)}",
        # The API's default is 100, and it would neither learn nor count further boxes.
        f"  max_number_of_boxes: {max(split.most_boxes, 1)}",
        *(["  load_instance_masks: true", "  mask_type: PNG_MASKS"] if split.has_masks else []),
        # The API expands labels by the relatives in the label map, and needs their confidences.
        *(["  expand_labels_hierarchy: true"] if has_relatives and split.has_confidences else []),
        "  tf_record_input_reader {",
        f"    input_path: {_quote(split.pattern)}",
        "  }",
        "}",
    ]


def _quote(path: str) -> str:
    return f'"{text_encoding.CEscape(path.encode(), as_utf8=True)}"'
