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
from oi_tfrecord.dataset.manifest import is_expanded
from oi_tfrecord.dataset.splits import find_splits, require_manifest
from oi_tfrecord.errors import InputError
from oi_tfrecord.openimages.schema import Table
from oi_tfrecord.reasons import Drop
from oi_tfrecord.records.label_map import LabelMap, has_relatives
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
        `model`, `train_input_reader`, `eval_config` and `eval_input_reader` as protobuf text, after a comment for each
        warning.

    Raises:
        InputError: If a split, its manifest or the label map is missing.
    """
    parts = make_training_parts(options)
    return "".join(f"# Warning: {warning}\n" for warning in parts.warnings) + parts.text


@dataclasses.dataclass(frozen=True)
class TrainingParts:
    """The parts of a pipeline.config.

    Attributes:
        text: The parts as protobuf text.
        warnings: What the user should know of the records.
    """

    text: str
    warnings: tuple[str, ...]


def make_training_parts(options: TrainingConfigOptions) -> TrainingParts:
    """Makes the parts of a pipeline.config that follow from the records; see `training_config`."""
    storage.use_options(options.beam_arguments)
    splits = find_splits(options.output_dir, [options.train, options.eval])
    folder = options.folder or storage.join(storage.working_folder(), options.output_dir)
    manifests = {name: require_manifest(options.output_dir, splits[name]) for name in (options.train, options.eval)}
    train, evaluation = (training_input(folder, name, manifests[name]) for name in (options.train, options.eval))
    label_map = read_label_map(options.output_dir)
    if label_map is None:
        raise InputError(options.output_dir, f"there is no {LABEL_MAP_FILE}", "Convert a split again with --overwrite")
    path = storage.join(folder, LABEL_MAP_FILE)
    return TrainingParts(
        text=format_training_config(train, evaluation, label_map, path, options.model, options.metrics),
        warnings=(
            *_warn_of_expansion(options, train, evaluation, label_map),
            *_warn_of_evaluation(options, manifests[options.eval]),
        ),
    )


def _warn_of_expansion(
    options: TrainingConfigOptions, train: "TrainingInput", evaluation: "TrainingInput", label_map: LabelMap
) -> list[str]:
    """Returns warnings of splits in which a class stands for different boxes than in the other split."""
    inputs = {options.train: train, options.eval: evaluation}
    expanded = {name: part.is_expanded or reader_expands(part, label_map) for name, part in inputs.items()}
    warnings = [
        f"the records of {name} have masks, which the API's reader cannot expand by the relatives in the label map; "
        "convert the split with --hierarchy_use=expand"
        for name, part in inputs.items()
        if has_relatives(label_map) and part.has_masks and not part.is_expanded
    ]
    if expanded[options.train] != expanded[options.eval]:
        first, second = sorted(inputs, key=lambda name: not expanded[name])
        warnings.append(
            f"{first} is expanded by a hierarchy, and {second} is not: a class has the boxes of its subclasses in the "
            "one only; convert both with --hierarchy, or both without"
        )
    return warnings


def _warn_of_evaluation(options: TrainingConfigOptions, manifest: Mapping[str, Any]) -> list[str]:
    """Returns warnings of an evaluation split that scores otherwise than the official protocol."""
    if not options.metrics.startswith("oid_"):
        return []
    labels = manifest["tables"].get(Table.HUMAN_LABELS)
    if labels is None:
        return [
            f"{options.eval} has no human-verified labels, so {options.metrics} takes every class as verified in every "
            "image and counts detections that the protocol ignores; convert the split with its file of human labels"
        ]
    left_out = labels["dropped"].get(Drop.IMAGE_NOT_SELECTED, 0)
    # The counts of a derived split are those of its records, without what a conversion left out before.
    may_leave_out = "derived" in manifest and manifest["config"].get("select") == "boxed"
    if not left_out and not may_leave_out:
        return []
    counted = f" ({left_out:,} labels)" if left_out else ""
    return [
        f"{options.eval} leaves out images with verified labels and no box{counted}, so false positives "
        f"there do not count and {options.metrics} comes out too high; convert the split with --select=labelled"
    ]


@dataclasses.dataclass(frozen=True)
class TrainingInput:
    """What an input reader needs to know of a split.

    Attributes:
        pattern: Glob of its shards.
        shards: Number of its shards.
        most_boxes: Boxes of the image with most boxes.
        has_masks: Whether the records hold instance masks.
        is_expanded: Whether the records are expanded by a hierarchy.
    """

    pattern: str
    shards: int
    most_boxes: int
    has_masks: bool
    is_expanded: bool


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
        is_expanded=is_expanded(manifest["config"]),
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
    lines = [
        "model {",
        f"  {kind} {{",
        f"    num_classes: {num_classes}",
        "  }",
        "}",
        *_reader("train_input_reader", train, label_map_path, label_map, ["  shuffle: true"]),
        "eval_config {",
        f'  metrics_set: "{metrics}"',
        "  batch_size: 1",
        "}",
        *_reader("eval_input_reader", evaluation, label_map_path, label_map, ["  shuffle: false", "  num_epochs: 1"]),
    ]
    return "\n".join(lines) + "\n"


def reader_expands(split: TrainingInput, label_map: LabelMap) -> bool:
    """Returns whether the API's input reader is to expand boxes and labels by the relatives in the label map.

    Its decoder (tf_example_decoder.py) repeats the boxes and their classes, but not their masks.
    """
    return has_relatives(label_map) and not split.is_expanded and not split.has_masks


def _reader(name: str, split: TrainingInput, label_map_path: str, label_map: LabelMap, order: list[str]) -> list[str]:
    expands = reader_expands(split, label_map)
    # A box is repeated for each ancestor before the reader counts.
    repeats = 1 + max(len(item.ancestor_ids) for item in label_map.items) if expands else 1
    return [
        f"{name} {{",
        f"  label_map_path: {_quote(label_map_path)}",
        *order,
        f"  num_readers: {min(split.shards, _READERS)}",
        # The API's default is 100, and it would neither learn nor count further boxes.
        f"  max_number_of_boxes: {max(split.most_boxes, 1) * repeats}",
        *(["  load_instance_masks: true", "  mask_type: PNG_MASKS"] if split.has_masks else []),
        *(["  expand_labels_hierarchy: true"] if expands else []),
        "  tf_record_input_reader {",
        f"    input_path: {_quote(split.pattern)}",
        "  }",
        "}",
    ]


def _quote(path: str) -> str:
    return f'"{text_encoding.CEscape(path.encode(), as_utf8=True)}"'
